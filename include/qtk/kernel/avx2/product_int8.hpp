// SPDX-License-Identifier: Apache-2.0
//
// How does AVX2 multiply int8 activations with packed weights? vpmaddubsw takes unsigned factors
// (operands.hpp); the bias of the fields comes off through the sums of the activations. Its results
// are added in 16 bits as long as they fit, so that widening them costs little.
//
//   up to 4 rows   factors straight from the stream, 32 outputs at a time
//   more           the factors of a chunk of 512 k are unpacked once and meet 4 rows at a time
#pragma once

#include <qtk/core/abi.hpp>
#include <qtk/kernel/aligned_bytes.hpp>
#include <qtk/kernel/avx2/block_params.hpp>
#include <qtk/kernel/avx2/operands.hpp>
#include <qtk/kernel/product_scalar.hpp>
#include <qtk/kernel/target.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#if QTK_HAS_X86

namespace qtk::avx2 {
inline namespace QTK_ABI_NS {

inline constexpr std::size_t chunk_units = 16;  ///< what is unpacked at once
inline constexpr std::size_t tile_height = 4;           ///< rows that share the loads of factors

/// Rows of activations that lie beside each other in their tile.
struct row_tile {
    std::int8_t const* codes = nullptr;
    float const* scales = nullptr;
    std::int32_t const* sums = nullptr;
    std::size_t unit_stride = 0, step = 0;  // of a pair of units, of a segment
    bool has_scales = false;

    row_tile(quantized_rows const& x, std::size_t row) noexcept
        : codes(x.code(row, 0)),
          scales(x.has_row_scales() ? nullptr : x.scales + x.at(row, 0)),
          sums(x.sums + x.at(row, 0)),
          unit_stride(x.tile_rows * tile_depth),
          step(x.tile_rows),
          has_scales(!x.has_row_scales()) {}
    [[nodiscard]] std::int8_t const* unit(std::size_t u) const noexcept {
        return codes + u / 2 * unit_stride + u % 2 * unit_depth;
    }
    [[nodiscard]] std::int32_t sum(std::size_t segment, std::size_t r) const noexcept {
        return sums[segment * step + r];
    }
    [[nodiscard]] float scale(std::size_t segment, std::size_t r) const noexcept {
        return has_scales ? scales[segment * step + r] : 1.0f;
    }
};

/// Units of a segment that lie in one chunk.
struct segment_piece {
    std::size_t first = 0, count = 0;          // in the chunk
    std::size_t unit = 0, segment = 0;         // on the axis of the activations
    bool begins = false, ends = false;
};

/// Unpacked factors, [group][unit][operand][2][32], and what belongs to their segments.
struct int8_chunk {
    alignas(64) std::uint8_t factors[4 * chunk_units * 512];
    block_params params[chunk_units];
    segment_piece pieces[chunk_units];
    std::size_t count = 0, units = 0;
    int bias = 0;
    float middle = 0.0f;
    bool has_zero = false;
};

/// A row block on its way: results c [rows][32], and sums of segments that the next chunk goes on
/// with.
struct int8_results {
    float* c = nullptr;
    std::int32_t* open = nullptr;
};

QTK_AVX2_REGION

[[nodiscard]] QTK_ALWAYS_INLINE __m256i load_ints(std::int32_t const* p) noexcept {
    return _mm256_loadu_si256(reinterpret_cast<__m256i const*>(p));
}
[[nodiscard]] QTK_ALWAYS_INLINE __m256i four_codes(std::int8_t const* x) noexcept {
    int bytes = 0;
    std::memcpy(&bytes, x, 4);
    return _mm256_set1_epi32(bytes);
}

/// c += the sum of a segment, 8 outputs of row r: the roundings of product_scalar.hpp.
QTK_ALWAYS_INLINE void scale_sum(float* c, __m256i sum, block_params const& p, std::size_t column,
                                 row_tile const& x, std::size_t segment, std::size_t r, float middle,
                                 bool has_zero) noexcept {
    __m256 const w = _mm256_load_ps(p.scale + column), a = _mm256_set1_ps(x.scale(segment, r));
    __m256 y =
        _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum), _mm256_mul_ps(w, a), _mm256_loadu_ps(c));
    if (has_zero) {
        __m256 const away =
            _mm256_sub_ps(_mm256_set1_ps(middle), _mm256_load_ps(p.zero + column));
        __m256 const all = _mm256_set1_ps(static_cast<float>(x.sum(segment, r)));
        y = _mm256_fmadd_ps(_mm256_mul_ps(w, away), _mm256_mul_ps(a, all), y);
    }
    _mm256_storeu_ps(c, y);
}

