// SPDX-License-Identifier: Apache-2.0
//
// How fast is a product of 3 to 32 rows of int8 activations with tiles? Every byte of weights is
// used once, so steps are unpacked into the nearest cache as they arrive. Four things run side by
// side: step k + 2 is unpacked, step k multiplied, the sums of the segment before leave the tiles,
// and those of the one before that are scaled into floats.
#pragma once

#include <qtk/core/abi.hpp>
#include <qtk/kernel/amx/panel_reader.hpp>
#include <qtk/kernel/amx/tile.hpp>
#include <qtk/kernel/avx512/product_int8.hpp>
#include <qtk/kernel/epilogue.hpp>
#include <qtk/kernel/product_scalar.hpp>
#include <qtk/kernel/quantized_rows.hpp>
#include <qtk/kernel/target.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>

#if QTK_HAS_X86

namespace qtk::amx {
inline namespace QTK_ABI_NS {

/// Rows that go through here; fewer are as fast on vectors.
inline constexpr std::size_t fewest_streamed = 3, most_streamed = 32;

/// Everything that a pass over the panels keeps in the nearest cache.
struct stream_scratch {
    static constexpr std::size_t steps = 4, segments = 8;  // of the rings; powers of two

    alignas(64) std::uint8_t codes[steps * 2048];
    alignas(64) float scales[segments * scales_of_segment];
    alignas(64) std::int32_t tiles[2][4][256];  // [turn][row tile + 2 half][16][16]
    alignas(64) float c[most_streamed * panel_columns];
};

/// A segment on its way: its sums leave the tiles one turn later and are scaled two turns later.
struct pending_segment {
    float const* column = nullptr;  // scales and shifts of its outputs; null: there is none
    float const* row = nullptr;     // scales of its rows
    float const* sum = nullptr;     // scaled sums of its rows' codes, for zero points
    bool ends_panel = false;
};

QTK_AMX_REGION

/// Whose rows a pass multiplies, and where results go.
struct stream_rows_job {
    avx512::int8_context const* job = nullptr;
    product_part const* part = nullptr;
    output_rows const* y = nullptr;
    float const* sums = nullptr;  // as scaled_sums() made them
    float const* ones = nullptr;  // [32], the scales of rows that share one
    std::size_t rows = 0;
    std::size_t quads = 0;  ///< rows / 4, rounded up
};

/// Rows that are yet to be scaled, four at a time.
struct quads_left {
    std::int32_t const* tiles;  // sums of the first half; those of the second 512 further on
    float const* row;
    float const* sum;
    float* c;
    std::size_t count;
    std::size_t second;  ///< how many there are when the second row tile begins
};

/// Up to `most` times four rows join the results c. The scales and sums of the second row tile lie
/// so much further on.
template <int Tiles>
QTK_ALWAYS_INLINE void scale_quads(quads_left& q, std::size_t most, __m512 const (&w)[4],
                                   bool has_zero, std::size_t row_jump,
                                   std::size_t sum_jump) noexcept {
    std::size_t const end = q.count < most ? 0 : q.count - most;
    while (q.count > end) {
        __m512 y[4][2];
        QTK_UNROLL
        for (std::size_t r = 0; r < 4; ++r) {
            __m512 const a = _mm512_set1_ps(q.row[r]);
            __m512 const d0 = _mm512_cvtepi32_ps(_mm512_load_si512(q.tiles + 16 * r));
            __m512 const d1 = _mm512_cvtepi32_ps(_mm512_load_si512(q.tiles + 512 + 16 * r));
            y[r][0] = _mm512_fmadd_ps(d0, _mm512_mul_ps(w[0], a), _mm512_load_ps(q.c + 32 * r));
            y[r][1] =
                _mm512_fmadd_ps(d1, _mm512_mul_ps(w[1], a), _mm512_load_ps(q.c + 32 * r + 16));
        }
        if (has_zero) {
            QTK_UNROLL
            for (std::size_t r = 0; r < 4; ++r) {
                __m512 const sum = _mm512_set1_ps(q.sum[r]);
                y[r][0] = _mm512_fmadd_ps(w[2], sum, y[r][0]);
                y[r][1] = _mm512_fmadd_ps(w[3], sum, y[r][1]);
            }
        }
        QTK_UNROLL
        for (std::size_t r = 0; r < 4; ++r) {
            _mm512_store_ps(q.c + 32 * r, y[r][0]);
            _mm512_store_ps(q.c + 32 * r + 16, y[r][1]);
        }
        q.tiles += 64, q.row += 4, q.sum += 4, q.c += 128;
        if (--q.count == q.second && Tiles == 2) q.row += row_jump, q.sum += sum_jump;
    }
}

/// The sums of a panel are complete.
inline void finish_panel(stream_rows_job const& rows, std::size_t p, float* c) noexcept {
    quantized_rows const& x = *rows.job->x;
    if (x.has_row_scales())
        for (std::size_t r = 0; r < rows.rows; ++r)
            for (std::size_t i = 0; i < panel_columns; i += 16) {
                float* const at = c + r * panel_columns + i;
                __m512 const a = _mm512_set1_ps(x.scales[rows.part->row + r]);
                _mm512_store_ps(at, _mm512_mul_ps(_mm512_load_ps(at), a));
            }
    avx512::write_sums(c, rows.rows, rows.part->row, p, *rows.y);
    std::memset(c, 0, rows.quads * 128 * sizeof(float));
}

/// Tiles 0 to 3 hold sums [row tile + 2 half], 4 and 5 activations, 6 and 7 the halves of a step.
template <int Kind, int Tiles>
inline void stream_panels(stream_rows_job const& rows, stream_scratch& scratch) noexcept {
    packed_view const& w = *rows.job->w;
    quantized_rows const& x = *rows.job->x;
    step_shape const shape(w.layout);
    bool const is_whole = shape.units == 2, has_zero = w.layout.has_zero;
    bool const by_segment = !x.has_row_scales();
    std::size_t const tile = x.tile_rows * tile_depth, row_tile = x.depth_tiles * tile;
    std::size_t const half = shape.half, turn_rows = x.tile_rows;
    // From a step of activations to the next, and to the one after that.
    std::size_t const hop = is_whole ? tile : unit_depth, two_hops = is_whole ? 2 * tile : tile;
    std::size_t const sum_jump = x.plan.total * turn_rows - 16,
                      row_jump = by_segment ? sum_jump : 0;
    constexpr std::size_t ahead = 1024;
    __m512i const constant = constant_of<Kind>(*rows.job);
    segment_cursor now{&w, &x.plan, rows.part->panel, rows.part->panel_end};
    panel_reader reader{rows.job, now, scratch.scales, stream_scratch::segments};
    panel_reader::place at;
    for (std::size_t k = 0; k < 2; ++k) {
        read_unit<Kind, 0, ahead>(reader, at, constant, scratch.codes + 2048 * k, half);
        if (is_whole)
            read_unit<Kind, 1, ahead>(reader, at, constant, scratch.codes + 2048 * k, half);
    }
    std::int8_t const* const codes = x.code(rows.part->row, 0);
    std::size_t const first = x.at(rows.part->row, 0);
    pending_segment stored, scaled;
    std::int8_t const* a = codes;
    std::size_t turn = 0, ring = 0, next_hop = hop, panel_done = rows.part->panel;
    for (; !now.is_done(); ++turn) {
        std::size_t const units = now.units(), steps = is_whole ? (units + 1) / 2 : units;
        std::int32_t* const fresh = scratch.tiles[turn & 1][0];
        quads_left quads{scratch.tiles[~turn & 1][0],
                         scaled.row,
                         scaled.sum,
                         scratch.c,
                         scaled.column != nullptr ? rows.quads : 0,
                         rows.quads - 4};
        std::size_t const per_slot = steps == 1 ? (quads.count + 1) / 2 : (quads.count + 3) / 4;
        __m512 column[4] = {};
        if (scaled.column != nullptr)
            for (int i = 0; i < 4; ++i) column[i] = _mm512_load_ps(scaled.column + 16 * i);
        for (std::size_t s = 0; s < steps; ++s) {
            std::uint8_t const* const b = scratch.codes + 2048 * (ring & 3);
            std::uint8_t* const next = scratch.codes + 2048 * ((ring + 2) & 3);
            QTK_TILE_LOAD(4, a, 64);
            QTK_TILE_LOAD(6, b, 64);
            if (s == 0) {
                QTK_TILE_STORE(0, fresh, 64);
                QTK_TILE_ZERO(0);
            }
            QTK_TILE_DOT_S8(0, 4, 6);
            if constexpr (Tiles == 2) {
                QTK_TILE_LOAD(5, a + row_tile, 64);
                if (s == 0) {
                    QTK_TILE_STORE(1, fresh + 256, 64);
                    QTK_TILE_ZERO(1);
                }
                QTK_TILE_DOT_S8(1, 5, 6);
            }
            read_unit<Kind, 0, ahead>(reader, at, constant, next, half);
            scale_quads<Tiles>(quads, per_slot, column, has_zero, row_jump, sum_jump);
            QTK_TILE_LOAD(7, b + half, 64);
            if (s == 0) {
                QTK_TILE_STORE(2, fresh + 512, 64);
                QTK_TILE_ZERO(2);
            }
            QTK_TILE_DOT_S8(2, 4, 7);
            if constexpr (Tiles == 2) {
                if (s == 0) {
                    QTK_TILE_STORE(3, fresh + 768, 64);
                    QTK_TILE_ZERO(3);
                }
                QTK_TILE_DOT_S8(3, 5, 7);
            }
            if (is_whole) read_unit<Kind, 1, ahead>(reader, at, constant, next, half);
            scale_quads<Tiles>(quads, per_slot, column, has_zero, row_jump, sum_jump);
            a += next_hop;
            next_hop = two_hops - next_hop;
            ++ring;
        }
        if (scaled.ends_panel) finish_panel(rows, panel_done++, scratch.c);
        scaled = stored;
        std::size_t const place = now.index * turn_rows;
        stored = {scratch.scales + turn % stream_scratch::segments * scales_of_segment,
                  by_segment ? x.scales + first + place : rows.ones, rows.sums + place,
                  now.is_last_of_panel()};
        if (stored.ends_panel) a = codes, next_hop = hop;
        now.advance(units);
    }
    // Two turns without a product empty the pipeline.
    for (int i = 0; i < 2; ++i, ++turn) {
        std::int32_t* const fresh = scratch.tiles[turn & 1][0];
        if (i == 0) {
            QTK_TILE_STORE(0, fresh, 64);
            QTK_TILE_STORE(2, fresh + 512, 64);
            if constexpr (Tiles == 2) {
                QTK_TILE_STORE(1, fresh + 256, 64);
                QTK_TILE_STORE(3, fresh + 768, 64);
            }
        }
        if (scaled.column != nullptr) {
            quads_left quads{scratch.tiles[~turn & 1][0],
                             scaled.row,
                             scaled.sum,
                             scratch.c,
                             rows.quads,
                             rows.quads - 4};
            __m512 column[4];
            for (int j = 0; j < 4; ++j) column[j] = _mm512_load_ps(scaled.column + 16 * j);
            scale_quads<Tiles>(quads, rows.quads, column, has_zero, row_jump, sum_jump);
        }
        if (scaled.ends_panel) finish_panel(rows, panel_done++, scratch.c);
        scaled = stored;
    }
}

QTK_REGION_END

}  // namespace QTK_ABI_NS
}  // namespace qtk::amx

#endif
