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
    alignas(64) std::int32_t tiles[2][4][256];  // [turn][2 row tile + half][16][16]
    alignas(64) float c[most_streamed * panel_columns];
};

/// A segment on its way: its sums leave the tiles one turn later and are scaled two turns later.
struct pending_segment {
    float const* column = nullptr;  // scales and shifts of its outputs
    float const* row = nullptr;     // scales of its rows
    float const* sum = nullptr;     // scaled sums of its rows' codes, for zero points
    bool is_real = false, ends_panel = false;
};

QTK_AMX_REGION

/// Four rows of a row tile join the results c [4][32].
QTK_ALWAYS_INLINE void scale_four_rows(std::int32_t const* tiles, pending_segment const& s,
                                       std::size_t row, bool has_zero, float* c) noexcept {
    __m512 const w0 = _mm512_load_ps(s.column), w1 = _mm512_load_ps(s.column + 16);
    __m512 y[4][2];
    QTK_UNROLL
    for (std::size_t r = 0; r < 4; ++r) {
        __m512 const a = _mm512_set1_ps(s.row[row + r]);
        __m512 const d0 = _mm512_cvtepi32_ps(_mm512_load_si512(tiles + 16 * r));
        __m512 const d1 = _mm512_cvtepi32_ps(_mm512_load_si512(tiles + 256 + 16 * r));
        y[r][0] = _mm512_fmadd_ps(d0, _mm512_mul_ps(w0, a), _mm512_load_ps(c + 32 * r));
        y[r][1] = _mm512_fmadd_ps(d1, _mm512_mul_ps(w1, a), _mm512_load_ps(c + 32 * r + 16));
    }
    if (has_zero) {
        __m512 const z0 = _mm512_load_ps(s.column + 32), z1 = _mm512_load_ps(s.column + 48);
        QTK_UNROLL
        for (std::size_t r = 0; r < 4; ++r) {
            __m512 const sum = _mm512_set1_ps(s.sum[row + r]);
            y[r][0] = _mm512_fmadd_ps(z0, sum, y[r][0]);
            y[r][1] = _mm512_fmadd_ps(z1, sum, y[r][1]);
        }
    }
    QTK_UNROLL
    for (std::size_t r = 0; r < 4; ++r) {
        _mm512_store_ps(c + 32 * r, y[r][0]);
        _mm512_store_ps(c + 32 * r + 16, y[r][1]);
    }
}

/// Whose rows a pass multiplies, and where results go.
struct stream_rows_job {
    avx512::int8_context const* job = nullptr;
    product_part const* part = nullptr;
    output_rows const* y = nullptr;
    float const* sums = nullptr;  // as scaled_sums() made them
    float const* ones = nullptr;  // [16], the scales of rows that share one
    std::size_t rows = 0;
    std::size_t quads = 0;     ///< rows / 4, rounded up
    std::size_t distance = 0;  ///< from a scale of the first row tile to the second one's
};

