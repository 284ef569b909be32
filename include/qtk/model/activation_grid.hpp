// SPDX-License-Identifier: Apache-2.0
//
// Which values may activations have that are rounded by one scale, known before any input is? Uniform
// codes of 2 to 8 bits (Jacob et al. 2018, equation 1):
//
//   x' = s q,  q = clamp(round_half_even(x / s), lowest, highest)
//
//   symmetric    lowest = -(2^(B-1) - 1), highest = 2^(B-1) - 1
//   asymmetric   0 is a code, and the others lie where calibration found values: 0 to 2^B - 1 after a ReLU
//
// The kernels hold activations as int8 in -127..127. Codes that do not fit are stored less a center,
// which the layer pays back: W (s q) = W (s (q - center)) + s center (row sums of W). Therefore 8 bits
// have 255 codes here, not 256.
#pragma once

#include <qtk/core/concepts.hpp>
#include <qtk/core/error.hpp>
#include <qtk/format/round.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>

namespace qtk {

struct activation_grid {
    float scale = 0.0f;                         ///< Positive, once calibration has set it.
    std::int16_t lowest = -127, highest = 127;  ///< lowest <= 0 <= highest, 255 codes at most.

    /// Codes less this fit into -127..127.
    [[nodiscard]] constexpr int center() const noexcept {
        return highest > 127 ? highest - 127 : lowest < -127 ? lowest + 127 : 0;
    }
    /// Every int8 of the kernels: nothing is clamped that they would not clamp themselves.
    [[nodiscard]] constexpr bool is_whole_int8() const noexcept {
        return lowest == -127 && highest == 127;
    }
    /// q of x, as a whole number; NaN stays NaN.
    [[nodiscard]] float code(float x) const noexcept {
        return round_half_even(
            std::clamp(x / scale, static_cast<float>(lowest), static_cast<float>(highest)));
    }
    /// What rounding leaves of x.
    [[nodiscard]] float round_trip(float x) const noexcept { return scale * code(x); }

    [[nodiscard]] constexpr bool is_symmetric() const noexcept { return lowest == -highest; }

    friend bool operator==(activation_grid const&, activation_grid const&) = default;
};

/// The codes of `bits`, without a scale. Asymmetric ones stand as 0 and above until they are fitted. Throws
/// value_error unless there are 2 to 8 bits.
[[nodiscard]] constexpr activation_grid activation_codes(int bits, bool is_symmetric = true) {
    if (bits < 2 || bits > 8)
        throw value_error("activations: expected 2 to 8 bits, found " + std::to_string(bits));
    auto const most = static_cast<std::int16_t>((1 << (bits - 1)) - 1);
    if (is_symmetric) return {.lowest = static_cast<std::int16_t>(-most), .highest = most};
    return {.lowest = 0, .highest = static_cast<std::int16_t>(std::min((1 << bits) - 1, 254))};
}

/// Bits that the codes need: 8 for 255 of them.
[[nodiscard]] constexpr int bits_of(activation_grid const& grid) noexcept {
    int bits = 1;
    while ((1 << bits) < grid.highest - grid.lowest + 1) ++bits;
    return bits;
}

/// A grid of as many codes as `codes` for values in `range`, extended to hold 0: symmetric like it, or
/// moved to where the values are. Scale 1 where there is nothing but 0. Throws value_error for a range
/// that is not finite or runs backwards.
[[nodiscard]] inline activation_grid fit_activation_grid(interval range,
                                                         activation_grid const& codes) {
    activation_grid grid = activation_codes(bits_of(codes), codes.is_symmetric());
    bool const is_symmetric = codes.is_symmetric();
    if (!std::isfinite(range.lowest) || !std::isfinite(range.highest) ||
        range.lowest > range.highest)
        throw value_error("activations: expected a range of finite values, found " +
                          std::to_string(range.lowest) + " to " + std::to_string(range.highest));
    float const low = std::min(range.lowest, 0.0f), high = std::max(range.highest, 0.0f);
    int const steps = grid.highest;
    // Parts are divided, not the whole: it may be no float.
    grid.scale = is_symmetric ? std::max(-low, high) / static_cast<float>(steps)
                              : high / static_cast<float>(steps) - low / static_cast<float>(steps);
    if (!(grid.scale > 0.0f)) {
        grid.scale = 1.0f;
        return grid;
    }
    if (!is_symmetric) {
        float const first =
            round_half_even(std::clamp(low / grid.scale, static_cast<float>(-steps), 0.0f));
        grid.lowest = static_cast<std::int16_t>(first);
        grid.highest = static_cast<std::int16_t>(grid.lowest + steps);
    }
    return grid;
}

static_assert(activation_codes(4).highest == 7 && activation_codes(4, false).highest == 15 &&
              activation_codes(8, false).highest == 254);
static_assert(bits_of(activation_codes(3)) == 3 && bits_of(activation_codes(8, false)) == 8);

}  // namespace qtk
