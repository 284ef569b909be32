// SPDX-License-Identifier: Apache-2.0
//
// The tensors that the header of a safetensors file names, taken event by event from its JSON.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/io/limits.hpp>
#include <qtk/io/tensor_info.hpp>
#include <qtk/io/utf8.hpp>

#include <nlohmann/json.hpp>

#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace qtk::detail {

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

    safetensors_events(std::vector<tensor_info>& tensors,
                       std::map<std::string, std::string>& metadata, std::string const& path,
                       io_limits const& limits)
        : tensors_(tensors), metadata_(metadata), path_(path), limits_(limits) {}

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
            if (!metadata_.emplace(key_, std::move(value)).second) twice(key_);
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
            if (tensors_.size() >= limits_.tensors)
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
        require_size(tensor_, path_);
        tensors_.push_back(std::move(tensor_));
    }
    std::vector<tensor_info>& tensors_;
    std::map<std::string, std::string>& metadata_;
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

}  // namespace qtk::detail
