// SPDX-License-Identifier: Apache-2.0
//
// Which keys and tensors does a GGUF file hold, and may one believe it? Versions 2 and 3, all numbers
// little endian:
//
//   "GGUF"  u32 version  u64 tensors  u64 keys
//   keys    string name, u32 kind, value     string: u64 bytes, UTF-8; array: u32 kind, u64 count, elements
//   tensors string name, u32 rank 1..4, u64 dims[rank], u32 type, u64 offset
//   zeros up to a multiple of general.alignment (u32, a power of two, 32 where it is missing), from
//   where offsets count; data of the tensors at multiples of it
//
// dims[0] is the length of a row, dims[1] the number of rows: the reverse of what numpy and PyTorch
// print. Every count is held against the bytes that are left before anything is allocated; products
// and sums cannot wrap; tensors overlap neither each other nor the end of the file. Arrays of arrays
// are refused: no known file has one.
#pragma once

#include <qtk/core/checked.hpp>
#include <qtk/format/gguf_type.hpp>
#include <qtk/io/byte_reader.hpp>
#include <qtk/io/gguf_value.hpp>
#include <qtk/io/limits.hpp>
#include <qtk/io/utf8.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace qtk {

/// A tensor; the name is borrowed from the file.
struct gguf_tensor {
    std::string_view name;
    gguf_type type = gguf_type::f32;
    std::size_t rank = 0;
    std::array<std::uint64_t, 4> dims{1, 1, 1, 1};  ///< the fastest first; 1 from `rank` on
    std::uint64_t offset = 0, bytes = 0;            ///< from the start of the data section

    /// Values of the tensor. It was checked that they can be counted.
    [[nodiscard]] constexpr std::uint64_t values() const noexcept {
        return dims[0] * dims[1] * dims[2] * dims[3];
    }
};

/// dims as GGUF tools write them: [4096, 32000] has rows of 4096.
[[nodiscard]] inline std::string to_string(gguf_tensor const& tensor) {
    std::string text = "[";
    for (std::size_t i = 0; i < tensor.rank; ++i)
        text += (i > 0 ? ", " : "") + std::to_string(tensor.dims[i]);
    return text + "] " + std::string(name_of(tensor.type));
}

struct gguf_header {
    std::uint32_t version = 3, alignment = 32;
    gguf_metadata metadata;
    std::vector<gguf_tensor> tensors;  ///< In the order of the header.
    name_index by_name;                ///< Of `tensors`.
    std::uint64_t data_offset = 0;     ///< Where the data section starts in the file.

    [[nodiscard]] auto name_at() const {
        return [this](std::size_t i) { return tensors[i].name; };
    }
    /// Null if there is no tensor of that name.
    [[nodiscard]] gguf_tensor const* find(std::string_view name) const {
        auto const at = by_name.find(name, name_at());
        return at ? &tensors[*at] : nullptr;
    }
};

inline constexpr std::string_view gguf_magic = "GGUF", gguf_alignment_key = "general.alignment";

/// A power of two from 8 to 1 MiB.
[[nodiscard]] constexpr bool is_gguf_alignment(std::uint32_t alignment) noexcept {
    return std::has_single_bit(alignment) && alignment >= 8 && alignment <= 1u << 20;
}

namespace detail {

/// Bytes of a tensor: whole blocks of whole rows. Throws value_error that says why there are none.
[[nodiscard]] inline std::uint64_t gguf_bytes(gguf_type type, std::span<std::uint64_t const> dims) {
    gguf_type_entry const* const entry = find_gguf_type(type);
    if (entry == nullptr)
        throw value_error("type " + std::to_string(static_cast<std::uint32_t>(type)) +
                          " is none that is known");
    std::uint64_t values = 1;
    for (std::uint64_t const side : dims) {
        if (side == 0) throw value_error("a dimension is 0");
        values = checked_mul(values, side);
    }
    if (dims[0] % entry->values != 0)
        throw value_error("rows of " + std::to_string(dims[0]) + " values are no whole blocks of " +
                          std::string(entry->name) + ", which has " +
                          std::to_string(entry->values) + " a block");
    return checked_mul<std::uint64_t>(values / entry->values, entry->bytes);
}
[[nodiscard]] constexpr std::uint64_t aligned_up(std::uint64_t n, std::uint64_t alignment) {
    return checked_add(n, alignment - 1) / alignment * alignment;
}

/// Reads a header from the bytes of a whole file.
class gguf_parser {
  public:
    gguf_parser(std::span<std::byte const> file, std::string const& path, io_limits const& limits)
        : file_(file), path_(path), limits_(limits), reader_(file, path) {}

