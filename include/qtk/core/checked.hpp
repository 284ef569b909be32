// SPDX-License-Identifier: Apache-2.0
//
// Does this product of numbers from a file still fit? Arithmetic on untrusted counts: every
// operation either gives the true result or throws; nothing wraps, and narrowing is never silent.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/core/host_device.hpp>

#include <concepts>
#include <cstdint>
#include <limits>
#include <string>
#include <type_traits>
#include <utility>

namespace qtk {
namespace detail {

#if defined(__CUDACC__)
// nvcc does not compute the builtins while it compiles.
template <std::integral T>
using twice_as_wide = std::conditional_t<std::is_signed_v<T>, __int128, unsigned __int128>;
template <std::integral T>
[[nodiscard]] constexpr bool loses(twice_as_wide<T> exact, T& result) noexcept {
    result = static_cast<T>(exact);
    return exact != static_cast<twice_as_wide<T>>(result);
}
template <std::integral T>
[[nodiscard]] constexpr bool add_overflows(T a, T b, T* sum) noexcept {
    return loses<T>(twice_as_wide<T>{a} + b, *sum);
}
template <std::integral T>
[[nodiscard]] constexpr bool sub_overflows(T a, T b, T* difference) noexcept {
    return loses<T>(twice_as_wide<T>{a} - b, *difference);
}
template <std::integral T>
[[nodiscard]] constexpr bool mul_overflows(T a, T b, T* product) noexcept {
    return loses<T>(twice_as_wide<T>{a} * b, *product);
}
#else
template <std::integral T>
[[nodiscard]] constexpr bool add_overflows(T a, T b, T* sum) noexcept {
    return __builtin_add_overflow(a, b, sum);
}
template <std::integral T>
[[nodiscard]] constexpr bool sub_overflows(T a, T b, T* difference) noexcept {
    return __builtin_sub_overflow(a, b, difference);
}
template <std::integral T>
[[nodiscard]] constexpr bool mul_overflows(T a, T b, T* product) noexcept {
    return __builtin_mul_overflow(a, b, product);
}
#endif

}  // namespace detail

/// a + b, or value_error naming both.
template <std::integral T>
[[nodiscard]] constexpr T checked_add(T a, T b) {
    T sum{};
    if (detail::add_overflows(a, b, &sum))
        throw value_error("the sum " + std::to_string(a) + " + " + std::to_string(b) +
                          " overflows");
    return sum;
}

/// a - b, or value_error naming both (also when an unsigned result would be negative).
template <std::integral T>
[[nodiscard]] constexpr T checked_sub(T a, T b) {
    T difference{};
    if (detail::sub_overflows(a, b, &difference))
        throw value_error("the difference " + std::to_string(a) + " - " + std::to_string(b) +
                          " overflows");
    return difference;
}

/// a * b, or value_error naming both.
template <std::integral T>
[[nodiscard]] constexpr T checked_mul(T a, T b) {
    T product{};
    if (detail::mul_overflows(a, b, &product))
        throw value_error("the product " + std::to_string(a) + " x " + std::to_string(b) +
                          " overflows");
    return product;
}

/// The same number as another integer type, or value_error.
template <std::integral To, std::integral From>
[[nodiscard]] constexpr To checked_cast(From value) {
    if (!std::in_range<To>(value))
        throw value_error("the number " + std::to_string(value) + " does not fit its integer type");
    return static_cast<To>(value);
}

static_assert(checked_mul<std::uint64_t>(1u << 16, 1u << 16) == std::uint64_t{1} << 32);
static_assert(checked_cast<std::uint8_t>(255) == 255);

}  // namespace qtk
