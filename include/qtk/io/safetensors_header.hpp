// SPDX-License-Identifier: Apache-2.0
//
// Which tensors does a safetensors file hold, and may one believe it? The layout, as its authors
// publish it:
//
//   8 bytes    N, little endian; N <= 100,000,000 and N <= what the file has left
//   N bytes    a JSON object, UTF-8, first byte '{', may end in spaces
//                name: {"dtype": .., "shape": [..], "data_offsets": [begin, end)}
//                "__metadata__": {string: string}
//   the rest   data, from which offsets count: the tensors tile it without holes or overlap;
//              sizes are product(shape) x bits / 8
//
// Every rule is checked before anything is read by it; products and sums cannot wrap.
#pragma once

#include <qtk/core/checked.hpp>
#include <qtk/io/byte_reader.hpp>
#include <qtk/io/dtype.hpp>
#include <qtk/io/strict_json.hpp>

#include <algorithm>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace qtk {

struct tensor_info {
    std::string name;
    dtype type = dtype::f32;
    std::vector<std::uint64_t> shape;
    std::uint64_t begin = 0, end = 0;  ///< Bytes, counted from the start of the data section.
};

/// A shape as people write it: [4, 5].
[[nodiscard]] inline std::string to_string(std::vector<std::uint64_t> const& shape) {
    std::string text = "[";
    for (std::size_t i = 0; i < shape.size(); ++i)
        text += (i > 0 ? ", " : "") + std::to_string(shape[i]);
    return text + "]";
}

struct safetensors_header {
    std::vector<tensor_info> tensors;  ///< In the order of their data.
    std::map<std::string, std::string> metadata;
    std::uint64_t data_offset = 0;  ///< Where the data section starts in the file.
};

namespace detail {

/// Reads a header from the bytes of a whole file.
class safetensors_parser {
  public:
    safetensors_parser(std::span<std::byte const> file, std::string const& path,
                       io_limits const& limits)
        : file_(file), path_(path), limits_(limits) {}

    safetensors_header parse() {
        nlohmann::json const json = read_json();
        for (auto const& [name, value] : json.items()) {
            if (name == "__metadata__")
                read_metadata(value);
            else
                read_tensor(name, value);
        }
        require_tiling();
        return std::move(header_);
    }

  private:
    [[noreturn]] void fail(std::string const& what) const { throw io_error(path_, what); }
    [[noreturn]] void fail(std::string_view tensor, std::string const& what) const {
        fail("tensor " + qtk::quoted(tensor) + ": " + what);
    }

    nlohmann::json read_json() {
        byte_reader reader(file_, path_);
        auto const length = reader.take<std::uint64_t>("the length of the header");
        if (length > limits_.safetensors_header_bytes)
            throw io_error(path_,
                           "the header claims " + std::to_string(length) +
                               " bytes, more than the limit of " +
                               std::to_string(limits_.safetensors_header_bytes) +
                               ". Hint: is this a safetensors file?",
                           0);
        auto const bytes = reader.take_bytes(length, "the header");
        header_.data_offset = reader.offset();
        std::string_view const text(reinterpret_cast<char const*>(bytes.data()), bytes.size());
        if (text.empty() || text.front() != '{')
            throw io_error(path_,
                           "the header must start with '{'. Hint: is this a safetensors file?", 8);
        // What may follow the object is spaces alone; JSON itself would allow tabs and newlines
        // too.
        std::size_t const last = text.find_last_not_of(' ');
        if (text[last] != '}')
            throw io_error(path_, "only spaces may follow the header's '}'", 8 + last);
        return parse_strict_json(text, path_, limits_, 8);
    }

    void read_metadata(nlohmann::json const& json) {
        if (!json.is_object()) fail("__metadata__ must be an object of strings");
        std::size_t total = 0;
        for (auto const& [key, value] : json.items()) {
            if (!value.is_string())
                fail("__metadata__: the value of " + qtk::quoted(key) + " is not a string");
            auto text = value.get<std::string>();
            total += key.size() + text.size();
            if (total > limits_.metadata_bytes)
                fail("__metadata__ has more than " + std::to_string(limits_.metadata_bytes) +
                     " bytes");
            header_.metadata.emplace(key, std::move(text));
        }
    }

