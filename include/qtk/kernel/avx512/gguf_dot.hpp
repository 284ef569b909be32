// SPDX-License-Identifier: Apache-2.0
//
// How are GGUF blocks multiplied with int8 activations on AVX-512 with VNNI? One row of X walks along
// each row of W; several rows of X take a few rows of W chunk by chunk, so that the activations of a
// chunk and the partial sums stay in the L1 cache.
#pragma once

#include <qtk/kernel/avx512/gguf_chunk.hpp>
#include <qtk/kernel/cpu.hpp>
#include <qtk/kernel/epilogue.hpp>
#include <qtk/kernel/gguf_activations.hpp>
#include <qtk/kernel/product_scalar.hpp>
#include <qtk/kernel/target.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#if QTK_HAS_X86
QTK_AVX512_REGION
namespace qtk::avx512 {
inline namespace QTK_ABI_NS {

/// The tree of the scalar twin: y[i] + y[i + 8], then 4, 2, 1.
QTK_ALWAYS_INLINE float sum_of_lanes(__m512 y) noexcept {
    __m256 const eight = _mm256_add_ps(_mm512_castps512_ps256(y), _mm512_extractf32x8_ps(y, 1));
    __m128 const four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    __m128 const two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
}

/// Rows of X and of W that one call takes: their partial sums stay in the L1 cache.
inline constexpr std::size_t gguf_tile_rows = 16, gguf_tile_outputs = 8;

/// One row of X: a row of W is read from its first to its last byte.
template <typename Kernel>
inline float gguf_dot_one(std::uint8_t const* row, std::size_t row_bytes, gguf_activations const& x,
                          std::size_t m) noexcept {
    // Far enough ahead for memory, near enough to stay in L1 until it is read.
    constexpr std::size_t ahead = 1024;
    bool const asks_ahead = !cpu().streams_by_itself;
    std::uint8_t const* record = x.record(m, 0);
    std::uint8_t const* const end = row + row_bytes / Kernel::bytes * Kernel::bytes;
    __m512 y = _mm512_setzero_ps();
    for (; row != end; row += Kernel::bytes, record += Kernel::chunk.record()) {
        if (asks_ahead) QTK_UNROLL
        for (std::size_t line = 0; line < Kernel::bytes; line += 64)
            _mm_prefetch(reinterpret_cast<char const*>(row) + ahead + line, _MM_HINT_T0);
        Kernel w;
        w.unpack(row);
        y = w.add(record, y);
    }
    if (std::size_t const left = row_bytes % Kernel::bytes; left != 0) {
        std::uint8_t whole[Kernel::bytes] = {};
        std::memcpy(whole, row, left);
        Kernel w;
        w.unpack(whole);
        y = w.add(record, y);
    }
    return sum_of_lanes(y) * x.row_scales[m];
}

/// Up to 8 rows of W times up to 16 of X, chunk by chunk; sums [m][panel_columns].
template <typename Kernel>
inline void gguf_dot_tile(std::uint8_t const* rows, std::size_t row_bytes, std::size_t outputs,
                          gguf_activations const& x, std::size_t first, std::size_t count,
                          float* sums) noexcept {
    __m512 y[gguf_tile_outputs][gguf_tile_rows];
    for (std::size_t r = 0; r < outputs; ++r)
        for (std::size_t m = 0; m < count; ++m) y[r][m] = _mm512_setzero_ps();
    std::size_t const record_stride = x.chunks * Kernel::chunk.record();
    for (std::size_t c = 0; c < x.chunks; ++c) {
        std::size_t const at = c * Kernel::bytes, left = row_bytes - at;
        std::uint8_t const* const records = x.record(first, c);
        for (std::size_t r = 0; r < outputs; ++r) {
            std::uint8_t const* chunk = rows + r * row_bytes + at;
            std::uint8_t whole[Kernel::bytes];
            if (left < Kernel::bytes) {
                std::memset(whole, 0, Kernel::bytes);
                std::memcpy(whole, chunk, left);
                chunk = whole;
            }
            Kernel w;
            w.unpack(chunk);
            for (std::size_t m = 0; m < count; ++m)
                y[r][m] = w.add(records + m * record_stride, y[r][m]);
        }
    }
    for (std::size_t r = 0; r < outputs; ++r)
        for (std::size_t m = 0; m < count; ++m)
            sums[m * panel_columns + r] = sum_of_lanes(y[r][m]) * x.row_scales[first + m];
}

template <typename Kernel>
inline void gguf_panels(gguf_view const& w, gguf_activations const& x, product_part const& part,
                        output_rows const& to) noexcept {
    std::size_t const row_bytes = w.row_blocks() * w.block_bytes();
    for (std::size_t m = part.row; m < part.row_end; m += gguf_tile_rows)
        for (std::size_t p = part.panel; p < part.panel_end; ++p) {
            alignas(64) float sums[gguf_tile_rows * panel_columns] = {};
            std::size_t const first = p * panel_columns;
            std::size_t const width = std::min(panel_columns, w.rows - first);
            std::size_t const count = std::min(gguf_tile_rows, part.row_end - m);
            std::uint8_t const* const rows = w.bytes.data() + first * row_bytes;
            if (count == 1)
                for (std::size_t r = 0; r < width; ++r)
                    sums[r] = gguf_dot_one<Kernel>(rows + r * row_bytes, row_bytes, x, m);
            else
                for (std::size_t r = 0; r < width; r += gguf_tile_outputs)
                    gguf_dot_tile<Kernel>(rows + r * row_bytes, row_bytes,
                                          std::min(gguf_tile_outputs, width - r), x, m, count,
                                          sums + r);
            write_panel(sums, count, m, p, to);
        }
}

/// A part of a product with int8 activations: bit for bit scalar::gguf_int8.
inline void gguf_int8(gguf_view const& w, gguf_activations const& x, product_part const& part,
                      output_rows const& y) noexcept {
    switch (w.type) {
        case gguf_type::q4_0:
            return gguf_panels<gguf_q4_0>(w, x, part, y);
        case gguf_type::q8_0:
            return gguf_panels<gguf_q8_0>(w, x, part, y);
        case gguf_type::q4_K:
            return gguf_panels<gguf_q4_K>(w, x, part, y);
        case gguf_type::q6_K:
            return gguf_panels<gguf_q6_K>(w, x, part, y);
        default:
            return;  // refused before
    }
}

}  // namespace QTK_ABI_NS
}  // namespace qtk::avx512
QTK_REGION_END
#endif
