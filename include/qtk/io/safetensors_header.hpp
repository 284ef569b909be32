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
#include <qtk/io/limits.hpp>
#include <qtk/io/name_index.hpp>
#include <qtk/io/utf8.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
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
    name_index names;               ///< Of the tensors.
};

namespace detail {

[[nodiscard]] inline auto name_in(std::vector<tensor_info> const& tensors) {
    return [&tensors](std::size_t i) -> std::string_view { return tensors[i].name; };
}

/// Takes the events of the header's JSON, for a document of a hundred thousand tensors would cost more than all
/// the rules; throws at the first event that breaks one. What nests deeper than a tensor's lists is no event that
/// fits.
class safetensors_events {
  public:
    using json = nlohmann::json;
    using number_integer_t = json::number_integer_t;
    using number_unsigned_t = json::number_unsigned_t;
    using number_float_t = json::number_float_t;
    using string_t = json::string_t;
    using binary_t = json::binary_t;

    safetensors_events(safetensors_header& to, std::string const& path, io_limits const& limits)
        : to_(to), path_(path), limits_(limits) {}

    bool null() { misplaced("null"); }
    bool boolean(bool value) { misplaced(value ? "true" : "false"); }
    bool number_integer(number_integer_t value) { misplaced(std::to_string(value)); }
    bool number_unsigned(number_unsigned_t value) {
        if (at_ == place::shape) {
            // Beyond the limit they are counted alone.
            if (rank_++ < limits_.tensor_rank) tensor_.shape.push_back(value);
        } else if (at_ == place::offsets) {
            if (offsets_ < 2) (offsets_ == 0 ? tensor_.begin : tensor_.end) = value;
            ++offsets_;
        } else {
            misplaced(std::to_string(value));
        }
        return true;
    }
    bool number_float(number_float_t, string_t const& text) { misplaced(text); }
    bool string(string_t& value) {
        if (at_ == place::metadata) {
            total_ += key_.size() + value.size();
            if (total_ > limits_.metadata_bytes)
                fail("__metadata__ has more than " + std::to_string(limits_.metadata_bytes) +
                     " bytes");
            if (!to_.metadata.emplace(key_, std::move(value)).second) twice(key_);
        } else if (at_ == place::tensor && field_ == field::dtype) {
            auto const known = find_dtype(value);
            if (!known) fail(tensor_.name, "unknown dtype " + qtk::quoted(value));
            tensor_.type = *known;
        } else {
            misplaced("\"" + value + "\"");
        }
        return true;
    }
    bool binary(binary_t&) { return false; }

    bool start_object(std::size_t) {
        if (at_ == place::start) {
            at_ = place::root;
        } else if (at_ != place::root) {
            misplaced("an object");
        } else if (is_metadata_) {
            at_ = place::metadata;
        } else {
            at_ = place::tensor;
            seen_ = 0;
        }
        return true;
    }
    bool end_object() {
        if (at_ == place::tensor) finish_tensor();
        at_ = at_ == place::root ? place::end : place::root;
        return true;
    }
    bool start_array(std::size_t) {
        if (at_ == place::tensor && field_ == field::shape) {
            at_ = place::shape;
            rank_ = 0;
        } else if (at_ == place::tensor && field_ == field::offsets) {
            at_ = place::offsets;
            offsets_ = 0;
        } else {
            misplaced("an array");
        }
        return true;
    }
    bool end_array() {
        if (at_ == place::offsets && offsets_ != 2)
            fail(tensor_.name, "data_offsets is missing or not a pair");
        if (at_ == place::shape && rank_ > limits_.tensor_rank)
            fail(tensor_.name, "shape has " + std::to_string(rank_) +
                                   " dimensions, more than the limit of " +
                                   std::to_string(limits_.tensor_rank));
        at_ = place::tensor;
        return true;
    }

