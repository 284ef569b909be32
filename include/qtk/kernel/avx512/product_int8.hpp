// SPDX-License-Identifier: Apache-2.0
//
// How fast is a product of many rows of int8 activations? The codes of a piece of a panel are
// brought down to bytes once, in the nearest cache, for all rows of a part; eight rows x 32 outputs
// of sums stay in registers for a segment and then join the floats of the part. Up to four rows go
// through stream_int8.hpp.
#pragma once

#include <qtk/core/abi.hpp>
#include <qtk/kernel/aligned_bytes.hpp>
#include <qtk/kernel/avx512/block_header.hpp>
#include <qtk/kernel/avx512/operands.hpp>
#include <qtk/kernel/avx512/stream_int8.hpp>
#include <qtk/kernel/epilogue.hpp>
#include <qtk/kernel/product_scalar.hpp>
#include <qtk/kernel/quantized_rows.hpp>
#include <qtk/kernel/target.hpp>

#include <cstddef>
#include <cstdint>

#if QTK_HAS_X86

namespace qtk::avx512 {
inline namespace QTK_ABI_NS {

struct purpose_of_product;  // names the scratch below

/// Scratch of a part: operands of a piece, what its segments are scaled with, the sums so far.
struct int8_scratch {
    static constexpr std::size_t piece_units = 16;  ///< 16 KiB of operands

    std::uint8_t* operands = nullptr;  // [half][units * 8][64]
    float* scales = nullptr;           // [segment][scale 32, shift 32]
    float* sums = nullptr;             // [row][32]
    std::size_t units = 0;             ///< room for so many

    int8_scratch(segment_plan const& plan, std::size_t rows) {
        units = plan.units > piece_units ? plan.units : piece_units;
        std::size_t const operand_bytes = units * 1024, scale_bytes = units * 256;
        std::uint8_t* const base = thread_scratch<purpose_of_product>(
            operand_bytes + scale_bytes + rows * panel_columns * sizeof(float));
        operands = base;
        scales = reinterpret_cast<float*>(base + operand_bytes);
        sums = reinterpret_cast<float*>(base + operand_bytes + scale_bytes);
    }
};

/// One segment of a piece: where its operands and scales lie.
struct piece_segment {
    std::size_t units = 0;
    std::size_t depth = 0;  ///< k where it begins
    std::size_t index = 0;  ///< of the segment in its row
};
/// Segments that are worked on together.
struct piece {
    static constexpr std::size_t most = int8_scratch::piece_units;
    piece_segment segments[most];
    std::size_t count = 0, units = 0;
};

/// Walks over the blocks of a panel and cuts them into pieces.
struct piece_cutter {
    packed_layout const* w;
    segment_plan const* plan;
    std::size_t block = 0, unit = 0, index = 0, depth = 0;

    [[nodiscard]] bool is_done() const noexcept { return block == w->groups; }
};

QTK_AVX512_REGION

/// Takes the next segments that fit, their codes brought down and their headers read.
template <int Kind>
inline void next_piece(int8_context const& job, std::size_t p, piece_cutter& at, piece& out,
                       int8_scratch const& scratch) noexcept {
    packed_layout const& w = job.w->layout;
    __m512i const table =
        _mm512_broadcast_i32x4(_mm_load_si128(reinterpret_cast<__m128i const*>(job.table)));
    out.count = out.units = 0;
    std::size_t const half = scratch.units * 512;
    while (!at.is_done() && out.count < piece::most) {
        std::size_t const left = w.units_of(at.block) - at.unit;
        std::size_t const units = left < at.plan->units ? left : at.plan->units;
        if (out.units + units > scratch.units) break;
        std::uint8_t const* const block = job.w->block(p, at.block);
        block_scales const s = load_header(w, block, job.w->tensor_scale, job.unit, job.middle);
        for (std::size_t h = 0; h < 2; ++h) {
            _mm512_store_ps(scratch.scales + 64 * out.count + 16 * h, s.scale[h]);
            _mm512_store_ps(scratch.scales + 64 * out.count + 32 + 16 * h, s.shift[h]);
        }
        std::uint8_t const* unit = block + w.header_bytes + at.unit * w.unit_bytes;
        std::uint8_t* to = scratch.operands + out.units * 512;
        for (std::size_t u = 0; u < units; ++u, unit += w.unit_bytes, to += 512)
            unpack_unit<Kind>(unit, table, to, to + half);
        out.segments[out.count++] = {units, at.depth, at.index++};
        out.units += units;
        at.depth += units * unit_depth;
        at.unit += units;
        if (at.unit == w.units_of(at.block)) at.unit = 0, ++at.block;
    }
}

/// R rows of one tile times one segment, added to their sums.
template <std::size_t R>
inline void rows_times_segment(int8_context const& job, piece_segment const& segment,
                               std::uint8_t const* operands, std::size_t half, float const* scales,
                               std::size_t row, float* c) noexcept {
    quantized_rows const& x = *job.x;
    std::size_t const at = x.at(row, segment.index), tile = x.tile_rows * tile_depth;
    __m512i sum[R][2];
    QTK_UNROLL
    for (std::size_t r = 0; r < R; ++r)
        sum[r][0] = sum[r][1] = _mm512_set1_epi32(-job.bias * x.sums[at + r]);
    std::int8_t const* const codes = x.code(row, 0);
    for (std::size_t u = 0; u < segment.units; ++u, operands += 512) {
        std::size_t const k = segment.depth + u * unit_depth;
        std::int8_t const* const four = codes + k / tile_depth * tile + k % tile_depth;
        QTK_UNROLL
        for (std::size_t i = 0; i < 8; ++i) {
            __m512i const a = _mm512_load_si512(operands + 64 * i);
            __m512i const b = _mm512_load_si512(operands + half + 64 * i);
            QTK_UNROLL
            for (std::size_t r = 0; r < R; ++r) {
                __m512i const v = four_codes(four + 64 * r + 4 * i);
                sum[r][0] = _mm512_dpbusd_epi32(sum[r][0], a, v);
                sum[r][1] = _mm512_dpbusd_epi32(sum[r][1], b, v);
            }
        }
    }
    bool const has_zero = job.w->layout.has_zero, by_segment = !x.has_row_scales();
    QTK_UNROLL
    for (std::size_t r = 0; r < R; ++r) {
        std::size_t const i = at + r;
        float const a = by_segment ? x.scales[i] : 1.0f;
        float const a_sum = has_zero ? a * static_cast<float>(x.sums[i]) : 0.0f;
        QTK_UNROLL
        for (std::size_t h = 0; h < 2; ++h) {
            float* const to = c + 32 * r + 16 * h;
            _mm512_store_ps(to, scaled_sum(sum[r][h], _mm512_load_ps(scales + 16 * h),
                                           _mm512_load_ps(scales + 32 + 16 * h), has_zero, a, a_sum,
                                           _mm512_load_ps(to)));
        }
    }
}

/// Finished sums of whole panels go to memory as they are, past the caches if the result is large.
inline void write_sums(float* c, std::size_t rows, std::size_t row, std::size_t p,
                       output_rows const& y) noexcept {
    if (!y.is_plain_f32() || (p + 1) * panel_columns > y.cols)
        return write_panel(c, rows, row, p, y);
    float* to = y.f32(row, p * panel_columns);
    bool const streams =
        reinterpret_cast<std::uintptr_t>(to) % cache_line == 0 && y.stride % 16 == 0 && rows >= 32;
    for (std::size_t r = 0; r < rows; ++r, c += 32, to += y.stride) {
        __m512 const a = _mm512_load_ps(c), b = _mm512_load_ps(c + 16);
        if (streams) {
            _mm512_stream_ps(to, a);
            _mm512_stream_ps(to + 16, b);
        } else {
            _mm512_storeu_ps(to, a);
            _mm512_storeu_ps(to + 16, b);
        }
    }
}

template <int Kind>
inline void block_panels(int8_context const& job, product_part const& part,
                         output_rows const& y) noexcept {
    packed_layout const& w = job.w->layout;
    quantized_rows const& x = *job.x;
    std::size_t const rows = part.row_end - part.row, whole = (rows + 7) / 8 * 8;
    int8_scratch const scratch(x.plan, whole);
    std::size_t const half = scratch.units * 512;
    piece work;
    for (std::size_t p = part.panel; p < part.panel_end; ++p) {
        for (std::size_t i = 0; i < whole * panel_columns; i += 16)
            _mm512_store_ps(scratch.sums + i, _mm512_setzero_ps());
        for (piece_cutter at{&w, &x.plan}; !at.is_done();) {
            next_piece<Kind>(job, p, at, work, scratch);
            // The stream is read in bursts: what comes next is asked for while rows are multiplied.
            std::uint8_t const* ahead = job.w->block(p, at.block) + at.unit * w.unit_bytes;
            std::size_t const step = work.units * w.unit_bytes / (whole / 8) + cache_line;
            for (std::size_t r = 0; r < whole; r += 8) {
                for (std::size_t i = 0; i < step; i += cache_line)
                    _mm_prefetch(reinterpret_cast<char const*>(ahead + i), _MM_HINT_T1);
                ahead += step;
                std::uint8_t const* from = scratch.operands;
                float const* scales = scratch.scales;
                for (std::size_t s = 0; s < work.count; ++s, scales += 64) {
                    rows_times_segment<8>(job, work.segments[s], from, half, scales, part.row + r,
                                          scratch.sums + r * panel_columns);
                    from += work.segments[s].units * 512;
                }
            }
        }
        if (x.has_row_scales())
            for (std::size_t r = 0; r < rows; ++r)
                for (std::size_t i = 0; i < panel_columns; i += 16) {
                    float* const c = scratch.sums + r * panel_columns + i;
                    _mm512_store_ps(c, _mm512_mul_ps(_mm512_load_ps(c),
                                                     _mm512_set1_ps(x.scales[part.row + r])));
                }
        write_sums(scratch.sums, rows, part.row, p, y);
    }
    _mm_sfence();
}

/// The bits of scalar::product_int8.
inline void product_int8(packed_view const& w, quantized_rows const& x, product_part const& part,
                         output_rows const& y) noexcept {
    int8_context const job(w, x);
    bool const streams = part.row_end - part.row <= most_streamed;
    int const kind =
        is_looked_up(w.element) ? looked_up : w.layout.planes.low + w.layout.planes.high;
    switch (kind) {
        case 2:
            return streams ? stream_panels<2>(job, part, y) : block_panels<2>(job, part, y);
        case 3:
            return streams ? stream_panels<3>(job, part, y) : block_panels<3>(job, part, y);
        case 4:
            return streams ? stream_panels<4>(job, part, y) : block_panels<4>(job, part, y);
        case 5:
            return streams ? stream_panels<5>(job, part, y) : block_panels<5>(job, part, y);
        case 6:
            return streams ? stream_panels<6>(job, part, y) : block_panels<6>(job, part, y);
        case 8:
            return streams ? stream_panels<8>(job, part, y) : block_panels<8>(job, part, y);
        default:
            return streams ? stream_panels<looked_up>(job, part, y)
                           : block_panels<looked_up>(job, part, y);
    }
}

QTK_REGION_END

}  // namespace QTK_ABI_NS
}  // namespace qtk::avx512

#endif
