// SPDX-License-Identifier: Apache-2.0
//
// Which of 16 levels is nearest? Codebooks in [-1, 1] of bitsandbytes: nf4, whose levels are
// quantiles of a normal distribution (QLoRA, Dettmers et al. 2023, appendix E; the published table
// is stored, since recomputing it differs in the last digits), and fp4, a sign and the magnitudes
// 0, 1/192, 2/3, 1, 1/3, 1/2, 1/6, 1/4 in this order.
//
//   nf4  field 0..15 = rank of the level        thresholds are midpoints; a value on one goes down
//   fp4  field = sign << 3 | magnitude index    the same on the magnitude
#pragma once

#include <qtk/core/format.hpp>
#include <qtk/format/round.hpp>

#include <array>
#include <cstdint>

namespace qtk {

inline constexpr std::array<float, 16> nf4_levels{
    -1.0f,          -0.6961928010f, -0.5250730515f, -0.3949174881f,
    -0.2844413817f, -0.1847734302f, -0.0910500363f, 0.0f,
    0.0795802996f,  0.1609302014f,  0.2461123019f,  0.3379152417f,
    0.4407098293f,  0.5626170039f,  0.7229568362f,  1.0f};

/// By field; bit 3 is the sign.
inline constexpr std::array<float, 16> fp4_levels = [] {
    constexpr std::array<float, 8> twelfths{0.0f, 0.0625f, 8.0f, 12.0f, 4.0f, 6.0f, 2.0f, 3.0f};
    std::array<float, 16> levels{};
    for (std::size_t i = 0; i < 8; ++i) {
        levels[i] = twelfths[i] / 12.0f;
        levels[i + 8] = -levels[i];
    }
    return levels;
}();

namespace detail {

/// Levels in rising order with the field of each: what an encoder walks. fp4 walks magnitudes.
template <std::size_t N>
struct ranked_levels {
    std::array<float, N> level{};
    std::array<std::uint8_t, N> field{};

    /// Between rank i and i + 1.
    [[nodiscard]] constexpr float midpoint(std::size_t i) const noexcept {
        return 0.5f * (level[i] + level[i + 1]);
    }
};
inline constexpr ranked_levels<16> nf4_ranks{
    nf4_levels, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}};
inline constexpr ranked_levels<8> fp4_ranks = [] {
    ranked_levels<8> ranks{{}, {0, 1, 6, 7, 4, 5, 2, 3}};
    for (std::size_t i = 0; i < 8; ++i) ranks.level[i] = fp4_levels[ranks.field[i]];
    return ranks;
}();

template <rounding R, std::size_t N>
[[nodiscard]] constexpr std::uint8_t nearest_field(ranked_levels<N> const& ranks, float v,
                                                   float dither) noexcept {
    std::size_t rank = 0;
    for (std::size_t i = 0; i + 1 < N; ++i) {
        float const low = ranks.level[i], high = ranks.level[i + 1];
        if constexpr (R == rounding::nearest_even)
            rank += v > ranks.midpoint(i) ? 1u : 0u;
        else if constexpr (R == rounding::nearest_away)
            rank += (ranks.midpoint(i) < 0.0f ? v > ranks.midpoint(i) : v >= ranks.midpoint(i))
                        ? 1u
                        : 0u;
        else
            // A mirrored dither may be 1: a level itself never moves.
            rank += v >= high || v - low > dither * (high - low) ? 1u : 0u;
    }
    return ranks.field[rank];
}

}  // namespace detail

/// The field of the level nearest to v by the rule R; values outside [-1, 1] take the outermost
/// level.
template <format F, rounding R = rounding::nearest_even>
[[nodiscard]] constexpr std::uint8_t float_to_codebook(float v, float dither = 0.5f) noexcept {
    static_assert(F.table != codebook::none);
    if constexpr (F.table == codebook::nf4) {
        return detail::nearest_field<R>(detail::nf4_ranks, v, dither);
    } else {
        bool const negative = v < 0.0f;
        auto const field = detail::nearest_field<R>(detail::fp4_ranks, negative ? -v : v,
                                                    negative ? 1.0f - dither : dither);
        return static_cast<std::uint8_t>(field | (negative ? 8 : 0));
    }
}

static_assert(
    [] {
        for (std::size_t i = 0; i + 1 < 16; ++i)
            if (nf4_levels[i] >= nf4_levels[i + 1]) return false;
        for (std::size_t i = 0; i + 1 < 8; ++i)
            if (detail::fp4_ranks.level[i] >= detail::fp4_ranks.level[i + 1]) return false;
        return true;
    }(),
    "ranked levels rise");
static_assert(float_to_codebook<nf4>(2.0f) == 15 && float_to_codebook<nf4>(0.0f) == 7);
static_assert(float_to_codebook<fp4>(-1.0f) == 11 && fp4_levels[2] == 8.0f / 12.0f);

}  // namespace qtk
