// SPDX-License-Identifier: Apache-2.0
//
// How do many values become fields? `encode_span_scalar` is the
// meaning: the quantizer's encode, value by value. The vector paths do the same divisions, clamps
// and roundings lane by lane and give the same bits, for every format and rounding: the instructions
// depend on the kind of code and the rounding alone. Quantizers other than tile_quantizer and
// any_quantizer are taken value by value.
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
#include <qtk/quantizer/any_quantizer.hpp>
#include <qtk/quantizer/tile_quantizer.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace qtk {

/// Fields of x, one byte each; `fields` has room for x.size(). Values must be finite.
template <quantizer Q>
void encode_span_scalar(Q const& q, std::span<float const> x, tile_params p, std::uint8_t* fields,
                        dither_source dither = {}) noexcept {
    for (std::size_t i = 0; i < x.size(); ++i) {
        if (q.round == rounding::stochastic)
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

/// Are there kernels that do what Q does?
template <typename Q>
inline constexpr bool has_encoder = is_tile_quantizer<Q> || std::same_as<Q, any_quantizer>;
}  // namespace detail

#if QTK_HAS_XSIMD
// In a file that is compiled for AVX-512, g++ 12 takes operands that its own headers leave undefined on
// purpose for mistakes (GCC PR105593).
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
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
template <rounding R>
[[nodiscard]] ints minifloat_lanes(minifloat_rule const& m, floats v, floats dither) noexcept {
    ints const bits = bits_of(v), smallest(m.smallest);
    floats const magnitude = xsimd::min(floats_of_bits(bits & ints(0x7fffffff)), floats(m.largest));
    ints const exponent = xsimd::max(bits_of(magnitude) & ints(0x7f800000), smallest);
    floats const per_unit = floats_of_bits(ints((254 + m.mantissa) << 23) - exponent);
    floats const toss = xsimd::select(v < floats(0.0f), floats(1.0f) - dither, dither);
    ints const count = xsimd::to_int(round_lanes<R>(magnitude * per_unit, toss));
    ints const field = ((exponent - smallest) >> (23 - m.mantissa)) + count;
    ints const sign = (bits >> 31) & ints(m.sign);
    return xsimd::min(field, ints(m.top)) | sign;
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
template <code_kind Kind, rounding R>
[[nodiscard]] ints encode_lanes(code_rule const& rule, floats x, tile_params p,
                                floats dither) noexcept {
    floats const v = x / floats(p.scale);
    if constexpr (Kind == code_kind::integer) {
        floats const lowest(static_cast<float>(rule.lowest - p.zero)),
            highest(static_cast<float>(rule.highest - p.zero));
        floats const clamped = xsimd::min(xsimd::max(v, lowest), highest);
        return xsimd::to_int(round_lanes<R>(clamped, dither)) + ints(p.zero);
    } else if constexpr (Kind == code_kind::minifloat) {
        return minifloat_lanes<R>(rule.minifloat, v, dither);
    } else if constexpr (Kind == code_kind::nf4) {
        return rank_lanes<R>(qtk::detail::nf4_ranks, v, dither);
    } else {
        auto const is_negative = v < floats(0.0f);
        ints const rank = rank_lanes<R>(qtk::detail::fp4_ranks, xsimd::select(is_negative, -v, v),
                                        xsimd::select(is_negative, floats(1.0f) - dither, dither));
        return fp4_field_of_rank(rank, ints(2)) |
               xsimd::to_int(xsimd::select(is_negative, floats(8.0f), floats(0.0f)));
    }
}

/// The fields of a block of values.
template <code_kind Kind, rounding R>
void encode_block(code_rule const& rule, float const* x, tile_params p, dither_source dither,
                  std::uint8_t* fields) noexcept {
    alignas(64) std::int32_t codes[block];
    alignas(64) float chance[block] = {};
    if constexpr (R == rounding::stochastic)
        for (std::size_t k = 0; k < block; ++k) chance[k] = dither.at(k);
    for (std::size_t k = 0; k < block; k += lanes)
        encode_lanes<Kind, R>(rule, floats::load_unaligned(x + k), p,
                              floats::load_aligned(chance + k))
            .store_aligned(codes + k);
    for (std::size_t k = 0; k < block; ++k) fields[k] = static_cast<std::uint8_t>(codes[k]);
}

/// The fields of n values of one tile.
template <code_kind Kind, rounding R>
void encode_span(code_rule const& rule, float const* x, std::size_t n, tile_params p,
                 dither_source dither, std::uint8_t* fields) noexcept {
    std::size_t i = 0;
    for (; i + block <= n; i += block)
        encode_block<Kind, R>(rule, x + i, p, dither.from(i), fields + i);
    if (i == n) return;
    float rest[block] = {};
    std::uint8_t codes[block];
    std::memcpy(rest, x + i, (n - i) * sizeof(float));
    encode_block<Kind, R>(rule, rest, p, dither.from(i), codes);
    std::memcpy(fields + i, codes, n - i);
}

/// The fields of n values of one row, of which the first has the column `left`; p are its tiles.
template <code_kind Kind, rounding R>
void encode_tiles(code_rule const& rule, tile_params const* p, float const* x, std::size_t n,
                  std::size_t left, std::size_t tile, dither_source dither,
                  std::uint8_t* fields) noexcept {
    std::size_t i = 0;
    for (std::size_t j = left / tile; i < n; ++j) {
        std::size_t const width = std::min(n - i, (j + 1) * tile - (left + i));
        encode_span<Kind, R>(rule, x + i, width, p[j], dither.from(i), fields + i);
        i += width;
    }
}

}  // namespace QTK_ABI_NS
}  // namespace portable
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif
#endif

