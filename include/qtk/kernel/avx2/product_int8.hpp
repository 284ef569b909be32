// SPDX-License-Identifier: Apache-2.0
//
// How does AVX2 multiply int8 activations with packed weights? In the loops of int8_sums.hpp, or of
// int8_vnni.hpp where the processor has AVX-VNNI:
//
//   up to 4 rows   straight from the stream, a segment at a time
//   more           the factors of a chunk of 512 k are unpacked once and meet 4 rows at a time
#pragma once

#include <qtk/core/abi.hpp>
#include <qtk/kernel/aligned_bytes.hpp>
#include <qtk/kernel/avx2/block_params.hpp>
#include <qtk/kernel/avx2/int8_sums.hpp>
#include <qtk/kernel/avx2/int8_vnni.hpp>
#include <qtk/kernel/avx2/operands.hpp>
#include <qtk/kernel/cpu.hpp>
#include <qtk/kernel/product_scalar.hpp>
#include <qtk/kernel/target.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>

#if QTK_HAS_X86

namespace qtk::avx2 {
inline namespace QTK_ABI_NS {

QTK_AVX2_REGION

template <typename Factors, int I = 0>
QTK_ALWAYS_INLINE void unpack_group(Factors const& w, std::uint8_t const* group,
                                    std::uint8_t* to) noexcept {
    __m256i a, b;
    w.template get<I>(group, a, b);
    store(to + 64 * I, a);
    store(to + 64 * I + quarter_bytes, b);
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
                         chunk.factors + (g * chunk_units + chunk.units + u) * unpacked_unit);
    }
    chunk.units += count;
}

QTK_REGION_END

/// The chunk times all rows of a part.
template <typename Dot, typename Factors>
void flush_chunk(int8_chunk& chunk, quantized_rows const& x, product_part const& part,
                 int8_results const& to) noexcept {
    for (std::size_t group = 0; group < Factors::groups; ++group)
        for (std::size_t r = part.row; r < part.row_end; r += tile_height) {
            std::size_t const at = (r - part.row) * panel_columns;
            Dot::template multiply_chunk<Factors>(chunk, group, row_tile(x, r),
                                                  {to.c + at, to.open + at});
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

template <typename Dot, typename Factors>
void many_rows(packed_view const& w, quantized_rows const& x, product_part const& part,
               output_rows const& y) {
    packed_layout const& layout = w.layout;
    Factors const factors(w.element);
    float const level = unit_of_levels(w.element);
    std::size_t const count = part.row_end - part.row;
    std::size_t const sums = div_ceil(count, tile_height) * tile_height * panel_columns;
    struct purpose;
    std::uint8_t* const scratch = thread_scratch<purpose>(sizeof(int8_chunk) + 8 * sums);
    auto& chunk = *new (scratch) int8_chunk;
    int8_results const to{reinterpret_cast<float*>(scratch + sizeof(int8_chunk)),
                          reinterpret_cast<std::int32_t*>(scratch + sizeof(int8_chunk)) + sums};
    chunk.bias = factors.bias;
    for (std::size_t p = part.panel; p < part.panel_end; ++p) {
        std::memset(to.c, 0, sums * sizeof(float));
        std::size_t segment = 0;
        for (std::size_t g = 0; g < layout.groups; ++g) {
            std::uint8_t const* const block = w.block(p, g);
            block_params const params = read_block(w, block, level);
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
                if (chunk.units == chunk_units) flush_chunk<Dot, Factors>(chunk, x, part, to);
                segment += taken == rest;
                u += taken;
            }
        }
        flush_chunk<Dot, Factors>(chunk, x, part, to);
        finish_panel(to.c, x, part.row, count, p, y);
    }
}

/// R rows, all there are.
template <typename Dot, typename Factors, std::size_t R>
void few_rows(packed_view const& w, quantized_rows const& x, product_part const& part,
              output_rows const& y) noexcept {
    packed_layout const& layout = w.layout;
    Factors const factors(w.element);
    float const level = unit_of_levels(w.element);
    row_tile const rows(x, 0);
    for (std::size_t p = part.panel; p < part.panel_end; ++p) {
        alignas(32) float c[R * panel_columns] = {};
        std::size_t segment = 0;
        for (std::size_t g = 0; g < layout.groups; ++g) {
            std::uint8_t const* const block = w.block(p, g);
            block_params const params = read_block(w, block, level);
            std::size_t const units = layout.units_of(g);
            for (std::size_t u = 0; u < units; u += x.plan.units)
                Dot::template multiply_stream<Factors, R>(
                    factors,
                    {block + layout.header_bytes + u * layout.unit_bytes,
                     std::min(units - u, x.plan.units), layout.unit_bytes,
                     g * layout.group_units + u, segment++, &params},
                    rows, c);
        }
        finish_panel(c, x, part.row, part.row_end - part.row, p, y);
    }
}

template <typename Dot, typename Factors>
void product_with(packed_view const& w, quantized_rows const& x, product_part const& part,
                  output_rows const& y) {
    if (x.tile_rows > 4) return many_rows<Dot, Factors>(w, x, part, y);
    if (x.tile_rows == 4) return few_rows<Dot, Factors, 4>(w, x, part, y);
    if (x.tile_rows == 2) return few_rows<Dot, Factors, 2>(w, x, part, y);
    few_rows<Dot, Factors, 1>(w, x, part, y);
}

template <typename Dot>
void product_int8_with(packed_view const& w, quantized_rows const& x, product_part const& part,
                       output_rows const& y) {
    if (is_looked_up(w.element)) {
        if (w.element.kind == numeral::minifloat)
            return product_with<Dot, whole_factors<4, true>>(w, x, part, y);
        return product_with<Dot, typename Dot::byte_table>(w, x, part, y);
    }
    switch (w.layout.planes.low + w.layout.planes.high) {
        case 2:
            return product_with<Dot, whole_factors<2>>(w, x, part, y);
        case 3:
            return product_with<Dot, whole_factors<3>>(w, x, part, y);
        case 4:
            return product_with<Dot, whole_factors<4>>(w, x, part, y);
        case 5:
            return product_with<Dot, whole_factors<5>>(w, x, part, y);
        case 6:
            return product_with<Dot, whole_factors<6>>(w, x, part, y);
        default:
            return product_with<Dot, typename Dot::byte_factors>(w, x, part, y);
    }
}

/// A part of a product with int8 activations; the format has integer levels.
inline void product_int8(packed_view const& w, quantized_rows const& x, product_part const& part,
                         output_rows const& y) {
    return cpu().avx_vnni ? product_int8_with<dpbusd>(w, x, part, y)
                          : product_int8_with<maddubs>(w, x, part, y);
}

}  // namespace QTK_ABI_NS
}  // namespace qtk::avx2

#endif
