// SPDX-License-Identifier: Apache-2.0
//
// What are the sums of n products, for many pairs of rows at once? The inner loop of every product
// here. Any order of n float products and sums is within n * 2^-23 of the sum of |products|: the
// bound that the vector paths and their scalar twin are held against. The order depends on n and the
// instruction set alone: an element is the same whoever its neighbours and whatever the thread.
#pragma once

#include <qtk/core/abi.hpp>
#include <qtk/kernel/avx2/dot.hpp>
#include <qtk/kernel/avx512/dot.hpp>
#include <qtk/kernel/isa.hpp>
#include <qtk/kernel/panel_product.hpp>
#include <qtk/kernel/simd.hpp>

#include <cstddef>

namespace qtk {

/// a . b over n floats, from the first to the last.
[[nodiscard]] inline float dot_scalar(float const* a, float const* b, std::size_t n) noexcept {
    float sum = 0.0f;
    for (std::size_t i = 0; i < n; ++i) sum += a[i] * b[i];
    return sum;
}

/// y[m * y_stride + r] = x_m . w_r for every row of x and of w.
inline void dot_all_scalar(dot_rows x, dot_rows w, std::size_t n, float* y,
                           std::size_t y_stride) noexcept {
    for (std::size_t m = 0; m < x.count; ++m)
        for (std::size_t r = 0; r < w.count; ++r)
            y[m * y_stride + r] = dot_scalar(x.data + m * x.stride, w.data + r * w.stride, n);
}

#if QTK_HAS_XSIMD
namespace portable {
inline namespace QTK_ABI_NS {

/// M rows of x by R rows of w: M * R sums stay in registers, and each load serves several of them.
template <std::size_t M, std::size_t R>
void dot_tile(float const* x, std::size_t x_stride, float const* w, std::size_t w_stride,
              std::size_t n, float* y, std::size_t y_stride) noexcept {
    floats sum[M][R];
    for (auto& row : sum)
        for (floats& s : row) s = floats(0.0f);
    std::size_t i = 0;
    for (; i + lanes <= n; i += lanes) {
        floats activation[M];
        for (std::size_t m = 0; m < M; ++m)
            activation[m] = floats::load_unaligned(x + m * x_stride + i);
        for (std::size_t r = 0; r < R; ++r) {
            floats const weight = floats::load_unaligned(w + r * w_stride + i);
            for (std::size_t m = 0; m < M; ++m)
                sum[m][r] = xsimd::fma(activation[m], weight, sum[m][r]);
        }
    }
    for (std::size_t m = 0; m < M; ++m)
        for (std::size_t r = 0; r < R; ++r)
            y[m * y_stride + r] =
                sum_of(sum[m][r]) + dot_scalar(x + m * x_stride + i, w + r * w_stride + i, n - i);
}

template <std::size_t M>
void dot_strip(float const* x, std::size_t x_stride, dot_rows w, std::size_t n, float* y,
               std::size_t y_stride) noexcept {
    std::size_t r = 0;
    for (; r + 4 <= w.count; r += 4)
        dot_tile<M, 4>(x, x_stride, w.data + r * w.stride, w.stride, n, y + r, y_stride);
    for (; r < w.count; ++r)
        dot_tile<M, 1>(x, x_stride, w.data + r * w.stride, w.stride, n, y + r, y_stride);
}

inline void dot_all(dot_rows x, dot_rows w, std::size_t n, float* y,
                    std::size_t y_stride) noexcept {
    std::size_t m = 0;
    // 2 x 4 sums, 4 weights and 2 activations are 14 of the 16 registers of SSE and AVX.
    for (; m + 2 <= x.count; m += 2)
        dot_strip<2>(x.data + m * x.stride, x.stride, w, n, y + m * y_stride, y_stride);
    if (m < x.count)
        dot_strip<1>(x.data + m * x.stride, x.stride, w, n, y + m * y_stride, y_stride);
}

}  // namespace QTK_ABI_NS
}  // namespace portable
#endif

namespace detail {
inline namespace QTK_ABI_NS {

#if defined(QTK_KERNELS_ELSEWHERE)
void dot_all_on(instruction_set, dot_rows, dot_rows, std::size_t, float*, std::size_t);
#else
/// dot_all on one instruction set, which this process must be able to run.
QTK_KERNEL_ENTRY void dot_all_on(instruction_set isa, dot_rows x, dot_rows w, std::size_t n,
                                 float* y, std::size_t y_stride) {
#if QTK_HAS_X86
    if (isa >= instruction_set::avx512) return avx512::dot_all(x, w, n, y, y_stride);
    if (isa == instruction_set::avx2) return avx2::dot_all(x, w, n, y, y_stride);
#endif
#if QTK_HAS_XSIMD
    if (isa != instruction_set::scalar) return portable::dot_all(x, w, n, y, y_stride);
#endif
    static_cast<void>(isa);
    dot_all_scalar(x, w, n, y, y_stride);
}
#endif

}  // namespace QTK_ABI_NS
}  // namespace detail

inline namespace QTK_ABI_NS {

/// The same as dot_all_scalar within the bound above, as fast as the instruction set in use allows.
/// Throws value_error if QTK_ISA names none.
inline void dot_all(dot_rows x, dot_rows w, std::size_t n, float* y, std::size_t y_stride) {
    detail::dot_all_on(active_isa(), x, w, n, y, y_stride);
}

/// a . b over n floats: one element of dot_all.
[[nodiscard]] inline float dot(float const* a, float const* b, std::size_t n) {
    float sum = 0.0f;
    dot_all({a, 1, n}, {b, 1, n}, n, &sum, 1);
    return sum;
}

}  // namespace QTK_ABI_NS
}  // namespace qtk