/// sum[r] = operands I to End - 1 of a unit times the codes of R rows, in 16 bits.
template <typename Factors, std::size_t R, int I, int End, typename Source>
QTK_ALWAYS_INLINE void multiply(Source const& w, std::uint8_t const* group, std::int8_t const* x,
                                __m256i (&sum)[R][2]) noexcept {
    __m256i a, b;
    w.template get<I>(group, a, b);
    QTK_UNROLL
    for (std::size_t r = 0; r < R; ++r) {
        __m256i const codes = four_codes(x + tile_depth * r + 4 * I);
        __m256i const p = _mm256_maddubs_epi16(a, codes), q = _mm256_maddubs_epi16(b, codes);
        constexpr bool is_first = I % Factors::addends == 0;
        sum[r][0] = is_first ? p : _mm256_add_epi16(sum[r][0], p);
        sum[r][1] = is_first ? q : _mm256_add_epi16(sum[r][1], q);
    }
    if constexpr (I + 1 < End) multiply<Factors, R, I + 1, End>(w, group, x, sum);
}

/// total += a unit from operand I on. Split factors use total[r][0] alone.
template <typename Factors, std::size_t R, int I = 0, typename Source>
QTK_ALWAYS_INLINE void add_unit(Source const& w, std::uint8_t const* group, std::int8_t const* x,
                                __m256i (&total)[R][2]) noexcept {
    __m256i const one = _mm256_set1_epi16(1), sixteen = _mm256_set1_epi16(16);
    __m256i sum[R][2];
    multiply<Factors, R, I, I + Factors::addends>(w, group, x, sum);
    QTK_UNROLL
    for (std::size_t r = 0; r < R; ++r) {
        __m256i const p = _mm256_madd_epi16(sum[r][0], one);
        __m256i const q = _mm256_madd_epi16(sum[r][1], Factors::is_split ? sixteen : one);
        total[r][0] = _mm256_add_epi32(total[r][0], p);
        std::size_t const second = Factors::is_split ? 0 : 1;
        total[r][second] = _mm256_add_epi32(total[r][second], q);
    }
    if constexpr (I + Factors::addends < 8)
        add_unit<Factors, R, I + Factors::addends>(w, group, x, total);
}

/// Factors that lie unpacked.
struct unpacked_factors {
    template <int I>
    QTK_ALWAYS_INLINE void get(std::uint8_t const* unit, __m256i& a, __m256i& b) const noexcept {
        a = load(unit + 64 * I);
        b = load(unit + 64 * I + 32);
    }
};

/// All pieces of a chunk times 4 rows: one group of outputs.
template <typename Factors>
inline void multiply_chunk(int8_chunk const& chunk, std::size_t group, row_tile const& x,
                           int8_results const& to) noexcept {
    constexpr std::size_t R = tile_height, vectors = Factors::is_split ? 1 : 2;
    std::uint8_t const* const factors = chunk.factors + group * chunk_units * 512;
    std::size_t const column = group * (panel_columns / Factors::groups);
    for (std::size_t i = 0; i < chunk.count; ++i) {
        segment_piece const& piece = chunk.pieces[i];
        __m256i total[R][2];
        QTK_UNROLL
        for (std::size_t r = 0; r < R; ++r)
            for (std::size_t v = 0; v < 2; ++v) {
                auto const at = panel_columns * r + column;
                total[r][v] =
                    piece.begins
                        ? _mm256_set1_epi32(-chunk.bias * x.sum(piece.segment, r))
                        : load_ints(to.open + at + 8 * (v % vectors));
            }
        for (std::size_t u = 0; u < piece.count; ++u)
            add_unit<Factors, R>(unpacked_factors{}, factors + 512 * (piece.first + u),
                                 x.unit(piece.unit + u), total);
        QTK_UNROLL
        for (std::size_t r = 0; r < R; ++r)
            for (std::size_t v = 0; v < vectors; ++v) {
                auto const of = column + 8 * v;
                auto const at = panel_columns * r + of;
                if (piece.ends)
                    scale_sum(to.c + at, total[r][v], chunk.params[i], of, x, piece.segment, r,
                              chunk.middle, chunk.has_zero);
                else
                    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to.open + at), total[r][v]);
            }
    }
}