    void read_tensor(std::string const& name, nlohmann::json const& json) {
        if (name.size() > limits_.tensor_name_bytes)
            fail(name,
                 "the name has more than " + std::to_string(limits_.tensor_name_bytes) + " bytes");
        if (header_.tensors.size() >= limits_.tensors)
            fail("more than " + std::to_string(limits_.tensors) + " tensors");
        if (!json.is_object()) fail(name, "expected an object with dtype, shape and data_offsets");
        for (auto const& [key, value] : json.items())
            if (key != "dtype" && key != "shape" && key != "data_offsets")
                fail(name, "unknown field " + qtk::quoted(key));

        tensor_info info;
        info.name = name;
        auto const type = json.find("dtype"), shape = json.find("shape"),
                   offsets = json.find("data_offsets");
        if (type == json.end() || !type->is_string()) fail(name, "dtype is missing or no string");
        auto const known = find_dtype(type->get_ref<std::string const&>());
        if (!known) fail(name, "unknown dtype " + qtk::quoted(type->get_ref<std::string const&>()));
        info.type = *known;
        if (shape == json.end() || !shape->is_array()) fail(name, "shape is missing or no array");
        if (shape->size() > limits_.tensor_rank)
            fail(name, "shape has " + std::to_string(shape->size()) +
                           " dimensions, more than the limit of " +
                           std::to_string(limits_.tensor_rank));
        for (auto const& side : *shape) info.shape.push_back(unsigned_number(name, "shape", side));
        if (offsets == json.end() || !offsets->is_array() || offsets->size() != 2)
            fail(name, "data_offsets is missing or not a pair");
        info.begin = unsigned_number(name, "data_offsets", (*offsets)[0]);
        info.end = unsigned_number(name, "data_offsets", (*offsets)[1]);
        require_size(info);
        header_.tensors.push_back(std::move(info));
    }

    std::uint64_t unsigned_number(std::string const& name, char const* field,
                                  nlohmann::json const& json) const {
        if (!json.is_number_unsigned())
            fail(name, std::string(field) + ": expected a whole number without sign, found " +
                           qtk::quoted(json.dump()));
        return json.get<std::uint64_t>();
    }

    void require_size(tensor_info const& info) const {
        std::uint64_t bits = bits_of(info.type);
        try {
            for (std::uint64_t const side : info.shape) bits = checked_mul(bits, side);
        } catch (value_error const& e) {
            fail(info.name,
                 "the size of shape " + to_string(info.shape) + " overflows: " + e.what());
        }
        if (bits % 8 != 0)
            fail(info.name, "shape " + to_string(info.shape) + " x " +
                                std::string(name_of(info.type)) + " does not end on a byte");
        if (info.end < info.begin || info.end - info.begin != bits / 8)
            fail(info.name, "data_offsets [" + std::to_string(info.begin) + ", " +
                                std::to_string(info.end) + ") but shape " + to_string(info.shape) +
                                " x " + std::string(name_of(info.type)) + " needs " +
                                std::to_string(bits / 8) + " bytes");
    }

    /// Sorted by place, each tensor starts where the one before ended, and the last ends with the
    /// file.
    void require_tiling() {
        std::ranges::sort(header_.tensors, [](tensor_info const& a, tensor_info const& b) {
            return a.begin != b.begin ? a.begin < b.begin
                   : a.end != b.end   ? a.end < b.end
                                      : a.name < b.name;
        });
        std::uint64_t reached = 0;
        for (tensor_info const& info : header_.tensors) {
            if (info.begin != reached)
                fail(info.name,
                     "its data starts at " + std::to_string(info.begin) +
                         " but the tensor before ends at " + std::to_string(reached) +
                         (info.begin < reached ? ": they overlap" : ": there is a hole"));
            reached = info.end;
        }
        std::uint64_t const data = file_.size() - header_.data_offset;
        if (reached != data)
            fail("the tensors need " + std::to_string(reached) + " bytes of data, the file has " +
                 std::to_string(data) + " (size on disk " + std::to_string(file_.size()) +
                 "). Hint: " +
                 (reached > data ? "the file is cut short; copy or download it again"
                                 : "something was appended to the file"));
    }

    std::span<std::byte const> file_;
    std::string const& path_;
    io_limits limits_;
    safetensors_header header_;
};

}  // namespace detail

/// The header of a safetensors file, given all of its bytes. Throws io_error naming the tensor and
/// the rule.
[[nodiscard]] inline safetensors_header parse_safetensors_header(std::span<std::byte const> file,
                                                                 std::string const& path,
                                                                 io_limits const& limits = {}) {
    return detail::safetensors_parser(file, path, limits).parse();
}

}  // namespace qtk
