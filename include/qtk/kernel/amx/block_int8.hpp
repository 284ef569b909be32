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

/// Where a segment lies: bytes in a row tile of activations and in the operands of a panel.
struct step_range {
    std::size_t steps = 0;
    std::size_t a = 0, a_next = 0;  ///< of its first and second step
    std::size_t b = 0;              ///< of its first step
    std::size_t depth = 0;          ///< number of that step
};
/// One step's operands: activations of both row tiles, and the panel.
struct block_operands {
    std::int8_t const* a0 = nullptr;
    std::int8_t const* a1 = nullptr;
    std::uint8_t const* b = nullptr;
};
/// A segment of a 32 x 32 block whose sums are on their way to the results c [2][2][16][16].
struct block_scaling {
    float const* row[2];  // scales of its rows, for each row tile
    float const* sum[2];  // scaled sums of their codes, for zero points
    float const* column;  // scales and shifts of its outputs
    float* c;
};

QTK_AMX_REGION

/// Half a tile, eight rows, joins the results c. w and z are the scales and shifts of its outputs;
/// rows and sums those of its row tile.
template <int Piece, bool BySegment, bool HasZero>
QTK_ALWAYS_INLINE void scale_piece(std::int32_t const* tiles, __m512 w, __m512 z, float const* rows,
                                   float const* sums, float* c) noexcept {
    constexpr int first = Piece % 2 * 8, at = 256 * (Piece / 2) + 16 * first;
    QTK_UNROLL
    for (int r = 0; r < 8; ++r) {
        __m512 const v = _mm512_cvtepi32_ps(_mm512_load_si512(tiles + at + 16 * r));
        __m512 const f = BySegment ? _mm512_mul_ps(w, _mm512_set1_ps(rows[first + r])) : w;
        __m512 y = _mm512_fmadd_ps(v, f, _mm512_load_ps(c + at + 16 * r));
        if constexpr (HasZero) y = _mm512_fmadd_ps(z, _mm512_set1_ps(sums[first + r]), y);
        _mm512_store_ps(c + at + 16 * r, y);
    }
}