template <typename Factors, int I = 0>
QTK_ALWAYS_INLINE void unpack_group(Factors const& w, std::uint8_t const* group,
                                    std::uint8_t* to) noexcept {
    __m256i a, b;
    w.template get<I>(group, a, b);
    store(to + 64 * I, a);
    store(to + 64 * I + 32, b);
    if constexpr (I + 1 < 8) unpack_group<Factors, I + 1>(w, group, to);
}

/// Appends units to a chunk.
template <typename Factors>
inline void unpack_units(Factors const& w, std::uint8_t const* units, std::size_t count,
                         std::size_t unit_bytes, int8_chunk& chunk) noexcept {
    for (std::size_t u = 0; u < count; ++u, units += unit_bytes) {
        for (std::size_t ahead = 0; ahead < unit_bytes; ahead += cache_line)
            _mm_prefetch(reinterpret_cast<char const*>(units + 4096 + ahead), _MM_HINT_T1);
        for (std::size_t g = 0; g < Factors::groups; ++g)
            unpack_group(w, units + g * Factors::group_bytes,
                         chunk.factors + (g * chunk_units + chunk.units + u) * 512);
    }
    chunk.units += count;
}

/// The chunk times all rows of a part.
template <typename Factors>
inline void flush_chunk(int8_chunk& chunk, quantized_rows const& x, product_part const& part,
                        int8_results const& to) noexcept {
    for (std::size_t group = 0; group < Factors::groups; ++group)
        for (std::size_t r = part.row; r < part.row_end; r += tile_height) {
            std::size_t const at = (r - part.row) * panel_columns;
            multiply_chunk<Factors>(chunk, group, row_tile(x, r), {to.c + at, to.open + at});
        }
    chunk.count = chunk.units = 0;
}

/// y of `count` rows of a panel: the scale that rows share, then the epilogue.
inline void finish_panel(float* c, quantized_rows const& x, std::size_t row, std::size_t count,
                         std::size_t p, output_rows const& y) noexcept {
    if (x.has_row_scales())
        for (std::size_t r = 0; r < count; ++r)
            for (std::size_t i = 0; i < panel_columns; ++i)
                c[r * panel_columns + i] *= x.scale(row + r, 0);
    write_panel(c, count, row, p, y);
}

template <typename Factors>
inline void many_rows(packed_view const& w, quantized_rows const& x, product_part const& part,
                      output_rows const& y) {
    packed_layout const& layout = w.layout;
    Factors const factors(w.element);
    std::size_t const count = part.row_end - part.row;
    std::size_t const sums = div_ceil(count, tile_height) * tile_height * panel_columns;
    struct purpose;
    std::uint8_t* const scratch = thread_scratch<purpose>(sizeof(int8_chunk) + 8 * sums);
    auto& chunk = *new (scratch) int8_chunk;
    int8_results const to{reinterpret_cast<float*>(scratch + sizeof(int8_chunk)),
                          reinterpret_cast<std::int32_t*>(scratch + sizeof(int8_chunk)) + sums};
    chunk.bias = factors.bias;
    chunk.middle = static_cast<float>(symmetric_zero(w.element));
    chunk.has_zero = layout.has_zero;
    float const level = is_looked_up(w.element) ? integer_table_of(w.element).unit : 1.0f;
    for (std::size_t p = part.panel; p < part.panel_end; ++p) {
        std::memset(to.c, 0, sums * sizeof(float));
        std::size_t segment = 0;
        for (std::size_t g = 0; g < layout.groups; ++g) {
            std::uint8_t const* const block = w.block(p, g);
            block_params params;
            read_block(w, block, level, chunk.middle, params);
            std::size_t const units = layout.units_of(g);
            for (std::size_t u = 0; u < units;) {
                std::size_t const within = u % x.plan.units;
                std::size_t const rest = std::min(units - u, x.plan.units - within);
                std::size_t const taken = std::min(rest, chunk_units - chunk.units);
                chunk.params[chunk.count] = params;
                chunk.pieces[chunk.count++] = {chunk.units, taken,       g * layout.group_units + u,
                                               segment,     within == 0, taken == rest};
                unpack_units(factors, block + layout.header_bytes + u * layout.unit_bytes, taken,
                             layout.unit_bytes, chunk);
                if (chunk.units == chunk_units) flush_chunk<Factors>(chunk, x, part, to);
                segment += taken == rest;
                u += taken;
            }
        }
        flush_chunk<Factors>(chunk, x, part, to);
        finish_panel(to.c, x, part.row, count, p, y);
    }
}

