// SPDX-License-Identifier: Apache-2.0
//
// Which columns of X hold values too large to share a scale with the others, and what do they add to
// a product? A column is an outlier if some |x| in it reaches the threshold. The list stays in device
// memory: no kernel waits for the host to learn its length. Outliers are multiplied as floats with
// the decoded weights, in ascending order, one fused multiply-add each: the CPU's bits
// (kernel/outlier_columns.hpp).
#pragma once

#include <qtk/cuda/operand.hpp>

#include <cstddef>
#include <cstdint>
#include <string>

namespace qtk::cuda {

/// Outlier columns of X in device memory; null count: none.
struct outlier_operand {
    std::uint32_t const* columns = nullptr;  ///< ascending, [*count]
    std::uint32_t const* count = nullptr;
    numbers_in x = {};
};

namespace detail {

/// The weight of row n and column k: (field - zero) scale, integers alone.
[[nodiscard]] __device__ __forceinline__ float decoded_weight(weight_operand const& w,
                                                              unsigned groups, unsigned n,
                                                              unsigned k) {
    bit_place const at = w.layout.field(n, k);
    std::uint32_t const word = __ldg(reinterpret_cast<std::uint32_t const*>(w.words) + at.word);
    std::uint32_t const field = word >> at.shift & ((1u << w.layout.bits) - 1);
    unsigned const pair = w.pair_at(n / 16, groups, k, n % 8);
    float scale[2];
    std::uint32_t zero[2];
    w.load_scales(pair, scale);
    w.load_zeros(pair, zero);
    bool const is_upper = n % 16 >= 8;
    auto const level =
        static_cast<std::int32_t>(field) - static_cast<std::int32_t>(is_upper ? zero[1] : zero[0]);
    return __fmul_rn(static_cast<float>(level), is_upper ? scale[1] : scale[0]);
}

/// y and what the outlier columns of X add to the output of row n of W and row `row` of X.
[[nodiscard]] __device__ __forceinline__ float add_outliers(weight_operand const& w,
                                                            outlier_operand const& outliers,
                                                            unsigned n, std::size_t row, float y) {
    if (outliers.count == nullptr) return y;
    auto const groups = static_cast<unsigned>(w.layout.groups());
    std::uint32_t const count = *outliers.count;
    for (std::uint32_t j = 0; j < count; ++j) {
        std::uint32_t const k = __ldg(outliers.columns + j);
        y = __fmaf_rn(outliers.x.load(row, k), decoded_weight(w, groups, n, k), y);
    }
    return y;
}

}  // namespace detail

/// flags[k] = 1 where a finite |x| of column k reaches the threshold, whose bits are `least`; else 0.
template <unsigned Threads>
__global__ void __launch_bounds__(Threads)
    mark_outliers(numbers_in x, std::size_t m, std::size_t cols, std::uint32_t least,
                  std::uint8_t* flags) {
    std::size_t const k = std::size_t{blockIdx.x} * Threads + threadIdx.x;
    if (k >= cols) return;
    bool is_outlier = false;
    for (std::size_t row = 0; row < m; ++row) {
        // Magnitudes order as integers; above 0x7f7fffff lies what is no number.
        std::uint32_t const bits = bit_cast<std::uint32_t>(x.load(row, k)) & 0x7fffffffu;
        is_outlier = is_outlier || (bits >= least && bits < 0x7f800000u);
    }
    flags[k] = is_outlier ? 1 : 0;
}

/// columns = the ascending k with flags[k] != 0, and how many there are. One block: each thread counts a
/// share of its own, sums of those before it say where its columns go.
template <unsigned Threads>
__global__ void __launch_bounds__(Threads)
    list_outliers(std::uint8_t const* flags, std::uint32_t cols, std::uint32_t* columns,
                  std::uint32_t* count) {
    static_assert(Threads % 32 == 0 && Threads <= 1024);
    constexpr unsigned warps = Threads / 32;
    __shared__ std::uint32_t of_warp[warps];
    unsigned const lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    std::uint32_t const share = (cols + Threads - 1) / Threads, first = threadIdx.x * share;
    std::uint32_t const end = first + share < cols ? first + share : cols;
    std::uint32_t own = 0;
    for (std::uint32_t k = first; k < end; ++k) own += flags[k] != 0 ? 1 : 0;
    std::uint32_t up_to = own;  // of this warp, this thread's included
    for (unsigned delta = 1; delta < 32; delta *= 2) {
        std::uint32_t const before = __shfl_up_sync(0xffffffffu, up_to, delta);
        if (lane >= delta) up_to += before;
    }
    if (lane == 31) of_warp[warp] = up_to;
    __syncthreads();
    std::uint32_t at = up_to - own;
    for (unsigned w = 0; w < warp; ++w) at += of_warp[w];
    for (std::uint32_t k = first; k < end; ++k)
        if (flags[k] != 0) columns[at++] = k;
    if (threadIdx.x + 1 == Threads) *count = at;
}

/// What finding outliers writes, in device memory.
struct outlier_list {
    std::uint8_t* flags = nullptr;     ///< [cols]
    std::uint32_t* columns = nullptr;  ///< [cols], *count of them filled
    std::uint32_t* count = nullptr;  ///< [1]; the host may read it after the stream has come so far
};

/// The columns of X [m, cols] in which a finite |x| reaches the threshold. Throws value_error for a
/// threshold that is not above zero.
inline void launch_find_outliers(numbers_in const& x, std::size_t m, std::size_t cols,
                                 float threshold, outlier_list const& to, cudaStream_t stream) {
    if (!(threshold > 0.0f))
        throw value_error("cuda: outliers: expected a threshold above 0, found " +
                          std::to_string(threshold) + ". Hint: 6, or infinity for no outliers");
    constexpr unsigned threads = 128, most = 1024;
    launch("mark_outliers", mark_outliers<threads>,
           dim3(static_cast<unsigned>(div_ceil(cols, std::size_t{threads}))), dim3(threads), 0,
           stream, x, m, cols, bit_cast<std::uint32_t>(threshold), to.flags);
    launch("list_outliers", list_outliers<most>, dim3(1), dim3(most), 0, stream, to.flags,
           static_cast<std::uint32_t>(cols), to.columns, to.count);
}

}  // namespace qtk::cuda
