// SPDX-License-Identifier: Apache-2.0
//
// How does AVX2 multiply float activations with packed weights?
//
//   up to 4 rows   levels straight from the stream; scales and zeros join once a group
//   more           256 k of a panel are decoded to floats once and meet all rows of the part, up to
//                  6 at a time; activations lie transposed for that, sums of 32 panels in the cache
#pragma once

#include <qtk/core/abi.hpp>
#include <qtk/kernel/aligned_bytes.hpp>
#include <qtk/kernel/avx2/block_params.hpp>
#include <qtk/kernel/avx2/float_levels.hpp>
#include <qtk/kernel/product_scalar.hpp>
#include <qtk/kernel/target.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#if QTK_HAS_X86

namespace qtk::avx2 {
inline namespace QTK_ABI_NS {

inline constexpr std::size_t decoded_units = 8, decoded_depth = decoded_units * unit_depth;
inline constexpr std::size_t half_panel = panel_columns / 2;
inline constexpr std::size_t panels_together = 32;  ///< whose sums fit into the second cache
inline constexpr std::size_t most_rows = 6;  ///< 12 sums, 2 weights and 1 activation: 15 registers

/// Up to 4 rows of activations; rows that do not exist repeat the last one.
template <std::size_t R>
struct few_float_rows {
    float const* row[R];
    float const* sums[R];  // over each group
};

QTK_AVX2_REGION

/// sum[c][r] += a unit times R rows, 16 outputs, from operand I on. Several chains of sums c hide the
/// latency of an addition where rows are few.
template <typename Levels, std::size_t R, std::size_t Chains, int I = 0>
QTK_ALWAYS_INLINE void add_unit(Levels const& w, std::uint8_t const* half,
                                few_float_rows<R> const& x, std::size_t k,
                                __m256 (&sum)[Chains][R][2]) noexcept {
    __m256 a[4], b[4];
    w.template get<I>(half, a);
    w.template get<I>(half + quarter_bytes, b);
    QTK_UNROLL
    for (std::size_t j = 0; j < 4; ++j) {
        QTK_UNROLL
        for (std::size_t r = 0; r < R; ++r) {
            __m256 const v = _mm256_broadcast_ss(x.row[r] + k + 4 * I + j);
            __m256(&to)[2] = sum[j % Chains][r];
            to[0] = _mm256_fmadd_ps(a[j], v, to[0]);
            to[1] = _mm256_fmadd_ps(b[j], v, to[1]);
        }
    }
    if constexpr (I + 1 < 8) add_unit<Levels, R, Chains, I + 1>(w, half, x, k, sum);
}

/// c [R][32] += a block times R rows.
template <typename Levels, std::size_t R>
inline void multiply_block(Levels const& levels, packed_view const& w, std::uint8_t const* block,
                           std::size_t g, few_float_rows<R> const& x, float* c) noexcept {
    constexpr std::size_t chains = R == 1 ? 2 : 1;
    block_params const params = read_block(w, block, 1.0f);
    std::uint8_t const* unit = block + w.layout.header_bytes;
    __m256 sum[2][chains][R][2] = {};
    std::size_t const first = g * w.layout.group_units, count = w.layout.units_of(g);
    for (std::size_t u = 0; u < count; ++u, unit += w.layout.unit_bytes) {
        for (std::size_t i = 0; i < w.layout.unit_bytes; i += cache_line)
            _mm_prefetch(reinterpret_cast<char const*>(unit + 1024 + i), _MM_HINT_T0);
        for (std::size_t h = 0; h < 2; ++h)
            add_unit<Levels, R, chains>(levels, unit + cache_line * h, x, (first + u) * unit_depth,
                                        sum[h]);
    }
    QTK_UNROLL
    for (std::size_t i = 0; i < R * 4; ++i) {
        std::size_t const h = i / 2 % 2, r = i / 4, v = i % 2, column = half_panel * h + 8 * v;
        __m256 all = sum[h][0][r][v];
        if constexpr (chains == 2) all = _mm256_add_ps(all, sum[h][1][r][v]);
        all = _mm256_fnmadd_ps(_mm256_load_ps(params.zero + column),
                               _mm256_broadcast_ss(x.sums[r] + g), all);
        float* const to = c + panel_columns * r + column;
        _mm256_storeu_ps(
            to, _mm256_fmadd_ps(all, _mm256_load_ps(params.scale + column), _mm256_loadu_ps(to)));
    }
}

/// (level - zero) * scale of 8 outputs of a unit from operand I on, to [k][16] of a decoded chunk.
template <typename Levels, int I = 0>
QTK_ALWAYS_INLINE void decode_quarter(Levels const& levels, std::uint8_t const* quarter,
                                      __m256 zero, __m256 scale, float* to) noexcept {
    __m256 level[4];
    levels.template get<I>(quarter, level);
    QTK_UNROLL
    for (std::size_t j = 0; j < 4; ++j)
        _mm256_store_ps(to + half_panel * j, _mm256_mul_ps(_mm256_sub_ps(level[j], zero), scale));
    if constexpr (I + 1 < 8)
        decode_quarter<Levels, I + 1>(levels, quarter, zero, scale, to + 4 * half_panel);
}

/// Units [first, last) of panel p, counted along the axis of the activations.
template <typename Levels>
inline void decode_units(Levels const& levels, packed_view const& w, std::size_t p,
                         std::size_t first, std::size_t last, float* to) noexcept {
    packed_layout const& layout = w.layout;
    block_params params = read_block(w, w.block(p, first / layout.group_units), 1.0f);
    for (std::size_t u = first; u < last; ++u, to += half_panel * unit_depth) {
        std::size_t const g = u / layout.group_units, within = u % layout.group_units;
        std::uint8_t const* const block = w.block(p, g);
        if (u != first && within == 0) params = read_block(w, block, 1.0f);
        std::uint8_t const* const unit = block + layout.header_bytes + within * layout.unit_bytes;
        // The same units of the next panel come next.
        for (std::size_t i = 0; i < layout.unit_bytes; i += cache_line)
            _mm_prefetch(reinterpret_cast<char const*>(unit + layout.panel_bytes + i), _MM_HINT_T1);
        for (std::size_t q = 0; q < 4; ++q)
            decode_quarter(levels, unit + quarter_bytes * q, _mm256_load_ps(params.zero + 8 * q),
                           _mm256_load_ps(params.scale + 8 * q),
                           to + q / 2 * half_panel * decoded_depth + 8 * (q % 2));
    }
}

/// c [R][32] += w [depth][16] times x [depth][R].
template <std::size_t R>
inline void multiply_tile(float const* w, float const* x, std::size_t depth, float* c) noexcept {
    __m256 sum[R][2];
    QTK_UNROLL
    for (std::size_t r = 0; r < R; ++r) {
        sum[r][0] = _mm256_loadu_ps(c + panel_columns * r);
        sum[r][1] = _mm256_loadu_ps(c + panel_columns * r + 8);
    }
    for (std::size_t k = 0; k < depth; ++k, w += half_panel, x += R) {
        __m256 const a = _mm256_load_ps(w), b = _mm256_load_ps(w + 8);
        QTK_UNROLL
        for (std::size_t r = 0; r < R; ++r) {
            __m256 const v = _mm256_broadcast_ss(x + r);
            sum[r][0] = _mm256_fmadd_ps(a, v, sum[r][0]);
            sum[r][1] = _mm256_fmadd_ps(b, v, sum[r][1]);
        }
    }
    QTK_UNROLL
    for (std::size_t r = 0; r < R; ++r) {
        _mm256_storeu_ps(c + panel_columns * r, sum[r][0]);
        _mm256_storeu_ps(c + panel_columns * r + 8, sum[r][1]);
    }
}

QTK_REGION_END

/// Rows cut into tiles of nearly equal height: 3 to 6 each, or all of them where there are fewer.
struct row_split {
    std::size_t tiles = 0, height = 0, taller = 0;  // the first `taller` ones have one row more

    explicit row_split(std::size_t rows) noexcept
        : tiles(div_ceil(rows, most_rows)), height(rows / tiles), taller(rows % tiles) {}
    [[nodiscard]] std::size_t rows_of(std::size_t t) const noexcept {
        return height + (t < taller ? 1 : 0);
    }
    [[nodiscard]] std::size_t first(std::size_t t) const noexcept {
        return t * height + std::min(t, taller);
    }
};

/// k [first, first + depth) of all rows to [tile][k][rows of the tile].
inline void transpose_rows(float_rows const& x, product_part const& part, row_split const& split,
                           std::size_t first, std::size_t depth, float* to) noexcept {
    for (std::size_t t = 0; t < split.tiles; ++t) {
        std::size_t const height = split.rows_of(t);
        for (std::size_t r = 0; r < height; ++r) {
            float const* const from = x.data + (part.row + split.first(t) + r) * x.stride + first;
            for (std::size_t k = 0; k < depth; ++k) to[k * height + r] = from[k];
        }
        to += height * decoded_depth;
    }
}

/// c [rows][32] += a decoded chunk times all rows.
inline void multiply_decoded(float const* w, float const* x, row_split const& split,
                             std::size_t depth, float* c) noexcept {
    for (std::size_t h = 0; h < 2; ++h, w += half_panel * decoded_depth, c += half_panel)
        for (std::size_t t = 0; t < split.tiles; ++t) {
            float const* const rows = x + split.first(t) * decoded_depth;
            float* const to = c + split.first(t) * panel_columns;
            switch (split.rows_of(t)) {
                case 6:
                    multiply_tile<6>(w, rows, depth, to);
                    break;
                case 5:
                    multiply_tile<5>(w, rows, depth, to);
                    break;
                case 4:
                    multiply_tile<4>(w, rows, depth, to);
                    break;
                case 3:
                    multiply_tile<3>(w, rows, depth, to);
                    break;
                case 2:
                    multiply_tile<2>(w, rows, depth, to);
                    break;
                default:
                    multiply_tile<1>(w, rows, depth, to);
            }
        }
}

/// What a product does with the floats that it is about to multiply.
struct as_they_are {
    static constexpr bool is_plain = true;
    static void run(float*, std::size_t) noexcept {}
};

template <typename Levels, typename Finish>
void many_rows(packed_view const& w, float_rows const& x, product_part const& part,
               output_rows const& y) {
    Levels const levels(w.element);
    std::size_t const rows = part.row_end - part.row, units = w.layout.depth() / unit_depth;
    std::size_t const together = std::min(panels_together, part.panel_end - part.panel);
    row_split const split(rows);
    struct purpose;
    auto* const decoded = reinterpret_cast<float*>(
        thread_scratch<purpose>(sizeof(float) * (decoded_depth * (panel_columns + rows) +
                                                 together * rows * panel_columns)));
    float* const transposed = decoded + decoded_depth * panel_columns;
    float* const sums = transposed + decoded_depth * rows;
    for (std::size_t left = part.panel; left < part.panel_end; left += together) {
        std::size_t const right = std::min(part.panel_end, left + together);
        std::memset(sums, 0, sizeof(float) * (right - left) * rows * panel_columns);
        for (std::size_t u = 0; u < units; u += decoded_units) {
            std::size_t const last = std::min(units, u + decoded_units);
            std::size_t const depth = (last - u) * unit_depth;
            transpose_rows(x, part, split, u * unit_depth, depth, transposed);
            Finish::run(transposed, rows * decoded_depth);
            for (std::size_t p = left; p < right; ++p) {
                decode_units(levels, w, p, u, last, decoded);
                Finish::run(decoded, decoded_depth * panel_columns);
                multiply_decoded(decoded, transposed, split, depth,
                                 sums + (p - left) * rows * panel_columns);
            }
        }
        for (std::size_t p = left; p < right; ++p)
            write_panel(sums + (p - left) * rows * panel_columns, rows, part.row, p, y);
    }
}

template <typename Levels, std::size_t R>
void few_rows(packed_view const& w, float_rows const& x, product_part const& part,
              output_rows const& y) {
    Levels const levels(w.element);
    packed_layout const& layout = w.layout;
    std::size_t const rows = part.row_end - part.row;
    struct purpose;
    auto* const sums =
        reinterpret_cast<float*>(thread_scratch<purpose>(sizeof(float) * R * layout.groups));
    few_float_rows<R> from;
    for (std::size_t r = 0; r < R; ++r) {
        from.row[r] = x.data + (part.row + std::min(r, rows - 1)) * x.stride;
        from.sums[r] = sums + r * layout.groups;
        float const* at = from.row[r];
        for (std::size_t g = 0; g < layout.groups; ++g) {
            float part_of[8] = {};
            for (std::size_t i = 0; i < layout.units_of(g) * unit_depth; i += 8, at += 8)
                for (std::size_t l = 0; l < 8; ++l) part_of[l] += at[l];
            sums[r * layout.groups + g] = ((part_of[0] + part_of[1]) + (part_of[2] + part_of[3])) +
                                          ((part_of[4] + part_of[5]) + (part_of[6] + part_of[7]));
        }
    }
    for (std::size_t p = part.panel; p < part.panel_end; ++p) {
        alignas(32) float c[R * panel_columns] = {};
        for (std::size_t g = 0; g < layout.groups; ++g)
            multiply_block(levels, w, w.block(p, g), g, from, c);
        write_panel(c, rows, part.row, p, y);
    }
}

/// Scales join after the sums of few rows: only floats that stay as they are may go that way.
template <typename Levels, typename Finish>
void product_with(packed_view const& w, float_rows const& x, product_part const& part,
                  output_rows const& y) {
    std::size_t const rows = part.row_end - part.row;
    if constexpr (Finish::is_plain) {
        if (rows == 1) return few_rows<Levels, 1>(w, x, part, y);
        if (rows <= 4) return few_rows<Levels, 4>(w, x, part, y);
    }
    many_rows<Levels, Finish>(w, x, part, y);
}

template <typename Finish>
void product_floats(packed_view const& w, float_rows const& x, product_part const& part,
                    output_rows const& y) {
    int const bits = w.layout.planes.low + w.layout.planes.high;
    if (!w.element.is_integer()) {
        if (bits == 4) return product_with<sixteen_floats, Finish>(w, x, part, y);
        if (bits == 6) return product_with<looked_up_floats<6>, Finish>(w, x, part, y);
        return product_with<looked_up_floats<8>, Finish>(w, x, part, y);
    }
    switch (bits) {
        case 2:
            return product_with<integer_floats<2>, Finish>(w, x, part, y);
        case 3:
            return product_with<integer_floats<3>, Finish>(w, x, part, y);
        case 4:
            return product_with<integer_floats<4>, Finish>(w, x, part, y);
        case 5:
            return product_with<integer_floats<5>, Finish>(w, x, part, y);
        case 6:
            return product_with<integer_floats<6>, Finish>(w, x, part, y);
        default:
            return product_with<integer_floats<8>, Finish>(w, x, part, y);
    }
}

/// A part of a product with float activations; x lies along the filled-up axis.
inline void product_f32(packed_view const& w, float_rows const& x, product_part const& part,
                        output_rows const& y) {
    product_floats<as_they_are>(w, x, part, y);
}

}  // namespace QTK_ABI_NS
}  // namespace qtk::avx2

#endif
