// SPDX-License-Identifier: Apache-2.0
//
// What does an encoder have to know of a format beside scale and zero? Only the kind of code and
// the rounding change its instructions; the rest are these numbers, so that one kernel serves every
// number of bits.
//
// Codebooks are searched in four comparisons, as in a binary tree: row k of `search` holds the
// thresholds of its level k. Midpoints may be met exactly, and the roundings differ there; a
// threshold that an equal value must pass is stored one float lower, so that `>` serves all.
#pragma once

#include <qtk/core/random.hpp>
#include <qtk/format/codebook.hpp>
#include <qtk/format/levels.hpp>
#include <qtk/format/minifloat.hpp>

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>

namespace qtk {

/// Where stochastic rounding takes its chance from: value i of a span uses word first + i of the
/// stream of `seed`.
struct dither_source {
    std::uint64_t seed = 0, first = 0;

    [[nodiscard]] constexpr float at(std::size_t i) const noexcept {
        return half_open_unit(word_at(seed, first + i));
    }
    /// The source of the span that starts i values later.
    [[nodiscard]] constexpr dither_source from(std::size_t i) const noexcept {
        return {seed, first + i};
    }
};

/// Values that are measured, fitted and encoded before the next ones are touched, 8 KiB that stay in
/// the first-level cache with their codes; and how far ahead memory is asked where that helps.
inline constexpr std::size_t encode_block_values = 2048, encode_ahead = 1024;
/// Tiles of 16 values and more that such a block can touch, and some that fill a vector.
inline constexpr std::size_t encode_piece_tiles = encode_block_values / 16 + 16;

/// An interval without initializers: kernels fill arrays of them.
struct extremes {
    float lowest, highest;
};

/// What changes the instructions of an encoder.
enum class code_kind : std::uint8_t { integer, minifloat, nf4, fp4 };

[[nodiscard]] constexpr code_kind kind_of(format const& f) noexcept {
    if (f.is_integer()) return code_kind::integer;
    if (f.kind == numeral::minifloat) return code_kind::minifloat;
    return f.table == codebook::nf4 ? code_kind::nf4 : code_kind::fp4;
}

/// Kernels copy it: what they store might otherwise change it, for all that a compiler knows.
struct minifloat_rule {
    int mantissa = 0;           ///< Bits of the mantissa,
    std::int32_t smallest = 0;  ///< the smallest exponent where a float has it, from bit 23,
    std::int32_t top = 0;       ///< the field of the largest finite value,
    std::int32_t sign = 0;      ///< the field's sign bit,
    float largest = 0.0f;       ///< the largest finite value.
};

struct code_rule {
    int lowest = 0, highest = 255;  ///< Integers: the fields that an encoder may give.

    minifloat_rule minifloat;

    alignas(32) std::array<std::array<float, 8>, 4> search{};  ///< Codebooks: see above,
    alignas(64) std::array<float, 16> level{};                 ///< and the levels by rank.
};

namespace detail {

/// The largest float below a finite x.
[[nodiscard]] constexpr float next_below(float x) noexcept {
    if (x == 0.0f) return -std::numeric_limits<float>::denorm_min();
    auto const bits = std::bit_cast<std::uint32_t>(x);
    return std::bit_cast<float>(x > 0.0f ? bits - 1 : bits + 1);
}

template <std::size_t N>
constexpr void set_ranks(code_rule& rule, ranked_levels<N> const& ranks, rounding round) noexcept {
    constexpr float never = std::numeric_limits<float>::infinity();
    std::array<float, 16> above{};  // rank > i where v > above[i]
    above.fill(never);
    rule.level.fill(never);
    for (std::size_t i = 0; i < N; ++i) rule.level[i] = ranks.level[i];
    for (std::size_t i = 0; i + 1 < N; ++i) {
        float const middle = ranks.midpoint(i);
        if (round == rounding::stochastic)
            above[i] = next_below(ranks.level[i + 1]);
        else
            above[i] =
                round == rounding::nearest_even || middle < 0.0f ? middle : next_below(middle);
    }
    for (std::size_t k = 0; k < 4; ++k)
        for (std::size_t i = 0; i < (std::size_t{1} << k); ++i)
            rule.search[k][i] = above[(std::size_t{8} >> k) * (2 * i + 1) - 1];
}

}  // namespace detail

/// The rule of a format: what does not change the instructions.
[[nodiscard]] constexpr code_rule rule_for(format const& f, bool has_zero_point,
                                           rounding round) noexcept {
    code_rule rule;
    switch (kind_of(f)) {
        case code_kind::integer:
            rule.lowest = has_zero_point ? 0 : 1;
            rule.highest = f.patterns() - 1;
            break;
        case code_kind::minifloat:
            rule.minifloat.mantissa = f.mantissa();
            rule.minifloat.smallest = (1 - minifloat_bias(f) + 127) << 23;
            rule.minifloat.top = minifloat_top(f);
            rule.minifloat.sign = 1 << (f.bits - 1);
            rule.minifloat.largest = minifloat_max(f);
            break;
        case code_kind::nf4:
            detail::set_ranks(rule, detail::nf4_ranks, round);
            break;
        case code_kind::fp4:
            detail::set_ranks(rule, detail::fp4_ranks, round);
            break;
    }
    return rule;
}

/// The rule of a quantizer whose format is known to the compiler, such as tile_quantizer.
template <typename Q>
[[nodiscard]] constexpr code_rule rule_of() noexcept {
    return rule_for(Q::element, Q::has_zero_point, Q::round);
}

/// A tile whose values are divided by multiplying: v = x * inverse + x * rest, the latter with one
/// rounding, where inverse + rest is 1 / scale to 48 bits (Brisebarre, Muller, Raina 2004,
/// "Accelerating correctly rounded floating-point division when the divisor is known in advance").
/// The quotient may be off by one unit, but never across a multiple of a half: all 2^23 mantissas
/// of a scale were tried with every float within two units of each half up to 255.5, and only the
/// mantissa of ones fails. Extreme exponents, where a product could leave the normal floats, are
/// left to division as well.
[[nodiscard]] constexpr bool divides_by_product(float scale) noexcept {
    auto const bits = std::bit_cast<std::uint32_t>(scale);
    std::uint32_t const exponent = bits >> 23;
    return exponent - (127u - 60u) <= 120u && (bits & 0x7fffffu) != 0x7fffffu;
}

static_assert(divides_by_product(1.0f) && divides_by_product(0x1p-60f) &&
              !divides_by_product(0x1p-61f) && !divides_by_product(0x1.fffffep0f) &&
              !divides_by_product(-1.0f));

}  // namespace qtk
