// SPDX-License-Identifier: Apache-2.0
//
// Which field of a configuration is at fault? Fields of one JSON object, each read with its bounds;
// every fault is one io_error that names file and field, with what was expected and found.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/io/strict_json.hpp>
#include <qtk/io/utf8.hpp>
#include <qtk/kernel/activation.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace qtk::detail {

/// Fields of one JSON object; every fault is an io_error that names file and field.
class config_reader {
  public:
    config_reader(nlohmann::json const& object, std::string path)
        : object_(object), path_(std::move(path)) {}

    /// Null if the field is missing or null.
    [[nodiscard]] nlohmann::json const* find(char const* field) const {
        auto const found = object_.find(field);
        return found == object_.end() || found->is_null() ? nullptr : &*found;
    }

    /// Is the field there, if only as null?
    [[nodiscard]] bool has(char const* field) const { return object_.contains(field); }

    /// A whole number from `least` to `most`.
    [[nodiscard]] std::size_t whole(char const* field, std::size_t least, std::size_t most,
                                    std::optional<std::size_t> otherwise = {}) const {
        auto const* const value = find(field);
        if (value == nullptr && otherwise) return *otherwise;
        if (value == nullptr) missing(field);
        if (!value->is_number_unsigned() || value->get<std::uint64_t>() < least ||
            value->get<std::uint64_t>() > most)
            refuse(field,
                   "a whole number from " + std::to_string(least) + " to " + std::to_string(most),
                   *value);
        return value->get<std::size_t>();
    }
    [[nodiscard]] std::size_t count(char const* field, std::size_t most,
                                    std::optional<std::size_t> otherwise = {}) const {
        return whole(field, 1, most, otherwise);
    }

    [[nodiscard]] double number(char const* field, double least, double most,
                                std::optional<double> otherwise = {}) const {
        auto const* const value = find(field);
        if (value == nullptr && otherwise) return *otherwise;
        if (value == nullptr) missing(field);
        if (!value->is_number() || !(value->get<double>() >= least && value->get<double>() <= most))
            refuse(field, "a number from " + text_of(least) + " to " + text_of(most), *value);
        return value->get<double>();
    }

    [[nodiscard]] bool flag(char const* field, bool otherwise) const {
        auto const* const value = find(field);
        if (value == nullptr) return otherwise;
        if (!value->is_boolean()) refuse(field, "true or false", *value);
        return value->get<bool>();
    }

    [[nodiscard]] std::string text(char const* field, char const* otherwise = nullptr) const {
        auto const* const value = find(field);
        if (value == nullptr && otherwise != nullptr) return otherwise;
        if (value == nullptr) missing(field);
        if (!value->is_string()) refuse(field, "a string", *value);
        return value->get<std::string>();
    }

    /// Ids of tokens below `vocabulary`: of a number, of an array of numbers, none if the field is
    /// missing.
    [[nodiscard]] std::vector<std::int32_t> tokens(char const* field,
                                                   std::size_t vocabulary) const {
        std::vector<std::int32_t> ids;
        auto const add = [&](nlohmann::json const& value) {
            if (!value.is_number_unsigned() || value.get<std::uint64_t>() >= vocabulary)
                refuse(field, "a token from 0 to " + std::to_string(vocabulary - 1), value);
            ids.push_back(value.get<std::int32_t>());
        };
        auto const* const value = find(field);
        if (value == nullptr) return ids;
        if (!value->is_array())
            add(*value);
        else
            for (nlohmann::json const& one : *value) add(one);
        return ids;
    }

    /// Stops if the object has a field that is not among `known`.
    void require_known(std::initializer_list<std::string_view> known) const {
        for (auto const& [field, value] : object_.items())
            if (std::find(known.begin(), known.end(), field) == known.end())
                throw io_error(path_, "the field " + qtk::quoted(field) + " is not known");
    }

    /// Stops unless the flag has the only value that is implemented.
    void require_flag(char const* field, bool needed) const {
        if (flag(field, needed) != needed)
            refuse(field, std::string(needed ? "true" : "false") + ", all that is supported",
                   *find(field));
    }

    [[noreturn]] void refuse(char const* field, std::string const& expected,
                             nlohmann::json const& found) const {
        // Written in ASCII with escapes, so that nothing in a file reaches a terminal raw.
        std::string shown = found.dump(-1, ' ', true);
        if (shown.size() > 120) shown.replace(120, std::string::npos, "...");
        throw io_error(path_, std::string(field) + ": expected " + expected + ", found " + shown);
    }
    [[noreturn]] void missing(char const* field) const {
        throw io_error(path_, std::string("the field ") + field + " is missing");
    }

    [[nodiscard]] std::string const& path() const noexcept { return path_; }

  private:
    static std::string text_of(double x) { return nlohmann::json(x).dump(); }

    nlohmann::json const& object_;
    std::string path_;
};

/// Bounds far above every published model; they keep sizes from overflowing.
inline constexpr std::size_t most_layers = 4096, most_width = 1 << 20, most_heads = 1 << 14,
                             most_context = 1 << 24;

[[nodiscard]] inline activation activation_of(config_reader const& json, char const* field,
                                              char const* otherwise) {
    std::string const name = json.text(field, otherwise);
    if (name == "gelu_new" || name == "gelu_pytorch_tanh" || name == "gelu_fast")
        return activation::gelu_tanh;
    if (name == "gelu") return activation::gelu_erf;
    if (name == "silu" || name == "swish") return activation::silu;
    if (name == "relu") return activation::relu;
    json.refuse(field, "gelu_new, gelu_pytorch_tanh, gelu_fast, gelu, silu, swish or relu", name);
}

}  // namespace qtk::detail
