// SPDX-License-Identifier: Apache-2.0
//
// Which integer does a value between two of them become? Three rules, free of the floating-point
// environment and the same in scalar and vector code. Values must be clamped below 2^22 in
// magnitude before: NaN, infinity and 3e9 have no integer, and a conversion would invent one.
#pragma once

#include <qtk/core/host_device.hpp>
#include <qtk/core/scheme.hpp>

namespace qtk {

/// Adding and taking away 1.5 * 2^23 leaves a float without fraction bits: the hardware rounds,
/// half to even.
inline constexpr float round_magic = 12582912.0f;

/// Half to even, |v| <= 2^22.
[[nodiscard]] QTK_HD constexpr float round_half_even(float v) noexcept {
    return (v + round_magic) - round_magic;
}

/// Towards zero, |v| <= 2^22.
[[nodiscard]] QTK_HD constexpr float truncate(float v) noexcept {
    return static_cast<float>(static_cast<int>(v));
}

/// Half away from zero, |v| <= 2^22. The fraction is exact, so 0.49999997 stays 0.
[[nodiscard]] QTK_HD constexpr float round_half_away(float v) noexcept {
    float const whole = truncate(v), fraction = v - whole;
    return whole + (fraction >= 0.5f ? 1.0f : 0.0f) - (fraction <= -0.5f ? 1.0f : 0.0f);
}

/// Up with a probability equal to the fraction: `dither` is uniform in [0, 1).
[[nodiscard]] QTK_HD constexpr float round_stochastic(float v, float dither) noexcept {
    float const near_zero = truncate(v);
    float const below = near_zero > v ? near_zero - 1.0f : near_zero;
    return below + (dither < v - below ? 1.0f : 0.0f);
}

template <rounding R>
[[nodiscard]] QTK_HD constexpr float round_by(float v, float dither) noexcept {
    if constexpr (R == rounding::nearest_even)
        return round_half_even(v);
    else if constexpr (R == rounding::nearest_away)
        return round_half_away(v);
    else
        return round_stochastic(v, dither);
}

static_assert(round_half_even(2.5f) == 2.0f && round_half_even(-1.5f) == -2.0f);
static_assert(round_half_away(2.5f) == 3.0f && round_half_away(0.49999997f) == 0.0f);
static_assert(round_stochastic(-0.25f, 0.8f) == -1.0f && round_stochastic(-0.25f, 0.7f) == 0.0f);

}  // namespace qtk