    bool key(string_t& name) {
        if (at_ == place::metadata) {
            key_ = std::move(name);
        } else if (at_ == place::tensor) {
            field_ = name == "dtype"          ? field::dtype
                     : name == "shape"        ? field::shape
                     : name == "data_offsets" ? field::offsets
                                              : field::none;
            if (field_ == field::none) fail(tensor_.name, "unknown field " + qtk::quoted(name));
            unsigned const bit = 1u << static_cast<unsigned>(field_);
            if ((seen_ & bit) != 0) twice(name);
            seen_ |= bit;
        } else if (is_metadata_ = name == "__metadata__"; is_metadata_) {
            if (std::exchange(has_metadata_, true)) twice(name);
        } else {
            if (name.size() > limits_.tensor_name_bytes)
                fail(name, "the name has more than " + std::to_string(limits_.tensor_name_bytes) +
                               " bytes");
            if (to_.tensors.size() >= limits_.tensors)
                fail("more than " + std::to_string(limits_.tensors) + " tensors");
            tensor_ = {};
            tensor_.name = std::move(name);
        }
        return true;
    }
    bool parse_error(std::size_t position, std::string const& token, json::exception const&) {
        // Positions are counted from 1, behind the 8 bytes of the length.
        throw io_error(path_, "this is not JSON, near " + qtk::quoted(token),
                       8 + (position > 0 ? position - 1 : 0));
    }

  private:
    enum class place { start, root, metadata, tensor, shape, offsets, end };
    enum class field : unsigned { dtype, shape, offsets, none };

    [[noreturn]] void fail(std::string const& what) const { throw io_error(path_, what); }
    [[noreturn]] void fail(std::string_view tensor, std::string const& what) const {
        fail("tensor " + qtk::quoted(tensor) + ": " + what);
    }
    [[noreturn]] void twice(std::string_view name) const {
        fail("the key " + qtk::quoted(name) + " appears twice in one object");
    }
    /// A value where another kind of value is needed.
    [[noreturn]] void misplaced(std::string const& found) const {
        switch (at_) {
            case place::metadata:
                fail("__metadata__: the value of " + qtk::quoted(key_) + " is not a string");
            case place::shape:
            case place::offsets:
                fail(tensor_.name, std::string(at_ == place::shape ? "shape" : "data_offsets") +
                                       ": expected a whole number without sign, found " +
                                       qtk::quoted(found));
            case place::tensor:
                fail(tensor_.name, field_ == field::dtype ? "dtype is missing or no string"
                                   : field_ == field::shape
                                       ? "shape is missing or no array"
                                       : "data_offsets is missing or not a pair");
            default:
                if (is_metadata_) fail("__metadata__ must be an object of strings");
                fail(tensor_.name, "expected an object with dtype, shape and data_offsets");
        }
    }

    void finish_tensor() {
        constexpr char const* missing[] = {"dtype is missing or no string",
                                           "shape is missing or no array",
                                           "data_offsets is missing or not a pair"};
        for (unsigned i = 0; i < 3; ++i)
            if ((seen_ & 1u << i) == 0) fail(tensor_.name, missing[i]);
        require_size(tensor_);
        to_.tensors.push_back(std::move(tensor_));
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

    safetensors_header& to_;
    std::string const& path_;
    io_limits const& limits_;
    place at_ = place::start;
    field field_ = field::none;
    bool is_metadata_ = false, has_metadata_ = false;
    std::string key_;        // of the metadata
    std::size_t total_ = 0;  // bytes of the metadata
    tensor_info tensor_;     // the one that is being read
    unsigned seen_ = 0;      // its fields, a bit each
    std::size_t rank_ = 0, offsets_ = 0;
};

/// Reads a header from the bytes of a whole file.
class safetensors_parser {
  public:
    safetensors_parser(std::span<std::byte const> file, std::string const& path,
                       io_limits const& limits)
        : file_(file), path_(path), limits_(limits) {}

    safetensors_header parse() {
        std::string_view const text = json_text();
        safetensors_events events(header_, path_, limits_);
        static_cast<void>(nlohmann::json::sax_parse(text.begin(), text.end(), &events));
        require_tiling();
        auto const name = name_in(header_.tensors);
        header_.names = name_index(header_.tensors.size(), name);
        if (auto const twin = header_.names.find_twin(name))
            fail("the key " + qtk::quoted(name(*twin)) + " appears twice in one object");
        return std::move(header_);
    }

  private:
    [[noreturn]] void fail(std::string const& what) const { throw io_error(path_, what); }
    [[noreturn]] void fail(std::string_view tensor, std::string const& what) const {
        fail("tensor " + qtk::quoted(tensor) + ": " + what);
    }

    [[nodiscard]] std::string_view json_text() {
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
        if (std::size_t const fault = find_utf8_fault(text); fault < text.size())
            throw io_error(path_, "the JSON is not UTF-8", 8 + fault);
        return text;
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
