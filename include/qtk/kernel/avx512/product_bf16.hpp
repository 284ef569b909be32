// SPDX-License-Identifier: Apache-2.0
//
// How are rows of bf16 multiplied with packed weights on AVX-512? With vdpbf16ps a piece of a panel
// becomes pairs [k / 2][32] of bf16 and a product does two k: twice the work of floats on machines
// that have it at full rate. Without it the same rounded numbers are multiplied as floats.
//
// The instruction takes numbers below 2^-126 as zero, and so does the conversion.
#pragma once

#include <qtk/core/abi.hpp>
#include <qtk/kernel/avx512/panel_product.hpp>
#include <qtk/kernel/avx512/product_f32.hpp>
#include <qtk/kernel/cpu.hpp>
#include <qtk/kernel/panel_product.hpp>
#include <qtk/kernel/target.hpp>

#include <cstddef>

#if QTK_HAS_X86

namespace qtk::avx512 {
inline namespace QTK_ABI_NS {
QTK_AVX512_REGION

/// Rounds n floats, a multiple of 16, to bf16 and back: nearest even, NaN stays NaN.
inline void round_to_bf16(float* x, std::size_t n) noexcept {
    __m512i const half = _mm512_set1_epi32(0x7fff), one = _mm512_set1_epi32(1);
    __m512i const upper = _mm512_set1_epi32(-0x10000), quiet = _mm512_set1_epi32(0x400000);
    for (std::size_t i = 0; i < n; i += 16) {
        __m512 const v = _mm512_loadu_ps(x + i);
        __m512i const bits = _mm512_castps_si512(v);
        __m512i const odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), one);
        __m512i const up = _mm512_add_epi32(bits, _mm512_add_epi32(half, odd));
        __mmask16 const is_nan = _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);
        __m512i const kept = _mm512_mask_or_epi32(up, is_nan, bits, quiet);
        _mm512_storeu_ps(x + i, _mm512_castsi512_ps(_mm512_and_si512(kept, upper)));
    }
}
QTK_REGION_END

QTK_AVX512BF16_REGION

/// Floats [k][32] to pairs [k / 2][32], in place; k is even.
inline void pair_rows(float* w, std::size_t k) noexcept {
    alignas(64) static constexpr std::uint16_t order[32] = {
        0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
        8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
    __m512i const beside = _mm512_load_si512(order);
    for (std::size_t i = 0; i < k; i += 2)
        for (std::size_t h = 0; h < 32; h += 16) {
            __m512 const first = _mm512_load_ps(w + 32 * i + h);
            __m512 const second = _mm512_load_ps(w + 32 * i + 32 + h);
            __m512bh const both = _mm512_cvtne2ps_pbh(second, first);
            _mm512_store_si512(w + 16 * i + h,
                               _mm512_permutexvar_epi16(beside, reinterpret_cast<__m512i>(both)));
        }
}
/// n floats, a multiple of 32, to n / 2 pairs, in place.
inline void pair_floats(float* x, std::size_t n) noexcept {
    for (std::size_t i = 0; i < n; i += 32) {
        __m512 const first = _mm512_loadu_ps(x + i), second = _mm512_loadu_ps(x + i + 16);
        __m512bh const both = _mm512_cvtne2ps_pbh(second, first);
        _mm512_storeu_si512(x + i / 2, reinterpret_cast<__m512i>(both));
    }
}

/// A pair of activations for every lane.
[[nodiscard]] QTK_ALWAYS_INLINE __m512bh every_pair(float pair) noexcept {
    __m512 all = _mm512_set1_ps(pair);
#if defined(__clang__)
    // clang 16 does not survive folding this broadcast into the product.
    __asm__("" : "+v"(all));
#endif
    return reinterpret_cast<__m512bh>(all);
}

/// c [R][32] = or += x [R][n pairs], rows `stride` apart, times w [n][32 pairs].
template <std::size_t R>
void multiply_pairs(float const* x, std::size_t stride, float const* w, std::size_t n, float* c,
                    bool is_first) noexcept {
    __m512 sum[R][2];
    QTK_UNROLL
    for (std::size_t r = 0; r < R; ++r) {
        sum[r][0] = is_first ? _mm512_setzero_ps() : _mm512_load_ps(c + 32 * r);
        sum[r][1] = is_first ? _mm512_setzero_ps() : _mm512_load_ps(c + 32 * r + 16);
    }
    for (std::size_t k = 0; k < n; k += 2) {  // a unit has 16 pairs
        QTK_UNROLL
        for (std::size_t j = 0; j < 2; ++j) {
            auto const left = reinterpret_cast<__m512bh>(_mm512_load_ps(w + 32 * j));
            auto const right = reinterpret_cast<__m512bh>(_mm512_load_ps(w + 32 * j + 16));
            QTK_UNROLL
            for (std::size_t r = 0; r < R; ++r) {
                __m512bh const a = every_pair(x[r * stride + j]);
                sum[r][0] = _mm512_dpbf16_ps(sum[r][0], a, left);
                sum[r][1] = _mm512_dpbf16_ps(sum[r][1], a, right);
            }
        }
        x += 2;
        w += 64;
    }
    QTK_UNROLL
    for (std::size_t r = 0; r < R; ++r) {
        _mm512_store_ps(c + 32 * r, sum[r][0]);
        _mm512_store_ps(c + 32 * r + 16, sum[r][1]);
    }
}
QTK_REGION_END

inline constexpr panel_engine::tile pair_tiles[] = {
    multiply_pairs<1>, multiply_pairs<2>,  multiply_pairs<3>,  multiply_pairs<4>,
    multiply_pairs<5>, multiply_pairs<6>,  multiply_pairs<7>,  multiply_pairs<8>,
    multiply_pairs<9>, multiply_pairs<10>, multiply_pairs<11>, multiply_pairs<12>};
inline constexpr panel_engine pair_engine{pair_tiles, 12, stream_rows, 2};

/// Packed weights as pairs of bf16.
struct paired_panels : decoded_panels {
    using decoded_panels::decoded_panels;
    void load(std::size_t p, std::size_t k, std::size_t n, float* to) const noexcept {
        decoded_panels::load(p, k, n, to);
        pair_rows(to, n);
    }
    void prepare(float* row, std::size_t n) const noexcept { pair_floats(row, n); }
};
/// Packed weights as floats that are bf16.
struct rounded_panels : decoded_panels {
    using decoded_panels::decoded_panels;
    void load(std::size_t p, std::size_t k, std::size_t n, float* to) const noexcept {
        decoded_panels::load(p, k, n, to);
        round_to_bf16(to, n * panel_columns);
    }
    void prepare(float* row, std::size_t n) const noexcept { round_to_bf16(row, n); }
};

/// Rows of floats along the filled-up axis, rounded to bf16, times packed weights, rounded too.
inline void product_bf16(packed_view const& w, float_rows const& x, product_part const& part,
                         output_rows const& y) {
    if (cpu().avx512_bf16)
        qtk::detail::product_by_pieces(pair_engine, paired_panels(w), x, part, y);
    else
        qtk::detail::product_by_pieces(engine, rounded_panels(w), x, part, y);
}

}  // namespace QTK_ABI_NS
}  // namespace qtk::avx512

#endif
