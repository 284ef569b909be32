// SPDX-License-Identifier: Apache-2.0
//
// Is this member what its reader expects? Looks up the members of JSON objects from files; a member
// of another kind is an io_error that names the file, the member, and what was found in its place.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/io/utf8.hpp>

#include <nlohmann/json.hpp>

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

  private:
    [[noreturn]] void refuse_kind(std::string const& key, char const* expected,
                                  json const& found) const {
        refuse(key + ": expected " + expected + ", found " + shown(found));
    }

    std::string file_;
};

}  // namespace qtk
