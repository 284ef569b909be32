// SPDX-License-Identifier: Apache-2.0
//
// What does this key of a GGUF file say? A value stays the bytes that it is in the file and is read
// when it is asked for, as the type that the caller needs:
//
//     auto const layers = metadata.get<std::uint32_t>("llama.block_count");
//     auto const scale = metadata.get_or<float>("llama.rope.scale", 1.0f);
//
// Whole numbers are given as any integer type that holds them, f32 as float and double, f64 as double
// alone; nothing else is converted. A missing key and a wrong type are one io_error with the key, what
// was expected and what was found.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/io/byte_reader.hpp>
#include <qtk/io/name_index.hpp>
#include <qtk/io/utf8.hpp>

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace qtk {

/// The numbers are those of the file.
enum class gguf_kind : std::uint32_t {
    u8,
    i8,
    u16,
    i16,
    u32,
    i32,
    f32,
    boolean,
    string,
    array,
    u64,
    i64,
    f64
};

struct gguf_kind_entry {
    std::string_view name;
    std::size_t bytes;  ///< of a number; 0 for what has no fixed size
};
inline constexpr std::array<gguf_kind_entry, 13> known_gguf_kinds{{
    {"u8", 1},
    {"i8", 1},
    {"u16", 2},
    {"i16", 2},
    {"u32", 4},
    {"i32", 4},
    {"f32", 4},
    {"bool", 1},
    {"string", 0},
    {"array", 0},
    {"u64", 8},
    {"i64", 8},
    {"f64", 8},
}};
[[nodiscard]] constexpr std::string_view name_of(gguf_kind kind) noexcept {
    auto const i = static_cast<std::size_t>(kind);
    return i < known_gguf_kinds.size() ? known_gguf_kinds[i].name : "?";
}
/// 0 for strings and arrays.
[[nodiscard]] constexpr std::size_t bytes_of(gguf_kind kind) noexcept {
    auto const i = static_cast<std::size_t>(kind);
    return i < known_gguf_kinds.size() ? known_gguf_kinds[i].bytes : 0;
}

namespace detail {

template <typename T>
concept gguf_integer = std::integral<T> && !std::same_as<T, bool>;

/// The kind of a C++ number.
template <typename T>
[[nodiscard]] constexpr gguf_kind kind_of() noexcept {
    if constexpr (std::same_as<T, bool>)
        return gguf_kind::boolean;
    else if constexpr (std::floating_point<T>)
        return sizeof(T) == 4 ? gguf_kind::f32 : gguf_kind::f64;
    else if constexpr (sizeof(T) == 8)
        return std::signed_integral<T> ? gguf_kind::i64 : gguf_kind::u64;
    else
        return static_cast<gguf_kind>(2 * (sizeof(T) / 2) + (std::signed_integral<T> ? 1 : 0));
}

/// f(number) with the number of `kind` at `at`.
template <typename F>
decltype(auto) with_gguf_number(gguf_kind kind, std::byte const* at, F&& f) {
    switch (kind) {
        case gguf_kind::u8:
            return f(load_little_endian<std::uint8_t>(at));
        case gguf_kind::i8:
            return f(load_little_endian<std::int8_t>(at));
        case gguf_kind::u16:
            return f(load_little_endian<std::uint16_t>(at));
        case gguf_kind::i16:
            return f(load_little_endian<std::int16_t>(at));
        case gguf_kind::u32:
            return f(load_little_endian<std::uint32_t>(at));
        case gguf_kind::i32:
            return f(load_little_endian<std::int32_t>(at));
        case gguf_kind::f32:
            return f(load_little_endian<float>(at));
        case gguf_kind::u64:
            return f(load_little_endian<std::uint64_t>(at));
        case gguf_kind::i64:
            return f(load_little_endian<std::int64_t>(at));
        case gguf_kind::f64:
            return f(load_little_endian<double>(at));
        default:
            return f(*at != std::byte{0});
    }
}

}  // namespace detail

/// One value: a number, a bool, a string, or an array of one of those. Borrows the bytes of the file;
/// they were checked when it was read.
class gguf_value {
  public:
    gguf_value() = default;
    /// `payload` is what follows the type: a number, the bytes of a string without its length, or the
    /// elements of an array; `strings` are the elements of an array of strings.
    gguf_value(gguf_kind kind, gguf_kind element, std::uint64_t count,
               std::span<std::byte const> payload, std::vector<std::string_view> strings = {})
        : kind_(kind),
          element_(element),
          count_(count),
          payload_(payload),
          strings_(std::move(strings)) {}

    [[nodiscard]] gguf_kind kind() const noexcept { return kind_; }
    /// Of an array; the kind itself else.
    [[nodiscard]] gguf_kind element() const noexcept { return element_; }
    [[nodiscard]] bool is_array() const noexcept { return kind_ == gguf_kind::array; }
    /// Elements of an array; 1 else.
    [[nodiscard]] std::uint64_t size() const noexcept { return count_; }
    [[nodiscard]] std::span<std::byte const> payload() const noexcept { return payload_; }
    /// The elements of an array of strings; empty for other values.
    [[nodiscard]] std::vector<std::string_view> const& strings() const noexcept { return strings_; }

    /// As T: bool, an integer, float, double, std::string_view, std::string, or a vector of those.
    /// Nothing where the value is of another type or does not fit.
    template <typename T>
    [[nodiscard]] std::optional<T> as() const {
        if constexpr (std::constructible_from<T, std::string_view>) {
            if (kind_ != gguf_kind::string) return std::nullopt;
            return T(
                std::string_view(reinterpret_cast<char const*>(payload_.data()), payload_.size()));
        } else if constexpr (requires { typename T::value_type; }) {
            return as_vector<typename T::value_type>();
        } else {
            if (is_array() || kind_ == gguf_kind::string) return std::nullopt;
            return number<T>(payload_.data());
        }
    }

    /// For messages: "u32 7", "string \"llama\"", "array of 3 f32".
    [[nodiscard]] std::string describe() const {
        if (is_array())
            return "array of " + std::to_string(count_) + " " + std::string(name_of(element_));
        std::string const kind(name_of(kind_));
        if (auto const text = as<std::string_view>()) return kind + " " + qtk::quoted(*text, 40);
        return kind + " " + detail::with_gguf_number(kind_, payload_.data(), [](auto v) {
                   return std::to_string(v);
               });
    }

    /// Same type and same bytes.
    friend bool operator==(gguf_value const& a, gguf_value const& b) noexcept {
        return a.kind_ == b.kind_ && a.element_ == b.element_ && a.count_ == b.count_ &&
               std::ranges::equal(a.payload_, b.payload_);
    }

  private:
    template <typename T>
    [[nodiscard]] std::optional<T> number(std::byte const* at) const {
        return detail::with_gguf_number(element_, at, [](auto v) -> std::optional<T> {
            using V = decltype(v);
            if constexpr (detail::gguf_integer<T> && detail::gguf_integer<V>)
                return std::in_range<T>(v) ? std::optional<T>(static_cast<T>(v)) : std::nullopt;
            else if constexpr (std::same_as<T, V> ||
                               (std::same_as<T, double> && std::same_as<V, float>))
                return static_cast<T>(v);
            else
                return std::nullopt;
        });
    }
    template <typename E>
    [[nodiscard]] std::optional<std::vector<E>> as_vector() const {
        if (!is_array()) return std::nullopt;
        std::vector<E> all;
        if constexpr (std::constructible_from<E, std::string_view>) {
            if (element_ != gguf_kind::string) return std::nullopt;
            all.assign(strings_.begin(), strings_.end());
        } else {
            if (element_ == gguf_kind::string) return std::nullopt;
            all.reserve(static_cast<std::size_t>(count_));
            for (std::uint64_t i = 0; i < count_; ++i) {
                auto const v = number<E>(payload_.data() + i * bytes_of(element_));
                if (!v) return std::nullopt;
                all.push_back(*v);
            }
        }
        return all;
    }

    gguf_kind kind_ = gguf_kind::u8, element_ = gguf_kind::u8;
    std::uint64_t count_ = 0;
    std::span<std::byte const> payload_;
    std::vector<std::string_view> strings_;
};

/// The keys of a file and their values, in the order of the file. Borrows its bytes.
class gguf_metadata {
  public:
    using entry = std::pair<std::string_view, gguf_value>;

  private:
    [[nodiscard]] auto key_at() const {
        return [this](std::size_t i) { return entries_[i].first; };
    }

  public:
    gguf_metadata() = default;
    /// Throws io_error if a key is there twice.
    gguf_metadata(std::string path, std::vector<entry> entries)
        : path_(std::move(path)), entries_(std::move(entries)), index_(entries_.size(), key_at()) {
        if (auto const twin = index_.find_twin(key_at()))
            throw io_error(path_,
                           "the key " + qtk::quoted(entries_[*twin].first) + " is there twice");
    }

    [[nodiscard]] std::vector<entry> const& entries() const noexcept { return entries_; }
    /// Null if there is no such key.
    [[nodiscard]] gguf_value const* find(std::string_view key) const {
        auto const at = index_.find(key, key_at());
        return at ? &entries_[*at].second : nullptr;
    }
    /// Throws io_error if there is no such key.
    [[nodiscard]] gguf_value const& at(std::string_view key) const {
        if (gguf_value const* const value = find(key)) return *value;
        throw io_error(path_, "the key " + qtk::quoted(key) + " is missing");
    }
    /// Throws io_error if there is no such key or its value is no T.
    template <typename T>
    [[nodiscard]] T get(std::string_view key) const {
        return typed<T>(key, at(key));
    }
    /// `otherwise` if there is no such key; io_error if its value is no T.
    template <typename T>
    [[nodiscard]] T get_or(std::string_view key, T otherwise) const {
        gguf_value const* const value = find(key);
        return value != nullptr ? typed<T>(key, *value) : std::move(otherwise);
    }

  private:
    template <typename T>
    [[nodiscard]] static std::string words_for() {
        if constexpr (std::constructible_from<T, std::string_view>)
            return "string";
        else if constexpr (requires { typename T::value_type; })
            return "array of " + words_for<typename T::value_type>();
        else
            return std::string(name_of(detail::kind_of<T>()));
    }
    template <typename T>
    [[nodiscard]] T typed(std::string_view key, gguf_value const& value) const {
        if (auto result = value.as<T>()) return *std::move(result);
        throw io_error(path_, "the key " + qtk::quoted(key) + ": expected " + words_for<T>() +
                                  ", found " + value.describe());
    }

    std::string path_;
    std::vector<entry> entries_;
    name_index index_;
};

static_assert(detail::kind_of<std::uint16_t>() == gguf_kind::u16 &&
              detail::kind_of<std::int32_t>() == gguf_kind::i32 &&
              detail::kind_of<std::int8_t>() == gguf_kind::i8 &&
              detail::kind_of<std::uint64_t>() == gguf_kind::u64);

}  // namespace qtk