    gguf_header parse() {
        read_start();
        auto const tensors = reader_.take<std::uint64_t>("the number of tensors");
        auto const keys = reader_.take<std::uint64_t>("the number of keys");
        // The shortest key is 8 + 1 + 4 + 1 bytes, the shortest tensor 8 + 1 + 4 + 8 + 4 + 8.
        require_count(tensors, limits_.tensors, 33, "tensors");
        require_count(keys, limits_.gguf_keys, 14, "keys");
        std::vector<gguf_metadata::entry> entries;
        entries.reserve(static_cast<std::size_t>(keys));
        for (std::uint64_t i = 0; i < keys; ++i) entries.push_back(read_key());
        header_.metadata = gguf_metadata(path_, std::move(entries));
        read_alignment();
        header_.tensors.reserve(static_cast<std::size_t>(tensors));
        for (std::uint64_t i = 0; i < tensors; ++i) header_.tensors.push_back(read_tensor());
        header_.data_offset = aligned_up(reader_.offset(), header_.alignment);
        require_distinct_names();
        require_places();
        return std::move(header_);
    }

  private:
    [[noreturn]] void fail(std::string const& what) const { throw io_error(path_, what); }
    [[noreturn]] void fail_at(std::uint64_t offset, std::string const& what) const {
        throw io_error(path_, what, offset);
    }
    [[noreturn]] void fail(std::string_view tensor, std::string const& what) const {
        fail("tensor " + qtk::quoted(tensor) + ": " + what);
    }

    void read_start() {
        auto const magic = reader_.take_bytes(4, "the magic number");
        if (!std::ranges::equal(magic, std::as_bytes(std::span(gguf_magic))))
            fail_at(0, "the file does not start with \"GGUF\". Hint: is this a GGUF file?");
        header_.version = reader_.take<std::uint32_t>("the version");
        if (header_.version == 2 || header_.version == 3) return;
        std::string hint;
        if (header_.version == 1) hint = ". Hint: convert it with a tool of its time";
        if ((header_.version & 0xffffu) == 0 && header_.version != 0)
            hint = ". Hint: the file is big endian; convert it to little endian";
        fail_at(4, "expected version 2 or 3, found " + std::to_string(header_.version) + hint);
    }

    void require_count(std::uint64_t count, std::uint64_t most, std::uint64_t least_bytes,
                       char const* of) const {
        if (count > most)
            fail_at(reader_.offset(), "the file claims " + std::to_string(count) + " " + of +
                                          ", more than the limit of " + std::to_string(most));
        if (count > reader_.remaining() / least_bytes)
            fail_at(reader_.offset(), "the file claims " + std::to_string(count) + " " + of +
                                          ", but has only " + std::to_string(reader_.remaining()) +
                                          " bytes left; it is cut short or damaged");
    }

    std::string_view read_string(char const* what, std::uint64_t most) {
        std::uint64_t const start = reader_.offset();
        auto const length = reader_.take<std::uint64_t>(what);
        if (length > most)
            fail_at(start, std::string(what) + " has " + std::to_string(length) +
                               " bytes, more than the limit of " + std::to_string(most));
        auto const bytes = reader_.take_bytes(length, what);
        std::string_view const text(reinterpret_cast<char const*>(bytes.data()), bytes.size());
        if (auto const fault = find_utf8_fault(text); fault != std::string_view::npos)
            fail_at(start + 8 + fault, std::string(what) + " is not UTF-8");
        return text;
    }

    gguf_kind read_kind(std::string_view key) {
        std::uint64_t const start = reader_.offset();
        auto const number = reader_.take<std::uint32_t>("the type of a value");
        if (number >= known_gguf_kinds.size())
            fail_at(start, "the key " + qtk::quoted(key) + ": " + std::to_string(number) +
                               " is no type of a value");
        return static_cast<gguf_kind>(number);
    }

    gguf_metadata::entry read_key() {
        std::uint64_t const start = reader_.offset();
        std::string_view const key = read_string("a key", limits_.gguf_key_bytes);
        if (key.empty()) fail_at(start, "a key is empty");
        gguf_kind const kind = read_kind(key);
        if (kind == gguf_kind::array) return {key, read_array(key)};
        if (kind == gguf_kind::string) {
            auto const text = read_string("a string", limits_.gguf_string_bytes);
            return {key, gguf_value(kind, kind, 1, std::as_bytes(std::span(text)))};
        }
        return {key, gguf_value(kind, kind, 1, read_numbers(key, kind, 1))};
    }

    std::span<std::byte const> read_numbers(std::string_view key, gguf_kind kind,
                                            std::uint64_t count) {
        std::uint64_t const start = reader_.offset();
        // count is at most 2^64 / 8: it was held against the limit, or is 1.
        auto const bytes = reader_.take_bytes(count * bytes_of(kind), "a value");
        if (kind == gguf_kind::boolean)
            for (std::size_t i = 0; i < bytes.size(); ++i)
                if (bytes[i] > std::byte{1})
                    fail_at(start + i, "the key " + qtk::quoted(key) +
                                           ": a bool is 0 or 1, found " +
                                           std::to_string(std::to_integer<int>(bytes[i])));
        return bytes;
    }

