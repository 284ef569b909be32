// SPDX-License-Identifier: Apache-2.0
//
// Is this member what its reader expects? Looks up the members of JSON objects from files; a member
// of another kind is an io_error that names the file, the member, and what was found in its place.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/io/utf8.hpp>

#include <nlohmann/json.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace qtk {

class json_fields {
  public:
    using json = nlohmann::json;

    /// `file` names the file in messages.
    explicit json_fields(std::string file) : file_(std::move(file)) {}

    [[noreturn]] void refuse(std::string const& what) const { throw io_error(file_, what); }

    /// A member, or null where the object has none, or where `object` is none.
    [[nodiscard]] static json const& member(json const& object, std::string const& key) {
        static json const nothing;
        if (!object.is_object()) return nothing;
        auto const found = object.find(key);
        return found == object.end() ? nothing : *found;
    }

    /// A boolean member; `otherwise` where it is null or absent.
    [[nodiscard]] bool flag(json const& object, std::string const& key, bool otherwise) const {
        json const& value = member(object, key);
        if (value.is_null()) return otherwise;
        if (!value.is_boolean()) refuse_kind(key, "true or false", value);
        return value.get<bool>();
    }

    /// A string member that must be there.
    [[nodiscard]] std::string const& text(json const& object, std::string const& key) const {
        json const& value = member(object, key);
        if (!value.is_string()) refuse_kind(key, "a string", value);
        return value.get_ref<std::string const&>();
    }

    /// A whole number from `least` to `most`; `otherwise`, if given, where it is null or absent.
    [[nodiscard]] std::int64_t whole(json const& object, std::string const& key, std::int64_t least,
                                     std::int64_t most,
                                     std::optional<std::int64_t> otherwise = {}) const {
        json const& value = member(object, key);
        if (value.is_null() && otherwise) return *otherwise;
        bool const fits = value.is_number_unsigned()
                              ? std::in_range<std::int64_t>(value.get<std::uint64_t>())
                              : value.is_number_integer();
        if (!fits || value.get<std::int64_t>() < least || value.get<std::int64_t>() > most)
            refuse_kind(
                key, "a whole number from " + std::to_string(least) + " to " + std::to_string(most),
                value);
        return value.get<std::int64_t>();
    }

    /// A number that must be there.
    [[nodiscard]] double number(json const& object, std::string const& key) const {
        json const& value = member(object, key);
        if (!value.is_number()) refuse_kind(key, "a number", value);
        return value.get<double>();
    }

    /// An array member that must be there.
    [[nodiscard]] json const& array(json const& object, std::string const& key) const {
        json const& value = member(object, key);
        if (!value.is_array()) refuse_kind(key, "an array", value);
        return value;
    }

    /// Whether the member is this string.
    [[nodiscard]] static bool is(json const& object, std::string const& key,
                                 std::string_view value) {
        json const& found = member(object, key);
        return found.is_string() && found.get_ref<std::string const&>() == value;
    }

    /// The start of a value as JSON, for a message.
    [[nodiscard]] static std::string shown(json const& value) {
        std::string text = qtk::quoted(value.dump(-1, ' ', false, json::error_handler_t::replace));
        // JSON has its own quotation marks.
        text.erase(text.rfind('"'), 1);
        return text.erase(0, 1);
    }

    [[nodiscard]] std::string const& file() const noexcept { return file_; }

    /// The member is not what was expected.
    [[noreturn]] void refuse_kind(std::string const& key, std::string const& expected,
                                  json const& found) const {
        refuse(key + ": expected " + expected + ", found " + shown(found));
    }

  private:
    std::string file_;
};

}  // namespace qtk
