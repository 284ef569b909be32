// SPDX-License-Identifier: Apache-2.0
//
// How do many values become fields? `encode_span_scalar` is the
// meaning: the quantizer's encode, value by value. The vector paths do the same divisions, clamps
// and roundings lane by lane and give the same bits, for every format and rounding. Quantizers other
// than tile_quantizer are taken value by value.
#pragma once

#include <qtk/core/abi.hpp>
#include <qtk/core/concepts.hpp>
#include <qtk/core/random.hpp>
#include <qtk/format/codebook.hpp>
#include <qtk/format/minifloat.hpp>
#include <qtk/format/round.hpp>
#include <qtk/kernel/avx2/encode.hpp>
#include <qtk/kernel/avx512/encode.hpp>
#include <qtk/kernel/code_rule.hpp>
#include <qtk/kernel/isa.hpp>
#include <qtk/kernel/simd.hpp>
#include <qtk/quantizer/tile_quantizer.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

namespace qtk {

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

namespace detail {
template <typename Q>
inline constexpr bool is_tile_quantizer = false;
template <format Element, origin Zero, rounding Round>
inline constexpr bool is_tile_quantizer<tile_quantizer<Element, Zero, Round>> = true;
}  // namespace detail

#if QTK_HAS_XSIMD
namespace portable {
inline namespace QTK_ABI_NS {

/// The vector twin of round_by<R>.
template <rounding R>
[[nodiscard]] floats round_lanes(floats v, floats dither) noexcept {
    if constexpr (R == rounding::nearest_even) {
        return (v + floats(round_magic)) - floats(round_magic);
    } else {
        floats const whole = xsimd::to_float(xsimd::to_int(v));
        if constexpr (R == rounding::nearest_away) {
            floats const fraction = v - whole;
            return whole + one_where(fraction >= floats(0.5f)) -
                   one_where(fraction <= floats(-0.5f));
        } else {
            floats const below = whole - one_where(whole > v);
            return below + one_where(dither < v - below);
        }
    }
}

/// The vector twin of float_to_minifloat: exponents stay where a float has them, at bit 23.
template <format F, rounding R>
[[nodiscard]] ints minifloat_lanes(floats v, floats dither) noexcept {
    constexpr int mantissa = F.mantissa();
    constexpr std::int32_t smallest = (1 - minifloat_bias(F) + 127) << 23;
    ints const bits = bits_of(v);
    floats const magnitude =
        xsimd::min(floats_of_bits(bits & ints(0x7fffffff)), floats(minifloat_max(F)));
    ints const exponent = xsimd::max(bits_of(magnitude) & ints(0x7f800000), ints(smallest));
    floats const per_unit = floats_of_bits(ints((254 + mantissa) << 23) - exponent);
    floats const toss = xsimd::select(v < floats(0.0f), floats(1.0f) - dither, dither);
    ints const count = xsimd::to_int(round_lanes<R>(magnitude * per_unit, toss));
    ints const field = ((exponent - ints(smallest)) >> (23 - mantissa)) + count;
    ints const sign = (bits >> 31) & ints(1 << (F.bits - 1));
    return xsimd::min(field, ints(minifloat_top(F))) | sign;
}

/// The vector twin of detail::nearest_field, before a rank becomes a field.
template <rounding R, std::size_t N>
[[nodiscard]] ints rank_lanes(qtk::detail::ranked_levels<N> const& ranks, floats v,
                              floats dither) noexcept {
    floats rank(0.0f);
    for (std::size_t i = 0; i + 1 < N; ++i) {
        floats const low(ranks.level[i]), high(ranks.level[i + 1]), middle(ranks.midpoint(i));
        if constexpr (R == rounding::stochastic)
            rank +=
                xsimd::select(v >= high, floats(1.0f), one_where(v - low > dither * (high - low)));
        else if (R == rounding::nearest_even || ranks.midpoint(i) < 0.0f)
            rank += one_where(v > middle);
        else
            rank += one_where(v >= middle);
    }
    return xsimd::to_int(rank);
}

/// Ranks 2, 3 and 6, 7 of fp4 trade places: bit 1 flips bit 2.
[[nodiscard]] constexpr auto fp4_field_of_rank(auto rank, auto two) noexcept {
    return rank ^ ((rank & two) << 1);
}
static_assert([] {
    for (int rank = 0; rank < 8; ++rank)
        if (fp4_field_of_rank(rank, 2) != qtk::detail::fp4_ranks.field[std::size_t(rank)])
            return false;
    return true;
}());

/// The fields of one vector of values.
template <typename Q>
[[nodiscard]] ints encode_lanes(floats x, tile_params p, floats dither) noexcept {
    constexpr format element = Q::element;
    floats const v = x / floats(p.scale);
    if constexpr (element.is_integer()) {
        auto const zero = static_cast<float>(p.zero);
        floats const clamped =
            xsimd::min(xsimd::max(v, floats(Q::lowest - zero)), floats(Q::highest - zero));
        return xsimd::to_int(round_lanes<Q::round>(clamped, dither)) + ints(p.zero);
    } else if constexpr (element.kind == numeral::minifloat) {
        return minifloat_lanes<element, Q::round>(v, dither);
    } else if constexpr (element.table == codebook::nf4) {
        return rank_lanes<Q::round>(qtk::detail::nf4_ranks, v, dither);
    } else {
        auto const is_negative = v < floats(0.0f);
        ints const rank =
            rank_lanes<Q::round>(qtk::detail::fp4_ranks, xsimd::select(is_negative, -v, v),
                                 xsimd::select(is_negative, floats(1.0f) - dither, dither));
        return fp4_field_of_rank(rank, ints(2)) |
               xsimd::to_int(xsimd::select(is_negative, floats(8.0f), floats(0.0f)));
    }
}

template <typename Q>
void encode_span(Q const& q, std::span<float const> x, tile_params p, std::uint8_t* fields,
                 dither_source dither) noexcept {
    alignas(64) std::int32_t codes[block];
    alignas(64) float chance[block] = {};
    std::size_t i = 0;
    for (; i + block <= x.size(); i += block) {
        if constexpr (Q::round == rounding::stochastic)
            for (std::size_t k = 0; k < block; ++k) chance[k] = dither.at(i + k);
        for (std::size_t k = 0; k < block; k += lanes)
            encode_lanes<Q>(floats::load_unaligned(x.data() + i + k), p,
                            floats::load_aligned(chance + k))
                .store_aligned(codes + k);
        for (std::size_t k = 0; k < block; ++k) fields[i + k] = static_cast<std::uint8_t>(codes[k]);
    }
    encode_span_scalar(q, x.subspan(i), p, fields + i, {dither.seed, dither.first + i});
}

}  // namespace QTK_ABI_NS
}  // namespace portable
#endif

inline namespace QTK_ABI_NS {

/// The fields of neighbours in one row, of which the first has the column `left`; p are the row's
/// tiles. The same as encode_span_scalar tile by tile, bit for bit, with the instructions of `set`,
/// which must be usable. `is_bounded` promises that no |x| is above 2^20 scales of its tile, as
/// where the scale comes from the extremes; it saves the division. `is_packed` stores fields of 4
/// bits as pairs: for avx2 and wider alone, with even tiles and an even `left`.
template <quantizer Q>
void encode_tiles(instruction_set set, Q const& q, tile_params const* p, std::span<float const> x,
                  std::size_t left, std::size_t tile, bool is_bounded, bool is_packed,
                  dither_source dither, std::uint8_t* fields) noexcept {
#if QTK_HAS_X86
    if constexpr (detail::is_tile_quantizer<Q>) {
        static constexpr code_rule rule = rule_of<Q>();
        constexpr code_kind kind = kind_of(Q::element);
        if (set >= instruction_set::avx512)
            return avx512::encode_tiles<kind, Q::round>(rule, p, x.data(), x.size(), left, tile,
                                                        is_bounded, is_packed, dither, fields);
        if (set == instruction_set::avx2)
            return avx2::encode_tiles<kind, Q::round>(rule, p, x.data(), x.size(), left, tile,
                                                      is_bounded, is_packed, dither, fields);
    }
#endif
    QTK_EXPECTS(!is_packed);
    static_cast<void>(is_bounded);
    std::size_t i = 0;
    for (std::size_t j = left / tile; i < x.size(); ++j) {
        std::size_t const width = std::min(x.size() - i, (j + 1) * tile - (left + i));
        std::span<float const> const some = x.subspan(i, width);
#if QTK_HAS_XSIMD
        if constexpr (detail::is_tile_quantizer<Q>)
            if (set != instruction_set::scalar) {
                portable::encode_span(q, some, p[j], fields + i, dither.from(i));
                i += width;
                continue;
            }
#endif
        encode_span_scalar(q, some, p[j], fields + i, dither.from(i));
        i += width;
    }
}

/// The same as encode_span_scalar, bit for bit, with the instructions of `set`.
template <quantizer Q>
void encode_span(instruction_set set, Q const& q, std::span<float const> x, tile_params p,
                 std::uint8_t* fields, dither_source dither = {}) noexcept {
    if (!x.empty()) encode_tiles(set, q, &p, x, 0, x.size(), false, false, dither, fields);
}
/// The same, as fast as the instruction set in use allows. Throws value_error if QTK_ISA names
/// none.
template <quantizer Q>
void encode_span(Q const& q, std::span<float const> x, tile_params p, std::uint8_t* fields,
                 dither_source dither = {}) {
    encode_span(active_isa(), q, x, p, fields, dither);
}

}  // namespace QTK_ABI_NS
}  // namespace qtk
