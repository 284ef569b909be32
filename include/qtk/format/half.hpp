// SPDX-License-Identifier: Apache-2.0
//
// How does a float become 16 bits? IEEE half (binary16: 1 sign, 5 exponent, 10 mantissa bits) and
// bfloat16 (1, 8, 7), both rounded to nearest even, NaN kept quiet, overflow to infinity. No
// instruction set is assumed: these are the meaning that F16C and AVX-512-BF16 kernels are compared
// with.
#pragma once

#include <qtk/core/host_device.hpp>

#include <cstdint>

namespace qtk {

/// IEEE half to float; exact for all 65,536 patterns (a signalling NaN becomes quiet).
[[nodiscard]] QTK_HD constexpr float f16_to_float(std::uint16_t bits) noexcept {
    std::uint32_t const sign = std::uint32_t{bits & 0x8000u} << 16;
    std::uint32_t const exponent = (bits >> 10) & 0x1fu;
    std::uint32_t const mantissa = bits & 0x3ffu;
    if (exponent == 0) {  // zero and subnormals: mantissa * 2^-24 is exact in a float
        float const magnitude = static_cast<float>(mantissa) * 0x1p-24f;
        return bit_cast<float>(sign | bit_cast<std::uint32_t>(magnitude));
    }
    if (exponent == 31) {
        std::uint32_t const quiet = mantissa != 0 ? 0x400000u : 0u;
        return bit_cast<float>(sign | 0x7f800000u | quiet | (mantissa << 13));
    }
    return bit_cast<float>(sign | ((exponent + 112) << 23) | (mantissa << 13));
}

/// Float to IEEE half, nearest even. From 65,520 up the result is infinity.
[[nodiscard]] QTK_HD constexpr std::uint16_t float_to_f16(float value) noexcept {
    std::uint32_t const bits = bit_cast<std::uint32_t>(value);
    std::uint32_t const sign = (bits >> 16) & 0x8000u;
    std::uint32_t const magnitude = bits & 0x7fffffffu;
    auto const result = [sign](std::uint32_t half) {
        return static_cast<std::uint16_t>(sign | half);
    };
    if (magnitude > 0x7f800000u) return result(0x7e00u | ((magnitude >> 13) & 0x3ffu));
    if (magnitude >= 0x47800000u) return result(0x7c00u);
    if (magnitude < 0x38800000u) {
        // Below 2^-14: adding 0.5 aligns the last half bit with the last float bit, so the sum
        // itself rounds.
        float const aligned = bit_cast<float>(magnitude) + 0.5f;
        return result(bit_cast<std::uint32_t>(aligned) - 0x3f000000u);
    }
    // Rebias the exponent, add just under half a unit, one more if the kept mantissa is odd;
    // carries are right as is.
    std::uint32_t const rounded = magnitude - 0x38000000u + 0xfffu + ((magnitude >> 13) & 1u);
    return result(rounded >> 13);
}

/// bfloat16 to float: the upper half of the float's bits.
[[nodiscard]] QTK_HD constexpr float bf16_to_float(std::uint16_t bits) noexcept {
    return bit_cast<float>(std::uint32_t{bits} << 16);
}

/// Float to bfloat16, nearest even; values that round past the largest bfloat16 become infinity.
[[nodiscard]] QTK_HD constexpr std::uint16_t float_to_bf16(float value) noexcept {
    std::uint32_t const bits = bit_cast<std::uint32_t>(value);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<std::uint16_t>((bits >> 16) | 0x40u);
    return static_cast<std::uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

/// A bfloat16 as an element of matrices: 16 bits with a type of their own.
struct bf16_value {
    std::uint16_t bits = 0;

    constexpr bf16_value() = default;
    constexpr explicit bf16_value(float value) noexcept : bits(float_to_bf16(value)) {}
    constexpr explicit operator float() const noexcept { return bf16_to_float(bits); }
    friend constexpr bool operator==(bf16_value const&, bf16_value const&) = default;
};

static_assert(float_to_f16(1.0f) == 0x3c00 && f16_to_float(0x3c00) == 1.0f);
static_assert(float_to_f16(65504.0f) == 0x7bff && float_to_f16(65520.0f) == 0x7c00);
static_assert(float_to_f16(0x1p-24f) == 1 && float_to_f16(0x1p-25f) == 0, "half a subnormal: even");
static_assert(float_to_bf16(1.00390625f) == 0x3f80, "a tie rounds to the even neighbour");

}  // namespace qtk
