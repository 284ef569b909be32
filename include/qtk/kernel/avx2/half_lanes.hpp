// SPDX-License-Identifier: Apache-2.0
//
// How are f32, f16 and bf16 weights multiplied where they lie on AVX2? Four rows of W at a time by one
// of X, two by two where X has more: sixteen lanes are two registers each.
#pragma once

#include <qtk/core/abi.hpp>
#include <qtk/kernel/cpu.hpp>
#include <qtk/kernel/half_lanes.hpp>
#include <qtk/kernel/target.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>

#if QTK_HAS_X86
QTK_AVX2_REGION
namespace qtk::avx2 {
inline namespace QTK_ABI_NS {

/// 8 weights as floats.
struct f32_lanes {
    static constexpr std::size_t bytes = 4;
    static QTK_ALWAYS_INLINE __m256 load(std::uint8_t const* from) noexcept {
        return _mm256_loadu_ps(reinterpret_cast<float const*>(from));
    }
};
struct f16_lanes {
    static constexpr std::size_t bytes = 2;
    static QTK_ALWAYS_INLINE __m256 load(std::uint8_t const* from) noexcept {
        return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<__m128i const*>(from)));
    }
};
struct bf16_lanes {
    static constexpr std::size_t bytes = 2;
    static QTK_ALWAYS_INLINE __m256 load(std::uint8_t const* from) noexcept {
        __m128i const halves = _mm_loadu_si128(reinterpret_cast<__m128i const*>(from));
        return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(halves), 16));
    }
};

/// 16 values of each row; lanes 0 .. 7 and 8 .. 15 are two vectors.
template <typename W, std::size_t R, std::size_t M>
QTK_ALWAYS_INLINE void lane_step(std::uint8_t const* w, std::size_t row_bytes, float const* x,
                                 std::size_t x_stride, __m256 (&sum)[M][R][2]) noexcept {
    QTK_UNROLL
    for (std::size_t half = 0; half < 2; ++half) {
        __m256 weight[R];
        QTK_UNROLL
        for (std::size_t r = 0; r < R; ++r)
            weight[r] = W::load(w + r * row_bytes + half * 8 * W::bytes);
        QTK_UNROLL
        for (std::size_t m = 0; m < M; ++m) {
            __m256 const a = _mm256_loadu_ps(x + m * x_stride + 8 * half);
            QTK_UNROLL
            for (std::size_t r = 0; r < R; ++r)
                sum[m][r][half] = _mm256_fmadd_ps(weight[r], a, sum[m][r][half]);
        }
    }
}

/// sums [M][R] of panels, = or +=, over n values.
template <typename W, std::size_t R, std::size_t M>
void lane_tile(std::uint8_t const* w, std::size_t row_bytes, float const* x, std::size_t x_stride,
               std::size_t n, float* sums, bool is_first) noexcept {
    // A page ahead is too far for rows of a few pages; the prefetcher of AMD needs no help.
    constexpr std::size_t ahead = 512;
    bool const asks_ahead = M == 1 && !cpu().streams_by_itself;
    __m256 sum[M][R][2];
    QTK_UNROLL
    for (std::size_t m = 0; m < M; ++m) QTK_UNROLL
    for (std::size_t r = 0; r < R; ++r)
        for (std::size_t half = 0; half < 2; ++half)
            sum[m][r][half] = is_first
                                  ? _mm256_setzero_ps()
                                  : _mm256_loadu_ps(sums + (m * panel_columns + r) * 16 + 8 * half);
    std::size_t k = 0;
    for (; k + 16 <= n; k += 16) {
        std::uint8_t const* const from = w + k * W::bytes;
        if (asks_ahead) QTK_UNROLL
        for (std::size_t r = 0; r < R; ++r)
            _mm_prefetch(reinterpret_cast<char const*>(from) + r * row_bytes + ahead, _MM_HINT_T0);
        lane_step<W, R, M>(from, row_bytes, x + k, x_stride, sum);
    }
    if (std::size_t const left = n - k; left != 0) {
        std::uint8_t last[R][16 * W::bytes] = {};
        float of_x[M][16] = {};
        for (std::size_t r = 0; r < R; ++r)
            std::memcpy(last[r], w + r * row_bytes + k * W::bytes, left * W::bytes);
        for (std::size_t m = 0; m < M; ++m)
            std::memcpy(of_x[m], x + m * x_stride + k, left * sizeof(float));
        lane_step<W, R, M>(last[0], sizeof last[0], of_x[0], 16, sum);
    }
    QTK_UNROLL
    for (std::size_t m = 0; m < M; ++m) QTK_UNROLL
    for (std::size_t r = 0; r < R; ++r)
        for (std::size_t half = 0; half < 2; ++half)
            _mm256_storeu_ps(sums + (m * panel_columns + r) * 16 + 8 * half, sum[m][r][half]);
}

/// n values to floats.
template <typename W>
void convert_lanes(std::uint8_t const* from, std::size_t n, float* to) noexcept {
    std::size_t k = 0;
    for (; k + 16 <= n; k += 16)
        for (std::size_t half = 0; half < 2; ++half)
            _mm256_storeu_ps(to + k + 8 * half, W::load(from + (k + 8 * half) * W::bytes));
    std::size_t const left = n - k;
    if (left == 0) return;
    std::uint8_t last[16 * W::bytes] = {};
    std::memcpy(last, from + k * W::bytes, left * W::bytes);
    float whole[16];
    for (std::size_t half = 0; half < 2; ++half)
        _mm256_storeu_ps(whole + 8 * half, W::load(last + 8 * half * W::bytes));
    std::memcpy(to + k, whole, left * sizeof(float));
}
QTK_REGION_END

template <std::size_t R, std::size_t M>
inline constexpr lane_kernel lane_kernel_of{
    R, M, {lane_tile<f32_lanes, R, M>, lane_tile<f16_lanes, R, M>, lane_tile<bf16_lanes, R, M>}};
inline constexpr lane_kernel lane_kernels[] = {lane_kernel_of<4, 1>, lane_kernel_of<2, 2>};
inline constexpr lane_engine lanes{
    lane_kernels,
    lane_kernel_of<1, 1>,
    {convert_lanes<f32_lanes>, convert_lanes<f16_lanes>, convert_lanes<bf16_lanes>}};

}  // namespace QTK_ABI_NS
}  // namespace qtk::avx2
#endif
