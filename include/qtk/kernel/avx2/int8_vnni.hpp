// SPDX-License-Identifier: Apache-2.0
//
// What does the int8 product of AVX2 do where AVX-VNNI is? vpdpbusd adds four products of a byte
// without sign and a byte with one to 32 bits: nothing is summed in 16 bits, and factors of 8 bits
// stay whole. The loops are those of int8_sums.hpp; a region cannot be a template's parameter.
#pragma once

#include <qtk/core/abi.hpp>
#include <qtk/kernel/avx2/block_params.hpp>
#include <qtk/kernel/avx2/int8_sums.hpp>
#include <qtk/kernel/avx2/operands.hpp>
#include <qtk/kernel/target.hpp>

#include <cstddef>
#include <cstdint>

#if QTK_HAS_X86

namespace qtk::avx2 {
inline namespace QTK_ABI_NS {

QTK_AVXVNNI_REGION

/// even, odd += operands I to 7 of a unit times the codes of R rows; both may be the same sums.
template <std::size_t R, int I = 0, typename Source>
QTK_ALWAYS_INLINE void dot_unit(Source const& w, std::uint8_t const* group, std::int8_t const* x,
                                __m256i (&even)[R][2], __m256i (&odd)[R][2]) noexcept {
    __m256i a, b;
    w.template get<I>(group, a, b);
    QTK_UNROLL
    for (std::size_t r = 0; r < R; ++r) {
        __m256i const codes = four_codes(x + tile_depth * r + 4 * I);
        even[r][0] = _mm256_dpbusd_avx_epi32(even[r][0], a, codes);
        even[r][1] = _mm256_dpbusd_avx_epi32(even[r][1], b, codes);
    }
    if constexpr (I + 1 < 8) dot_unit<R, I + 1>(w, group, x, odd, even);
}

/// The loops with vpdpbusd.
struct dpbusd {
    using byte_factors = whole_factors<8>;
    using byte_table = whole_factors<4, true>;

    /// All pieces of a chunk times 4 rows: 16 outputs.
    template <typename Factors>
    static void multiply_chunk(int8_chunk const& chunk, std::size_t group, row_tile const& x,
                               int8_results const& to) noexcept {
        constexpr std::size_t R = tile_height;
        std::uint8_t const* const unpacked = chunk.factors + group * chunk_units * unpacked_unit;
        std::size_t const column = group * (panel_columns / Factors::groups);
        for (std::size_t i = 0; i < chunk.count; ++i) {
            segment_piece const& piece = chunk.pieces[i];
            __m256i total[R][2];
            begin_piece<R, 2>(chunk, piece, column, x, to, total);
            std::uint8_t const* unit = unpacked + unpacked_unit * piece.first;
            for (std::size_t u = 0; u < piece.count; ++u, unit += unpacked_unit)
                dot_unit(unpacked_factors{}, unit, x.unit(piece.unit + u), total, total);
            end_piece<R, 2>(chunk.params[i], piece, column, x, to, total);
        }
    }

    /// c [R][32] += a segment of the stream times R rows. One row or two would wait for their own
    /// sums: they have others for every second operand.
    template <typename Factors, std::size_t R>
    static void multiply_stream(Factors const& factors, stream_segment const& s, row_tile const& x,
                                float* c) noexcept {
        constexpr bool has_odd_sums = R <= 2;
        for (std::size_t h = 0; h < Factors::groups; ++h) {
            std::uint8_t const* unit = s.data + h * Factors::group_bytes;
            __m256i even[R][2], odd[R][2] = {};
            begin_sums(x, s.segment, factors.bias, even);
            for (std::size_t u = 0; u < s.count; ++u, unit += s.unit_bytes) {
                if (h == 0)
                    for (std::size_t i = 0; i < s.unit_bytes; i += cache_line)
                        _mm_prefetch(reinterpret_cast<char const*>(unit + 1024 + i), _MM_HINT_T0);
                if constexpr (has_odd_sums)
                    dot_unit(factors, unit, x.unit(s.unit + u), even, odd);
                else
                    dot_unit(factors, unit, x.unit(s.unit + u), even, even);
            }
            if constexpr (has_odd_sums)
                for (std::size_t i = 0; i < 2 * R; ++i)
                    even[i / 2][i % 2] = _mm256_add_epi32(even[i / 2][i % 2], odd[i / 2][i % 2]);
            std::size_t const column = h * (panel_columns / Factors::groups);
            end_sums<R, 2>(c + column, even, *s.params, column, x, s.segment);
        }
    }
};

QTK_REGION_END

}  // namespace QTK_ABI_NS
}  // namespace qtk::avx2

#endif
