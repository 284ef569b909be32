// SPDX-License-Identifier: Apache-2.0
//
// How fast is a product of many rows of int8 activations with tiles? A step is 32 rows x 32 outputs x
// one segment in four tiles of sums. Step i multiplies while the sums of step i - 1 leave the tiles
// and those of step i - 2 are scaled into floats; beside that the next panel is unpacked and the last
// one written out. Activations pass by the nearest cache (tileloaddt1): otherwise they push the sums
// out of it. Sums and results are kept in the order of tiles until they are written.
#pragma once

#include <qtk/core/abi.hpp>
#include <qtk/kernel/amx/panel_reader.hpp>
#include <qtk/kernel/amx/tile.hpp>
#include <qtk/kernel/epilogue.hpp>
#include <qtk/kernel/product_scalar.hpp>
#include <qtk/kernel/quantized_rows.hpp>
#include <qtk/kernel/target.hpp>

#include <cstddef>
#include <cstdint>

#if QTK_HAS_X86

namespace qtk::amx {
inline namespace QTK_ABI_NS {

/// One step's operands.
struct block_operands {
    std::int8_t const* a0 = nullptr;  // tiles of the first 16 rows
    std::int8_t const* a1 = nullptr;
    std::uint8_t const* b = nullptr;  // operands of the segment's first step
    std::size_t depth = 0;            ///< number of that step in the panel
    std::size_t steps = 0;
};
/// A segment of a 32 x 32 block whose sums are on their way to the results c [2][2][16][16].
struct block_scaling {
    float const* row[2];  // scales of its rows, for each row tile
    float const* sum[2];  // scaled sums of their codes, for zero points
    float const* column;  // scales and shifts of its outputs
    float* c;
};

QTK_AMX_REGION

/// Half a tile, eight rows, joins the results.
template <int Piece, bool BySegment, bool HasZero>
QTK_ALWAYS_INLINE void scale_piece(std::int32_t const* tiles, block_scaling const& s) noexcept {
    constexpr int tile = Piece / 2, first = Piece % 2 * 8;
    __m512 const w = _mm512_load_ps(s.column + tile % 2 * 16);
    __m512 const z = _mm512_load_ps(s.column + 32 + tile % 2 * 16);
    float const* const rows = s.row[tile / 2] + first;
    float const* const sums = s.sum[tile / 2] + first;
    std::int32_t const* const from = tiles + 256 * tile + 16 * first;
    float* const c = s.c + 256 * tile + 16 * first;
    QTK_UNROLL
    for (int r = 0; r < 8; ++r) {
        __m512 const v = _mm512_cvtepi32_ps(_mm512_load_si512(from + 16 * r));
        __m512 const f = BySegment ? _mm512_mul_ps(w, _mm512_set1_ps(rows[r])) : w;
        __m512 y = _mm512_fmadd_ps(v, f, _mm512_load_ps(c + 16 * r));
        if constexpr (HasZero) y = _mm512_fmadd_ps(z, _mm512_set1_ps(sums[r]), y);
        _mm512_store_ps(c + 16 * r, y);
    }
}

/// One step. Tiles 0 to 3 hold sums [2 row tile + half], 4 and 5 activations, 6 and 7 the halves of
/// the operands. `out` receives the sums of the step before, `in` holds those of the one before that.
template <bool BySegment, bool HasZero>
QTK_ALWAYS_INLINE void run_step(block_operands const& s, step_shape const& shape, std::int32_t* out,
                                std::int32_t const* in, block_scaling const& done) noexcept {
    std::uint8_t const* b = s.b;
    std::size_t const tile = 16 * tile_depth, half = shape.half;
    std::size_t a = shape.offset(s.depth, tile);
    QTK_TILE_LOAD_ONCE(4, s.a0 + a, 64);
    QTK_TILE_LOAD(6, b, 64);
    QTK_TILE_STORE(0, out, 64);
    QTK_TILE_ZERO(0);
    QTK_TILE_DOT_S8(0, 4, 6);
    scale_piece<0, BySegment, HasZero>(in, done);
    QTK_TILE_LOAD(7, b + half, 64);
    QTK_TILE_STORE(1, out + 256, 64);
    QTK_TILE_ZERO(1);
    QTK_TILE_DOT_S8(1, 4, 7);
    scale_piece<1, BySegment, HasZero>(in, done);
    QTK_TILE_LOAD_ONCE(5, s.a1 + a, 64);
    QTK_TILE_STORE(2, out + 512, 64);
    QTK_TILE_ZERO(2);
    QTK_TILE_DOT_S8(2, 5, 6);
    scale_piece<2, BySegment, HasZero>(in, done);
    QTK_TILE_STORE(3, out + 768, 64);
    QTK_TILE_ZERO(3);
    QTK_TILE_DOT_S8(3, 5, 7);
    scale_piece<3, BySegment, HasZero>(in, done);
    if (s.steps == 1) {
        scale_piece<4, BySegment, HasZero>(in, done);
        scale_piece<5, BySegment, HasZero>(in, done);
        scale_piece<6, BySegment, HasZero>(in, done);
        scale_piece<7, BySegment, HasZero>(in, done);
        return;
    }
    a = shape.offset(s.depth + 1, tile);
    b += shape.bytes;
    QTK_TILE_LOAD_ONCE(4, s.a0 + a, 64);
    QTK_TILE_LOAD(6, b, 64);
    QTK_TILE_DOT_S8(0, 4, 6);
    scale_piece<4, BySegment, HasZero>(in, done);
    QTK_TILE_LOAD(7, b + half, 64);
    QTK_TILE_DOT_S8(1, 4, 7);
    scale_piece<5, BySegment, HasZero>(in, done);
    QTK_TILE_LOAD_ONCE(5, s.a1 + a, 64);
    QTK_TILE_DOT_S8(2, 5, 6);
    scale_piece<6, BySegment, HasZero>(in, done);
    QTK_TILE_DOT_S8(3, 5, 7);
    scale_piece<7, BySegment, HasZero>(in, done);
    for (std::size_t k = 2; k < s.steps; ++k) {
        a = shape.offset(s.depth + k, tile);
        b += shape.bytes;
        QTK_TILE_LOAD_ONCE(4, s.a0 + a, 64);
        QTK_TILE_LOAD(6, b, 64);
        QTK_TILE_DOT_S8(0, 4, 6);
        QTK_TILE_LOAD(7, b + half, 64);
        QTK_TILE_DOT_S8(1, 4, 7);
        QTK_TILE_LOAD_ONCE(5, s.a1 + a, 64);
        QTK_TILE_DOT_S8(2, 5, 6);
        QTK_TILE_DOT_S8(3, 5, 7);
    }
}

/// A step without a product: the sums leave the tiles, and earlier ones are scaled.
template <bool BySegment, bool HasZero>
inline void drain_step(std::int32_t* out, std::int32_t const* in,
                       block_scaling const& done) noexcept {
    QTK_TILE_STORE(0, out, 64);
    QTK_TILE_STORE(1, out + 256, 64);
    QTK_TILE_STORE(2, out + 512, 64);
    QTK_TILE_STORE(3, out + 768, 64);
    scale_piece<0, BySegment, HasZero>(in, done);
    scale_piece<1, BySegment, HasZero>(in, done);
    scale_piece<2, BySegment, HasZero>(in, done);
    scale_piece<3, BySegment, HasZero>(in, done);
    scale_piece<4, BySegment, HasZero>(in, done);
    scale_piece<5, BySegment, HasZero>(in, done);
    scale_piece<6, BySegment, HasZero>(in, done);
    scale_piece<7, BySegment, HasZero>(in, done);
}

/// Finished results of a panel, on their way to memory row by row.
struct panel_writer {
    quantized_rows const* x = nullptr;
    output_rows const* y = nullptr;
    float* c = nullptr;  // [row tile pair][2][2][16][16]
    std::size_t first = 0, rows = 0, panel = 0;
    std::size_t row = 0;  ///< the next one
};

/// Writes up to `count` rows, and makes their results zero.
inline void write_some(panel_writer& w, std::size_t count) noexcept {
    bool const is_plain = w.y->is_plain_f32() && (w.panel + 1) * panel_columns <= w.y->cols;
    float* to = is_plain ? w.y->f32(w.first + w.row, w.panel * panel_columns) : nullptr;
    bool const streams =
        reinterpret_cast<std::uintptr_t>(to) % cache_line == 0 && w.y->stride % 16 == 0;
    for (; count > 0 && w.row < w.rows; --count, ++w.row) {
        float* const c = w.c + w.row / 16 * 512 + w.row % 16 * 16;
        __m512 left = _mm512_load_ps(c), right = _mm512_load_ps(c + 256);
        _mm512_store_ps(c, _mm512_setzero_ps());
        _mm512_store_ps(c + 256, _mm512_setzero_ps());
        if (w.x->has_row_scales()) {
            __m512 const a = _mm512_set1_ps(w.x->scales[w.first + w.row]);
            left = _mm512_mul_ps(left, a);
            right = _mm512_mul_ps(right, a);
        }
        if (!is_plain) {
            alignas(64) float sums[panel_columns];
            _mm512_store_ps(sums, left);
            _mm512_store_ps(sums + 16, right);
            write_panel(sums, 1, w.first + w.row, w.panel, *w.y);
            continue;
        }
        if (streams) {
            _mm512_stream_ps(to, left);
            _mm512_stream_ps(to + 16, right);
        } else {
            _mm512_storeu_ps(to, left);
            _mm512_storeu_ps(to + 16, right);
        }
        to += w.y->stride;
    }
}

/// Unpacks up to `count` units of a panel from unit `place` on; the next unit's place comes back.
using unpacker = std::size_t (*)(panel_reader& r, std::uint8_t* codes, step_shape const& shape,
                                 std::size_t place, std::size_t count) noexcept;
template <int Kind>
inline std::size_t unpack_some(panel_reader& r, std::uint8_t* codes, step_shape const& shape,
                               std::size_t place, std::size_t count) noexcept {
    constexpr std::size_t ahead = 4096;
    __m512i const constant = constant_of<Kind>(*r.job);
    for (std::size_t const end = place + count; place < end; ++place) {
        std::uint8_t* const step = codes + place / shape.units * shape.bytes;
        if (place % shape.units == 0)
            read_unit<Kind, 0>(r, constant, ahead, step, shape.half);
        else
            read_unit<Kind, 1>(r, constant, ahead, step, shape.half);
    }
    return place;
}

QTK_REGION_END

}  // namespace QTK_ABI_NS
}  // namespace qtk::amx

#endif
