// SPDX-License-Identifier: Apache-2.0
//
// How does a value become a float of 4, 6 or 8 bits? OCP Microscaling 1.0 (2023) and OFP8 1.0
// (2023):
//
//   field = sign | exponent field e | mantissa m of M bits
//   value = (-1)^sign * 2^(max(e, 1) - bias) * (m / 2^M + [e > 0])
//
//   e2m1  s ee m       bias 1   0 .5 1 1.5 2 3 4 6                 every pattern is finite
//   e3m2  s eee mm     bias 3   largest 28                         every pattern is finite
//   e4m3  s eeee mmm   bias 7   largest 448, 0x7f and 0xff NaN     no infinity
//   e5m2  s eeeee mm   bias 15  largest 57344, 0x7c infinity, 0x7d..0x7f NaN
//
// Encoding saturates at the largest finite value: a code never becomes infinite. The sign of zero
// is kept.
#pragma once

#include <qtk/core/format.hpp>
#include <qtk/format/round.hpp>

#include <cstdint>

namespace qtk {

[[nodiscard]] QTK_HD constexpr int minifloat_bias(format const& f) noexcept {
    return (1 << (f.exponent - 1)) - 1;
}

/// The field of the largest finite value, sign clear.
[[nodiscard]] QTK_HD constexpr int minifloat_top(format const& f) noexcept {
    int const all_ones = (1 << (f.bits - 1)) - 1;
    if (f.exponent == 5)
        return all_ones - (1 << f.mantissa());         // the top exponent is infinity and NaN
    return f.exponent == 4 ? all_ones - 1 : all_ones;  // e4m3 gives up one pattern for NaN
}

/// 2^n as a float, n in [-126, 127].
[[nodiscard]] QTK_HD constexpr float power_of_two(int n) noexcept {
    return bit_cast<float>(static_cast<std::uint32_t>(n + 127) << 23);
}

/// The value of a field, exact.
[[nodiscard]] QTK_HD constexpr float minifloat_to_float(format const& f,
                                                        std::uint8_t field) noexcept {
    int const magnitude = field & ((1 << (f.bits - 1)) - 1);
    float const sign = (field >> (f.bits - 1)) & 1 ? -1.0f : 1.0f;
    if (magnitude > minifloat_top(f))
        return f.exponent == 5 && magnitude == minifloat_top(f) + 1
                   ? sign * bit_cast<float>(0x7f800000u)
                   : bit_cast<float>(0x7fc00000u);
    int const steps = 1 << f.mantissa();
    int const exponent = magnitude / steps, mantissa = magnitude % steps;
    int const unit = (exponent > 0 ? exponent : 1) - minifloat_bias(f) - f.mantissa();
    return sign * static_cast<float>(exponent > 0 ? steps + mantissa : mantissa) *
           power_of_two(unit);
}

/// The largest finite value: 6, 28, 448, 57344.
[[nodiscard]] QTK_HD constexpr float minifloat_max(format const& f) noexcept {
    return minifloat_to_float(f, static_cast<std::uint8_t>(minifloat_top(f)));
}

/// The field nearest to a finite value by the rule R, saturating. Between neighbours of the same
/// exponent the codes are a line of integers, so rounding v / unit rounds the mantissa; a carry
/// walks into the exponent by itself.
template <rounding R = rounding::nearest_even>
[[nodiscard]] QTK_HD constexpr std::uint8_t float_to_minifloat(format const& f, float v,
                                                               float dither = 0.5f) noexcept {
    std::uint32_t const bits = bit_cast<std::uint32_t>(v);
    int const sign = bits >> 31 ? 1 << (f.bits - 1) : 0;
    float const limit = minifloat_max(f);
    float magnitude = bit_cast<float>(bits & 0x7fffffffu);
    magnitude = magnitude < limit ? magnitude : limit;
    int const smallest = 1 - minifloat_bias(f);
    int const own = static_cast<int>(bit_cast<std::uint32_t>(magnitude) >> 23) - 127;
    int const exponent = own > smallest ? own : smallest;
    float const steps = magnitude * power_of_two(f.mantissa() - exponent);
    // Stochastic rounding goes up or down on the number line, so a negative value mirrors its
    // dither.
    float const toss = sign != 0 ? 1.0f - dither : dither;
    int const count = static_cast<int>(round_by<R>(steps, toss));
    int const field = ((exponent - smallest) << f.mantissa()) + count;
    int const top = minifloat_top(f);
    return static_cast<std::uint8_t>(sign | (field < top ? field : top));
}

static_assert(minifloat_max(e2m1) == 6.0f && minifloat_max(e3m2) == 28.0f);
static_assert(minifloat_max(e4m3) == 448.0f && minifloat_max(e5m2) == 57344.0f);
static_assert(float_to_minifloat(e2m1, 2.5f) == 4 && float_to_minifloat(e2m1, 5.0f) == 6,
              "ties go to the even field: 2.5 -> 2, 5 -> 4");
static_assert(float_to_minifloat(e4m3, 1e9f) == 0x7e && float_to_minifloat(e5m2, -1e9f) == 0xfb);

}  // namespace qtk