/// Quads [first, end) of the segment s, whose sums left the tiles.
QTK_ALWAYS_INLINE void scale_quads(stream_rows_job const& rows, pending_segment const& s,
                                   std::int32_t const* tiles, std::size_t first, std::size_t end,
                                   float* c) noexcept {
    bool const has_zero = rows.job->w->layout.has_zero;
    bool const by_segment = !rows.job->x->has_row_scales();
    for (std::size_t q = first; q < end; ++q) {
        std::size_t const second = q / 4, within = 4 * (q % 4);
        pending_segment of_tile = s;
        of_tile.row += by_segment ? second * rows.distance : 0;
        of_tile.sum += second * rows.distance;
        scale_four_rows(tiles + 512 * second + 16 * within, of_tile, within, has_zero, c + 128 * q);
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

/// Tiles 0 to 3 hold sums [2 row tile + half], 4 and 5 activations, 6 and 7 the halves of a step.
template <int Kind, int Tiles>
inline void stream_panels(stream_rows_job const& rows, stream_scratch& scratch) noexcept {
    packed_view const& w = *rows.job->w;
    quantized_rows const& x = *rows.job->x;
    step_shape const shape(w.layout);
    std::size_t const tile = x.tile_rows * tile_depth, row_tile = x.depth_tiles * tile;
    std::size_t const half = shape.half;
    constexpr std::size_t ahead = 1024;
    __m512i const constant = constant_of<Kind>(*rows.job);
    segment_cursor now{&w, &x.plan, rows.part->panel, rows.part->panel_end};
    panel_reader reader{rows.job, now, nullptr, 0, scratch.scales, stream_scratch::segments};
    for (std::size_t k = 0; k < 2; ++k) {
        read_unit<Kind, 0>(reader, constant, ahead, scratch.codes + 2048 * k, half);
        if (shape.units == 2)
            read_unit<Kind, 1>(reader, constant, ahead, scratch.codes + 2048 * k, half);
    }
    std::int8_t const* const codes = x.code(rows.part->row, 0);
    std::size_t const first = x.at(rows.part->row, 0);
    pending_segment stored, scaled;
    std::size_t turn = 0, ring = 0, depth = 0, panel_done = rows.part->panel;
    for (; !now.is_done(); now.advance(), ++turn) {
        std::size_t const steps = (now.units() + shape.units - 1) / shape.units;
        std::size_t const slots = steps == 1 ? 2 : 4;
        std::size_t const quads = scaled.is_real ? rows.quads : 0;
        std::size_t const per_slot = (quads + slots - 1) / slots;
        std::int32_t* const fresh = scratch.tiles[turn & 1][0];
        std::int32_t const* const ripe = scratch.tiles[~turn & 1][0];
        std::size_t quad = 0;
        for (std::size_t s = 0; s < steps; ++s, ++ring, ++depth) {
            std::int8_t const* const a = codes + shape.offset(depth, tile);
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
                    QTK_TILE_STORE(2, fresh + 512, 64);
                    QTK_TILE_ZERO(2);
                }
                QTK_TILE_DOT_S8(2, 5, 6);
            }
            read_unit<Kind, 0>(reader, constant, ahead, next, half);
            std::size_t end = quad + per_slot < quads ? quad + per_slot : quads;
            scale_quads(rows, scaled, ripe, quad, end, scratch.c);
            QTK_TILE_LOAD(7, b + half, 64);
            if (s == 0) {
                QTK_TILE_STORE(1, fresh + 256, 64);
                QTK_TILE_ZERO(1);
            }
            QTK_TILE_DOT_S8(1, 4, 7);
            if constexpr (Tiles == 2) {
                if (s == 0) {
                    QTK_TILE_STORE(3, fresh + 768, 64);
                    QTK_TILE_ZERO(3);
                }
                QTK_TILE_DOT_S8(3, 5, 7);
            }
            if (shape.units == 2) read_unit<Kind, 1>(reader, constant, ahead, next, half);
            quad = end;
            end = quad + per_slot < quads ? quad + per_slot : quads;
            scale_quads(rows, scaled, ripe, quad, end, scratch.c);
            quad = end;
        }
        if (scaled.ends_panel) finish_panel(rows, panel_done++, scratch.c);
        scaled = stored;
        std::size_t const place = now.index * x.tile_rows;
        stored = {scratch.scales + turn % stream_scratch::segments * scales_of_segment,
                  x.has_row_scales() ? rows.ones : x.scales + first + place, rows.sums + place,
                  true, now.is_last_of_panel()};
        if (stored.ends_panel) depth = 0;
    }
    // Two turns without a product empty the pipeline.
    for (int i = 0; i < 2; ++i, ++turn) {
        std::int32_t* const fresh = scratch.tiles[turn & 1][0];
        if (i == 0) {
            QTK_TILE_STORE(0, fresh, 64);
            QTK_TILE_STORE(1, fresh + 256, 64);
            if constexpr (Tiles == 2) {
                QTK_TILE_STORE(2, fresh + 512, 64);
                QTK_TILE_STORE(3, fresh + 768, 64);
            }
        }
        if (scaled.is_real)
            scale_quads(rows, scaled, scratch.tiles[~turn & 1][0], 0, rows.quads, scratch.c);
        if (scaled.ends_panel) finish_panel(rows, panel_done++, scratch.c);
        scaled = stored;
    }
}

QTK_REGION_END

}  // namespace QTK_ABI_NS
}  // namespace qtk::amx

#endif
