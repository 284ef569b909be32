// SPDX-License-Identifier: Apache-2.0
//
// What does this JSON say, if nobody vouches for it? Read event by event, so that what a document
// tree would hide is refused: duplicate keys, nesting without end, text that is not UTF-8, anything
// after the value. Integers stay integers: `1e3` and `-0` are not unsigned numbers.
#pragma once

#include <qtk/core/abi.hpp>
#include <qtk/core/error.hpp>
#include <qtk/io/limits.hpp>
#include <qtk/io/utf8.hpp>

#include <nlohmann/json.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace qtk {

#if defined(QTK_KERNELS_ELSEWHERE)
[[nodiscard]] nlohmann::json parse_strict_json(std::string_view text, std::string const& path,
                                               io_limits const& limits = {},
                                               std::uint64_t origin = 0);
#else

namespace detail {

/// Builds a document from events and stops at the first that breaks a rule.
class strict_json_builder {
  public:
    using json = nlohmann::json;
    using number_integer_t = json::number_integer_t;
    using number_unsigned_t = json::number_unsigned_t;
    using number_float_t = json::number_float_t;
    using string_t = json::string_t;
    using binary_t = json::binary_t;

    explicit strict_json_builder(std::size_t most_depth) : most_depth_(most_depth) {}

    bool null() { return put(json(nullptr)); }
    bool boolean(bool value) { return put(json(value)); }
    bool number_integer(number_integer_t value) { return put(json(value)); }
    bool number_unsigned(number_unsigned_t value) { return put(json(value)); }
    bool number_float(number_float_t value, string_t const&) { return put(json(value)); }
    bool string(string_t& value) { return put(json(std::move(value))); }
    bool binary(binary_t&) { return false; }
    bool start_object(std::size_t) { return open(json::object()); }
    bool start_array(std::size_t) { return open(json::array()); }
    bool end_object() { return close(); }
    bool end_array() { return close(); }
    bool key(string_t& name) {
        auto const [place, is_new] = open_.back()->emplace(name, nullptr);
        if (!is_new) return fail("the key " + qtk::quoted(name) + " appears twice in one object");
        slot_ = &*place;
        return true;
    }
    bool parse_error(std::size_t position, std::string const& token, json::exception const&) {
        offset_ = position > 0 ? position - 1 : 0;  // counted from 1
        return fail("this is not JSON, near " + qtk::quoted(token));
    }

    json root;
    [[nodiscard]] std::string const& fault() const noexcept { return fault_; }
    [[nodiscard]] std::uint64_t offset() const noexcept { return offset_; }

  private:
    bool fail(std::string why) {
        fault_ = std::move(why);
        return false;
    }
    /// The place of the value just built: the root, the next of an array, or the value of a key.
    json* place(json&& value) {
        if (open_.empty()) return &(root = std::move(value));
        if (open_.back()->is_array()) {
            open_.back()->push_back(std::move(value));
            return &open_.back()->back();
        }
        return &(*slot_ = std::move(value));
    }
    bool put(json&& value) { return place(std::move(value)) != nullptr; }
    bool open(json&& container) {
        if (open_.size() >= most_depth_)
            return fail("objects and arrays nest deeper than " + std::to_string(most_depth_) +
                        " levels");
        open_.push_back(place(std::move(container)));
        return true;
    }
    bool close() {
        open_.pop_back();
        return true;
    }

    std::size_t most_depth_;
    std::vector<json*>
        open_;  // containers under construction; none of them moves before it is closed
    json* slot_ = nullptr;
    std::string fault_;
    std::uint64_t offset_ = io_error::no_offset;
};

}  // namespace detail

/// The value that `text` holds. Throws io_error naming `path`, the byte where that is known
/// (counted from `origin`, the place of the text in the file), and the rule that was broken.
[[nodiscard]] QTK_KERNEL_ENTRY nlohmann::json parse_strict_json(std::string_view text,
                                                                std::string const& path,
                                                                io_limits const& limits = {},
                                                                std::uint64_t origin = 0) {
    if (text.size() > limits.json_bytes)
        throw io_error(path, "the JSON has " + std::to_string(text.size()) +
                                 " bytes, more than the limit of " +
                                 std::to_string(limits.json_bytes));
    if (std::size_t const fault = find_utf8_fault(text); fault < text.size())
        throw io_error(path, "the JSON is not UTF-8", origin + fault);
    detail::strict_json_builder builder(limits.json_depth);
    if (!nlohmann::json::sax_parse(text.begin(), text.end(), &builder))
        throw io_error(
            path, builder.fault(),
            builder.offset() == io_error::no_offset ? builder.offset() : origin + builder.offset());
    return std::move(builder.root);
}
#endif

}  // namespace qtk
