// SPDX-License-Identifier: Apache-2.0
//
// How fast is a product of up to four rows of int8 activations? As fast as the packed bytes arrive:
// codes become operands as they flow by, sums stay in registers. The bias of offset-binary fields is
// folded away by starting each sum at -bias * sum(codes of x).
#pragma once

#include <qtk/core/abi.hpp>
#include <qtk/kernel/avx512/block_header.hpp>
#include <qtk/kernel/avx512/operands.hpp>
#include <qtk/kernel/cpu.hpp>
#include <qtk/kernel/epilogue.hpp>
#include <qtk/kernel/product_scalar.hpp>
#include <qtk/kernel/quantized_rows.hpp>
#include <qtk/kernel/target.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>

#if QTK_HAS_X86

namespace qtk::avx512 {
inline namespace QTK_ABI_NS {

/// Up to so many rows take their codes from the stream; a panel of it is still in the second-level
/// cache when the second eight rows come.
inline constexpr std::size_t most_streamed = 16;

/// What one call multiplies with, looked up once.
struct int8_context {
    packed_view const* w = nullptr;
    quantized_rows const* x = nullptr;
    float unit = 1.0f;
    int bias = 0;    ///< of the stored bytes: what is subtracted to get the integer level
    int middle = 0;  ///< the zero field of symmetric schemes
    bool streams_by_itself = cpu().streams_by_itself;
    alignas(16) std::uint8_t table[16] = {};

    int8_context(packed_view const& weights, quantized_rows const& rows) noexcept
        : w(&weights), x(&rows), middle(symmetric_zero(weights.element)) {
        bias = middle;
        if (!is_looked_up(weights.element)) return;
        integer_table const levels = integer_table_of(weights.element);
        unit = levels.unit;
        bias = levels.bias;
        for (std::size_t i = 0; i < 16; ++i)
            table[i] = static_cast<std::uint8_t>(levels.value[i] + levels.bias);
    }
};

/// Sums of left-scaled operands are kept apart while registers last; with one row, two chains of sums
/// hide the latency of the instruction.
template <int Kind, std::size_t R>
inline constexpr bool keeps_scaled = Kind < 8 && R <= 4;
template <std::size_t R>
inline constexpr std::size_t chains = R == 1 ? 2 : 1;

QTK_AVX512_REGION

QTK_ALWAYS_INLINE __m512i four_codes(std::int8_t const* x) {
    int word;
    std::memcpy(&word, x, 4);
    return _mm512_set1_epi32(word);
}
template <std::size_t Lines>
QTK_ALWAYS_INLINE void prefetch(std::uint8_t const* p) {
    QTK_UNROLL
    for (std::size_t i = 0; i < Lines; ++i)
        _mm_prefetch(reinterpret_cast<char const*>(p + i * cache_line), _MM_HINT_T0);
}

/// Sums of R rows over one unit: plain[r][h], and those of left-scaled operands apart.
template <int Kind, int Q, std::size_t R>
QTK_ALWAYS_INLINE void half_unit_times_rows(std::uint8_t const* unit, std::int8_t const* x,
                                            __m512i table, __m512i (&plain)[R][2],
                                            __m512i (&scaled)[R][2]) {
    __m512i a[4], b[4];
    operands<Kind, Q>(unit, 0, table, a);
    operands<Kind, Q>(unit, 1, table, b);
    QTK_UNROLL
    for (int i = 0; i < 4; ++i) {
        bool const apart = keeps_scaled<Kind, R> && is_left_scaled(Kind, i);
        if (!apart && is_left_scaled(Kind, i)) {
            a[i] = brought_down<Kind>(a[i]);
            b[i] = brought_down<Kind>(b[i]);
        }
        QTK_UNROLL
        for (std::size_t r = 0; r < R; ++r) {
            __m512i const four = four_codes(x + 64 * r + (16 * Q + 4 * i));
            __m512i(&sum)[2] = apart ? scaled[r] : plain[r];
            sum[0] = _mm512_dpbusd_epi32(sum[0], a[i], four);
            sum[1] = _mm512_dpbusd_epi32(sum[1], b[i], four);
        }
    }
}

/// The share of one block, codes of R rows from `row` on, added to their sums.
template <int Kind, std::size_t R>
QTK_ALWAYS_INLINE void stream_block(int8_context const& job, std::uint8_t const* block,
                                    std::size_t g, block_scales const& s, std::size_t row,
                                    __m512 (&y)[R][2]) noexcept {
    packed_layout const& w = job.w->layout;
    quantized_rows const& x = *job.x;
    bool const asks_ahead = R > 1 || !job.streams_by_itself;
    __m512i const table =
        _mm512_broadcast_i32x4(_mm_load_si128(reinterpret_cast<__m128i const*>(job.table)));
    std::size_t const tile = x.tile_rows * tile_depth, units = x.plan.units, all = w.units_of(g);
    std::int8_t const* const codes = x.code(row, 0);
    std::uint8_t const* unit = block + w.header_bytes;
    std::size_t segment = x.at(row, g * x.plan.segments), k = g * w.group_units * unit_depth;
    if (asks_ahead) prefetch<1>(block + 1024);
    for (std::size_t u = 0; u < all; segment += x.tile_rows) {
        std::size_t const end = all - u < units ? all : u + units;
        __m512i plain[chains<R>][R][2], scaled[chains<R>][R][2];
        QTK_UNROLL
        for (std::size_t r = 0; r < R; ++r) {
            __m512i const start = _mm512_set1_epi32(-job.bias * x.sums[segment + r]);
            for (std::size_t chain = 0; chain < chains<R>; ++chain)
                for (int h = 0; h < 2; ++h) {
                    plain[chain][r][h] = chain == 0 ? start : _mm512_setzero_si512();
                    scaled[chain][r][h] = _mm512_setzero_si512();
                }
        }
        for (; u < end; ++u, unit += w.unit_bytes, k += unit_depth) {
            if (asks_ahead) prefetch<lines_of(Kind)>(unit + 1024);
            std::int8_t const* const at = codes + k / tile_depth * tile + k % tile_depth;
            half_unit_times_rows<Kind, 0, R>(unit, at, table, plain[0], scaled[0]);
            half_unit_times_rows<Kind, 1, R>(unit, at, table, plain[chains<R> - 1],
                                             scaled[chains<R> - 1]);
        }
        QTK_UNROLL
        for (std::size_t r = 0; r < R; ++r) {
            float const a = x.has_row_scales() ? 1.0f : x.scales[segment + r];
            float const a_sum = a * static_cast<float>(x.sums[segment + r]);
            QTK_UNROLL
            for (std::size_t h = 0; h < 2; ++h) {
                __m512i dot = plain[0][r][h], high = scaled[0][r][h];
                if constexpr (chains < R >> 1) {
                    dot = _mm512_add_epi32(dot, plain[1][r][h]);
                    high = _mm512_add_epi32(high, scaled[1][r][h]);
                }
                if constexpr (keeps_scaled<Kind, R>)
                    dot = _mm512_add_epi32(dot, _mm512_srai_epi32(high, scaled_by(Kind)));
                y[r][h] = scaled_sum(dot, s.scale[h], s.shift[h], w.has_zero, a, a_sum, y[r][h]);
            }
        }
    }
}

/// Rows [row, row + rows) times panel p: up to Times groups of R of them over each block while it is
/// in the nearest cache. c [Times * R][32] receives the sums.
template <int Kind, std::size_t R, std::size_t Times = 1>
inline void stream_panel(int8_context const& job, std::size_t p, std::size_t row, std::size_t rows,
                         float* c) noexcept {
    packed_layout const& w = job.w->layout;
    quantized_rows const& x = *job.x;
    __m512 y[Times][R][2];
    for (auto& group : y)
        for (auto& sums : group) sums[0] = sums[1] = _mm512_setzero_ps();
    std::uint8_t const* block = job.w->panel(p);
    for (std::size_t g = 0; g < w.groups; ++g, block += w.block_bytes) {
        block_scales const s = load_header(w, block, job.w->tensor_scale, job.unit, job.middle);
        stream_block<Kind, R>(job, block, g, s, row, y[0]);
        for (std::size_t i = 1; i < Times && i * R < rows; ++i)
            stream_block<Kind, R>(job, block, g, s, row + i * R, y[i]);
    }
    for (std::size_t r = 0; r < rows; ++r) {
        __m512 const a = _mm512_set1_ps(x.has_row_scales() ? x.scales[row + r] : 1.0f);
        for (std::size_t h = 0; h < 2; ++h)
            _mm512_store_ps(c + 32 * r + 16 * h, x.has_row_scales()
                                                     ? _mm512_mul_ps(y[r / R][r % R][h], a)
                                                     : y[r / R][r % R][h]);
    }
}

template <int Kind>
inline void stream_panels(int8_context const& job, product_part const& part,
                          output_rows const& y) noexcept {
    alignas(64) float c[most_streamed * panel_columns];
    std::size_t const rows = part.row_end - part.row;
    for (std::size_t p = part.panel; p < part.panel_end; ++p) {
        if (rows == 1)
            stream_panel<Kind, 1>(job, p, part.row, rows, c);
        else if (rows == 2)
            stream_panel<Kind, 2>(job, p, part.row, rows, c);
        else if (rows <= 4)
            stream_panel<Kind, 4>(job, p, part.row, rows, c);
        else
            stream_panel<Kind, 8, most_streamed / 8>(job, p, part.row, rows, c);
        write_panel(c, rows, part.row, p, y);
    }
}

QTK_REGION_END

}  // namespace QTK_ABI_NS
}  // namespace qtk::avx512

#endif
