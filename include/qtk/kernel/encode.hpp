// SPDX-License-Identifier: Apache-2.0
//
// How do many values of one tile become fields? `encode_span_scalar` is the meaning: the
// quantizer's encode, value by value. The xsimd path does the same divisions, clamps and roundings
// on a vector at a time and gives the same bits; codebooks count the thresholds below a value,
// minifloats stay scalar.
#pragma once

#include <qtk/core/abi.hpp>
#include <qtk/core/concepts.hpp>
#include <qtk/core/random.hpp>
#include <qtk/format/codebook.hpp>
#include <qtk/format/round.hpp>
#include <qtk/kernel/isa.hpp>

#include <cstddef>
#include <cstdint>
#include <span>

#if QTK_HAS_XSIMD
#include <xsimd/xsimd.hpp>
#endif

namespace qtk {

/// Where stochastic rounding takes its chance from: value i of a span uses word first + i of the
/// stream of `seed`.
struct dither_source {
    std::uint64_t seed = 0, first = 0;

    [[nodiscard]] constexpr float at(std::size_t i) const noexcept {
        return half_open_unit(word_at(seed, first + i));
    }
};

/// Fields of x, one byte each; `fields` has room for x.size(). Values must be finite.
template <quantizer Q>
void encode_span_scalar(Q const& q, std::span<float const> x, tile_params p, std::uint8_t* fields,
                        dither_source dither = {}) noexcept {
    for (std::size_t i = 0; i < x.size(); ++i) {
        if constexpr (Q::round == rounding::stochastic)
            fields[i] = q.encode(x[i], p, dither.at(i));
        else
            fields[i] = q.encode(x[i], p);
    }
}

#if QTK_HAS_XSIMD
namespace portable {
inline namespace QTK_ABI_NS {

using floats = xsimd::batch<float>;

/// The vector twin of round_by<R>.
template <rounding R>
[[nodiscard]] inline floats round_lanes(floats v, floats dither) noexcept {
    floats const one(1.0f), none(0.0f);
    if constexpr (R == rounding::nearest_even) {
        return (v + floats(round_magic)) - floats(round_magic);
    } else {
        floats const whole = xsimd::to_float(xsimd::to_int(v));
        if constexpr (R == rounding::nearest_away) {
            floats const fraction = v - whole;
            return whole + xsimd::select(fraction >= floats(0.5f), one, none) -
                   xsimd::select(fraction <= floats(-0.5f), one, none);
        } else {
            floats const below = whole - xsimd::select(whole > v, one, none);
            return below + xsimd::select(dither < v - below, one, none);
        }
    }
}

/// One vector of field numbers, still as floats.
template <typename Q>
[[nodiscard]] inline floats encode_lanes(floats x, tile_params p, floats dither) noexcept {
    floats const v = x / floats(p.scale);
    if constexpr (Q::element.is_integer()) {
        auto const zero = static_cast<float>(p.zero);
        floats const clamped =
            xsimd::min(xsimd::max(v, floats(Q::lowest - zero)), floats(Q::highest - zero));
        return round_lanes<Q::round>(clamped, dither) + floats(zero);
    } else {
        floats rank(0.0f);
        for (std::size_t i = 0; i + 1 < 16; ++i)
            rank += xsimd::select(v > floats(detail::nf4_ranks.midpoint(i)), floats(1.0f),
                                  floats(0.0f));
        return rank;
    }
}

template <typename Q>
void encode_span(Q const& q, std::span<float const> x, tile_params p, std::uint8_t* fields,
                 dither_source dither) noexcept {
    constexpr std::size_t lanes = floats::size;
    alignas(64) std::int32_t codes[lanes];
    alignas(64) float chance[lanes] = {};
    std::size_t i = 0;
    for (; i + lanes <= x.size(); i += lanes) {
        if constexpr (Q::round == rounding::stochastic)
            for (std::size_t k = 0; k < lanes; ++k) chance[k] = dither.at(i + k);
        floats const coded =
            encode_lanes<Q>(floats::load_unaligned(x.data() + i), p, floats::load_aligned(chance));
        xsimd::to_int(coded).store_aligned(codes);
        for (std::size_t k = 0; k < lanes; ++k) fields[i + k] = static_cast<std::uint8_t>(codes[k]);
    }
    encode_span_scalar(q, x.subspan(i), p, fields + i, {dither.seed, dither.first + i});
}

}  // namespace QTK_ABI_NS
}  // namespace portable
#endif

inline namespace QTK_ABI_NS {

/// The same as encode_span_scalar, bit for bit, as fast as the instruction set in use allows.
template <quantizer Q>
void encode_span(Q const& q, std::span<float const> x, tile_params p, std::uint8_t* fields,
                 dither_source dither = {}) noexcept {
#if QTK_HAS_XSIMD
    constexpr bool is_nearest_nf4 = Q::element == nf4 && Q::round == rounding::nearest_even;
    if constexpr (Q::element.is_integer() || is_nearest_nf4)
        if (active_isa() == instruction_set::xsimd)
            return portable::encode_span(q, x, p, fields, dither);
#endif
    encode_span_scalar(q, x, p, fields, dither);
}

}  // namespace QTK_ABI_NS
}  // namespace qtk