/// One step. Tiles 0 to 3 hold sums [2 row tile + half], 4 and 5 activations, 6 and 7 the halves of
/// the operands. `out` receives the sums of the step before, `in` holds those of the one before that.
/// Without Multiplies only the latter two happen.
template <bool BySegment, bool HasZero, bool Multiplies = true>
QTK_ALWAYS_INLINE void run_step(block_operands const& s, step_range const& segment,
                                step_shape const& shape, std::int32_t* out, std::int32_t const* in,
                                block_scaling const& done) noexcept {
    // In registers: a struct would be read again after each tile instruction.
    __m512 const w0 = _mm512_load_ps(done.column), w1 = _mm512_load_ps(done.column + 16);
    __m512 z0 = w0, z1 = w1;
    if constexpr (HasZero)
        z0 = _mm512_load_ps(done.column + 32), z1 = _mm512_load_ps(done.column + 48);
    float const *const row0 = done.row[0], *const row1 = done.row[1];
    float const *const sum0 = done.sum[0], *const sum1 = done.sum[1];
    float* const c = done.c;
    std::size_t const half = shape.half, steps = segment.steps;
    std::int8_t const *a0 = s.a0 + segment.a, *a1 = s.a1 + segment.a;
    std::uint8_t const* b = s.b + segment.b;
    if constexpr (Multiplies) {
        QTK_TILE_LOAD_ONCE(4, a0, 64);
        QTK_TILE_LOAD(6, b, 64);
    }
    QTK_TILE_STORE(0, out, 64);
    QTK_TILE_ZERO(0);
    if constexpr (Multiplies) QTK_TILE_DOT_S8(0, 4, 6);
    scale_piece<0, BySegment, HasZero>(in, w0, z0, row0, sum0, c);
    if constexpr (Multiplies) QTK_TILE_LOAD(7, b + half, 64);
    QTK_TILE_STORE(1, out + 256, 64);
    QTK_TILE_ZERO(1);
    if constexpr (Multiplies) QTK_TILE_DOT_S8(1, 4, 7);
    scale_piece<1, BySegment, HasZero>(in, w0, z0, row0, sum0, c);
    if constexpr (Multiplies) QTK_TILE_LOAD_ONCE(5, a1, 64);
    QTK_TILE_STORE(2, out + 512, 64);
    QTK_TILE_ZERO(2);
    if constexpr (Multiplies) QTK_TILE_DOT_S8(2, 5, 6);
    scale_piece<2, BySegment, HasZero>(in, w1, z1, row0, sum0, c);
    QTK_TILE_STORE(3, out + 768, 64);
    QTK_TILE_ZERO(3);
    if constexpr (Multiplies) QTK_TILE_DOT_S8(3, 5, 7);
    scale_piece<3, BySegment, HasZero>(in, w1, z1, row0, sum0, c);
    if (!Multiplies || steps == 1) {
        scale_piece<4, BySegment, HasZero>(in, w0, z0, row1, sum1, c);
        scale_piece<5, BySegment, HasZero>(in, w0, z0, row1, sum1, c);
        scale_piece<6, BySegment, HasZero>(in, w1, z1, row1, sum1, c);
        scale_piece<7, BySegment, HasZero>(in, w1, z1, row1, sum1, c);
        return;
    }
    if constexpr (Multiplies) {
        std::size_t const hop = segment.a_next - segment.a;
        a0 += hop, a1 += hop, b += shape.bytes;
        QTK_TILE_LOAD_ONCE(4, a0, 64);
        QTK_TILE_LOAD(6, b, 64);
        QTK_TILE_DOT_S8(0, 4, 6);
        scale_piece<4, BySegment, HasZero>(in, w0, z0, row1, sum1, c);
        QTK_TILE_LOAD(7, b + half, 64);
        QTK_TILE_DOT_S8(1, 4, 7);
        scale_piece<5, BySegment, HasZero>(in, w0, z0, row1, sum1, c);
        QTK_TILE_LOAD_ONCE(5, a1, 64);
        QTK_TILE_DOT_S8(2, 5, 6);
        scale_piece<6, BySegment, HasZero>(in, w1, z1, row1, sum1, c);
        QTK_TILE_DOT_S8(3, 5, 7);
        scale_piece<7, BySegment, HasZero>(in, w1, z1, row1, sum1, c);
        for (std::size_t k = 2; k < steps; ++k) {
            std::size_t const a = shape.offset(segment.depth + k, 16 * tile_depth);
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
    std::size_t row = w.row;
    std::size_t const end = w.rows - row < count ? w.rows : row + count;
    w.row = end;
    output_rows const& y = *w.y;
    bool const is_plain = y.is_plain_f32() && (w.panel + 1) * panel_columns <= y.cols;
    float* to = is_plain ? y.f32(w.first + row, w.panel * panel_columns) : nullptr;
    bool const streams =
        reinterpret_cast<std::uintptr_t>(to) % cache_line == 0 && y.stride % 16 == 0;
    float const* const scales = w.x->has_row_scales() ? w.x->scales + w.first : nullptr;
    std::size_t const stride = y.stride;
    for (; row < end; ++row, to += is_plain ? stride : 0) {
        float* const c = w.c + row / 16 * 512 + row % 16 * 16;
        __m512 left = _mm512_load_ps(c), right = _mm512_load_ps(c + 256);
        _mm512_store_ps(c, _mm512_setzero_ps());
        _mm512_store_ps(c + 256, _mm512_setzero_ps());
        if (scales != nullptr) {
            __m512 const a = _mm512_set1_ps(scales[row]);
            left = _mm512_mul_ps(left, a);
            right = _mm512_mul_ps(right, a);
        }
        if (streams && is_plain) {
            _mm512_stream_ps(to, left);
            _mm512_stream_ps(to + 16, right);
        } else if (is_plain) {
            _mm512_storeu_ps(to, left);
            _mm512_storeu_ps(to + 16, right);
        } else {
            alignas(64) float sums[panel_columns];
            _mm512_store_ps(sums, left);
            _mm512_store_ps(sums + 16, right);
            write_panel(sums, 1, w.first + row, w.panel, y);
        }
    }
}

/// A panel that is being unpacked.
struct panel_unpacker {
    panel_reader reader;
    panel_reader::place at = {};
    std::uint8_t* codes = nullptr;  // [step][half][rows][64]
    std::size_t done = 0;           ///< units, those of zeros counted
};
/// Unpacks the next `count` units.
using unpacker = void (*)(panel_unpacker& u, step_shape const& shape, std::size_t count) noexcept;
template <int Kind>
inline void unpack_some(panel_unpacker& u, step_shape const& shape, std::size_t count) noexcept {
    __m512i const constant = constant_of<Kind>(*u.reader.job);
    for (std::size_t const end = u.done + count; u.done < end; ++u.done) {
        bool const is_second = shape.units == 2 && u.done % 2 == 1;
        std::uint8_t* const step = u.codes + (shape.units == 2 ? u.done / 2 : u.done) * shape.bytes;
        if (!is_second)
            read_unit<Kind, 0, 4096>(u.reader, u.at, constant, step, shape.half);
        else
            read_unit<Kind, 1, 4096>(u.reader, u.at, constant, step, shape.half);
    }
}

QTK_REGION_END

}  // namespace QTK_ABI_NS
}  // namespace qtk::amx

#endif