/// R rows, all there are, over each unit of the stream while it is in registers.
template <typename Factors, std::size_t R>
inline void few_rows(packed_view const& w, quantized_rows const& x, product_part const& part,
                     output_rows const& y) noexcept {
    constexpr std::size_t vectors = Factors::is_split ? 1 : 2;
    constexpr std::size_t groups = Factors::groups;
    packed_layout const& layout = w.layout;
    Factors const factors(w.element);
    auto const middle = static_cast<float>(symmetric_zero(w.element));
    float const level = is_looked_up(w.element) ? integer_table_of(w.element).unit : 1.0f;
    row_tile const rows(x, 0);
    for (std::size_t p = part.panel; p < part.panel_end; ++p) {
        alignas(32) float c[R * panel_columns] = {};
        std::size_t segment = 0;
        for (std::size_t g = 0; g < layout.groups; ++g) {
            std::uint8_t const* unit = w.block(p, g);
            block_params params;
            read_block(w, unit, level, middle, params);
            unit += layout.header_bytes;
            std::size_t const units = layout.units_of(g);
            for (std::size_t u = 0; u < units; ++segment) {
                __m256i total[groups][R][2];
                for (std::size_t h = 0; h < groups; ++h)
                    for (std::size_t r = 0; r < R; ++r)
                        total[h][r][0] = total[h][r][1] =
                            _mm256_set1_epi32(-factors.bias * rows.sum(segment, r));
                std::size_t const end = std::min(units, u + x.plan.units);
                for (; u < end; ++u, unit += layout.unit_bytes) {
                    for (std::size_t i = 0; i < layout.unit_bytes; i += cache_line)
                        _mm_prefetch(reinterpret_cast<char const*>(unit + 1024 + i), _MM_HINT_T0);
                    std::int8_t const* const codes = rows.unit(g * layout.group_units + u);
                    QTK_UNROLL
                    for (std::size_t h = 0; h < groups; ++h)
                        add_unit<Factors, R>(factors, unit + h * Factors::group_bytes, codes,
                                             total[h]);
                }
                for (std::size_t h = 0; h < groups; ++h)
                    for (std::size_t r = 0; r < R; ++r)
                        for (std::size_t v = 0; v < vectors; ++v) {
                            std::size_t const of = h * (panel_columns / groups) +
                                                   8 * v;
                            scale_sum(c + panel_columns * r + of,
                                      total[h][r][v], params, of, rows, segment, r, middle,
                                      layout.has_zero);
                        }
            }
        }
        finish_panel(c, x, part.row, part.row_end - part.row, p, y);
    }
}

template <typename Factors>
inline void product_with(packed_view const& w, quantized_rows const& x, product_part const& part,
                         output_rows const& y) {
    if (x.tile_rows > 4) return many_rows<Factors>(w, x, part, y);
    if (x.tile_rows == 4) return few_rows<Factors, 4>(w, x, part, y);
    if (x.tile_rows == 2) return few_rows<Factors, 2>(w, x, part, y);
    few_rows<Factors, 1>(w, x, part, y);
}

/// A part of a product with int8 activations; the format has integer levels.
inline void product_int8(packed_view const& w, quantized_rows const& x, product_part const& part,
                         output_rows const& y) {
    if (is_looked_up(w.element)) {
        if (w.element.kind == numeral::minifloat)
            return product_with<whole_factors<4, true>>(w, x, part, y);
        return product_with<split_factors<true>>(w, x, part, y);
    }
    switch (w.layout.planes.low + w.layout.planes.high) {
        case 2:
            return product_with<whole_factors<2>>(w, x, part, y);
        case 3:
            return product_with<whole_factors<3>>(w, x, part, y);
        case 4:
            return product_with<whole_factors<4>>(w, x, part, y);
        case 5:
            return product_with<whole_factors<5>>(w, x, part, y);
        case 6:
            return product_with<whole_factors<6>>(w, x, part, y);
        default:
            return product_with<split_factors<false>>(w, x, part, y);
    }
}

QTK_REGION_END

}  // namespace QTK_ABI_NS
}  // namespace qtk::avx2

#endif