    gguf_value read_array(std::string_view key) {
        gguf_kind const element = read_kind(key);
        std::uint64_t const start = reader_.offset();
        auto const count = reader_.take<std::uint64_t>("the length of an array");
        if (element == gguf_kind::array)
            fail_at(start, "the key " + qtk::quoted(key) + ": arrays of arrays are not read");
        if (count > limits_.gguf_array_elements)
            fail_at(start, "the key " + qtk::quoted(key) + ": an array of " +
                               std::to_string(count) + " elements, more than the limit of " +
                               std::to_string(limits_.gguf_array_elements));
        std::size_t const least = element == gguf_kind::string ? 8 : bytes_of(element);
        if (count > reader_.remaining() / least)
            fail_at(start, "the key " + qtk::quoted(key) + ": an array of " +
                               std::to_string(count) + " " + std::string(name_of(element)) +
                               ", but only " + std::to_string(reader_.remaining()) +
                               " bytes are left; the file is cut short or damaged");
        if (element != gguf_kind::string)
            return {gguf_kind::array, element, count, read_numbers(key, element, count)};
        std::vector<std::string_view> strings;
        strings.reserve(static_cast<std::size_t>(count));
        std::uint64_t const first = reader_.offset();
        for (std::uint64_t i = 0; i < count; ++i)
            strings.push_back(read_string("a string of an array", limits_.gguf_token_bytes));
        return {gguf_kind::array, element, count,
                file_.subspan(static_cast<std::size_t>(first),
                              static_cast<std::size_t>(reader_.offset() - first)),
                std::move(strings)};
    }

    void read_alignment() {
        gguf_value const* const value = header_.metadata.find(gguf_alignment_key);
        if (value == nullptr) return;
        if (value->kind() != gguf_kind::u32)
            fail("the key \"general.alignment\": expected u32, found " + value->describe());
        header_.alignment = *value->as<std::uint32_t>();
        if (!is_gguf_alignment(header_.alignment))
            fail(
                "the key \"general.alignment\": expected a power of two from 8 to 1048576, found " +
                std::to_string(header_.alignment));
    }

    gguf_tensor read_tensor() {
        gguf_tensor tensor;
        std::uint64_t const start = reader_.offset();
        tensor.name = read_string("the name of a tensor", limits_.tensor_name_bytes);
        if (tensor.name.empty()) fail_at(start, "the name of a tensor is empty");
        auto const rank = reader_.take<std::uint32_t>("the rank of a tensor");
        if (rank < 1 || rank > tensor.dims.size())
            fail(tensor.name, "expected 1 to 4 dimensions, found " + std::to_string(rank));
        tensor.rank = rank;
        for (std::size_t i = 0; i < tensor.rank; ++i)
            tensor.dims[i] = reader_.take<std::uint64_t>("a dimension");
        tensor.type = static_cast<gguf_type>(reader_.take<std::uint32_t>("the type of a tensor"));
        tensor.offset = reader_.take<std::uint64_t>("the offset of a tensor");
        try {
            tensor.bytes = gguf_bytes(tensor.type, std::span(tensor.dims).first(tensor.rank));
        } catch (value_error const& e) {
            fail(tensor.name, to_string(tensor) + ": " + e.what());
        }
        if (tensor.offset % header_.alignment != 0)
            fail(tensor.name, "its offset " + std::to_string(tensor.offset) +
                                  " is no multiple of the alignment " +
                                  std::to_string(header_.alignment));
        return tensor;
    }

    void require_distinct_names() {
        header_.by_name = name_index(header_.tensors.size(), header_.name_at());
        if (auto const twin = header_.by_name.find_twin(header_.name_at()))
            fail(header_.tensors[*twin].name, "the name is there twice");
    }

    void require_places() const {
        std::vector<gguf_tensor const*> by_place;
        by_place.reserve(header_.tensors.size());
        for (gguf_tensor const& tensor : header_.tensors) by_place.push_back(&tensor);
        auto const offset = [](gguf_tensor const* t) { return t->offset; };
        if (!std::ranges::is_sorted(by_place, {}, offset)) std::ranges::sort(by_place, {}, offset);
        std::uint64_t const data =
            file_.size() > header_.data_offset ? file_.size() - header_.data_offset : 0;
        std::uint64_t reached = 0;
        for (gguf_tensor const* const tensor : by_place) {
            if (tensor->offset < reached)
                fail(tensor->name, "its data starts at " + std::to_string(tensor->offset) +
                                       " but the tensor before ends at " + std::to_string(reached) +
                                       ": they overlap");
            if (tensor->offset > data || tensor->bytes > data - tensor->offset)
                fail(tensor->name, to_string(*tensor) + " at " + std::to_string(tensor->offset) +
                                       " needs " + std::to_string(tensor->bytes) +
                                       " bytes, but the file has " + std::to_string(data) +
                                       " bytes of data (size on disk " +
                                       std::to_string(file_.size()) +
                                       "). Hint: the file is cut short; copy or download it again");
            reached = tensor->offset + tensor->bytes;
        }
    }

    std::span<std::byte const> file_;
    std::string const& path_;
    io_limits limits_;
    byte_reader reader_;
    gguf_header header_;
};

}  // namespace detail

/// The header of a GGUF file, given all of its bytes, which must outlive it. Throws io_error naming
/// the key or the tensor and the rule.
[[nodiscard]] inline gguf_header parse_gguf_header(std::span<std::byte const> file,
                                                   std::string const& path,
                                                   io_limits const& limits = {}) {
    return detail::gguf_parser(file, path, limits).parse();
}

}  // namespace qtk