namespace detail {
inline namespace QTK_ABI_NS {

/// encode_tiles with a kernel of `set`, which is not the scalar one.
template <code_kind Kind, rounding R>
void encode_tiles_on(instruction_set set, code_rule const& rule, tile_params const* p,
                     std::span<float const> x, std::size_t left, std::size_t tile,
                     [[maybe_unused]] bool is_bounded, bool is_packed, dither_source dither,
                     std::uint8_t* fields) noexcept {
#if QTK_HAS_X86
    if (set >= instruction_set::avx512)
        return avx512::encode_tiles<Kind, R>(rule, p, x.data(), x.size(), left, tile, is_bounded,
                                             is_packed, dither, fields);
    if (set == instruction_set::avx2)
        return avx2::encode_tiles<Kind, R>(rule, p, x.data(), x.size(), left, tile, is_bounded,
                                           is_packed, dither, fields);
#endif
    static_cast<void>(set);
    QTK_EXPECTS(!is_packed);
#if QTK_HAS_XSIMD
    portable::encode_tiles<Kind, R>(rule, p, x.data(), x.size(), left, tile, dither, fields);
#endif
}

#if defined(QTK_KERNELS_ELSEWHERE) || defined(QTK_KERNELS_HERE)
#if defined(QTK_KERNELS_HERE)
#define QTK_KERNEL_TEMPLATE template
#else
#define QTK_KERNEL_TEMPLATE extern template
#endif
#define QTK_ENCODER(kind, round)                                                       \
    QTK_KERNEL_TEMPLATE void encode_tiles_on<code_kind::kind, rounding::round>(        \
        instruction_set, code_rule const&, tile_params const*, std::span<float const>, \
        std::size_t, std::size_t, bool, bool, dither_source, std::uint8_t*) noexcept;
#define QTK_ENCODERS(kind)          \
    QTK_ENCODER(kind, nearest_even) \
    QTK_ENCODER(kind, nearest_away) \
    QTK_ENCODER(kind, stochastic)
QTK_ENCODERS(integer)
QTK_ENCODERS(minifloat)
QTK_ENCODERS(nf4)
QTK_ENCODERS(fp4)
#undef QTK_ENCODERS
#undef QTK_ENCODER
#undef QTK_KERNEL_TEMPLATE
#endif

/// The rule of a codebook, made once.
template <code_kind Kind, rounding R>
inline constexpr code_rule codebook_rule = rule_for(Kind == code_kind::nf4 ? qtk::nf4 : qtk::fp4,
                                                    false, R);

/// Calls f.template operator()<kind, R>(rule) for the format of q.
template <rounding R, typename F>
void with_rule_rounded(any_quantizer const& q, F const& f) {
    using enum code_kind;
    switch (kind_of(q.element)) {
        case integer:
            return f.template operator()<integer, R>(rule_for(q.element, q.has_zero_point, R));
        case minifloat:
            return f.template operator()<minifloat, R>(rule_for(q.element, false, R));
        case code_kind::nf4:
            return f.template operator()<code_kind::nf4, R>(codebook_rule<code_kind::nf4, R>);
        case code_kind::fp4:
            return f.template operator()<code_kind::fp4, R>(codebook_rule<code_kind::fp4, R>);
    }
}
template <typename F>
void with_rule(any_quantizer const& q, F const& f) {
    switch (q.round) {
        case rounding::nearest_even:
            return with_rule_rounded<rounding::nearest_even>(q, f);
        case rounding::nearest_away:
            return with_rule_rounded<rounding::nearest_away>(q, f);
        case rounding::stochastic:
            return with_rule_rounded<rounding::stochastic>(q, f);
    }
}
/// The same where the compiler knows the format.
template <typename Q, typename F>
requires is_tile_quantizer<Q>
void with_rule(Q const&, F const& f) {
    static constexpr code_rule rule = rule_of<Q>();
    f.template operator()<kind_of(Q::element), Q::round>(rule);
}

}  // namespace QTK_ABI_NS
}  // namespace detail

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
#if QTK_HAS_X86 || QTK_HAS_XSIMD
    if constexpr (detail::has_encoder<Q>)
        if (set != instruction_set::scalar)
            return detail::with_rule(q, [&]<code_kind Kind, rounding R>(code_rule const& rule) {
                detail::encode_tiles_on<Kind, R>(set, rule, p, x, left, tile, is_bounded, is_packed,
                                                 dither, fields);
            });
#endif
    QTK_EXPECTS(!is_packed);
    static_cast<void>(set), static_cast<void>(is_bounded);
    std::size_t i = 0;
    for (std::size_t j = left / tile; i < x.size(); ++j) {
        std::size_t const width = std::min(x.size() - i, (j + 1) * tile - (left + i));
        encode_span_scalar(q, x.subspan(i, width), p[j], fields + i, dither.from(i));
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
