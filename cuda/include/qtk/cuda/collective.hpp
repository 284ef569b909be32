// SPDX-License-Identifier: Apache-2.0
//
// How do the threads of a warp or a block agree on one value? CUB's reductions, which know what each
// GPU does best; every thread gets the result. On the CPU the emulator's shuffles. The functions
// reduced with are qtk's own: those of CUB changed their names between CUDA 12 and 13.
#pragma once

#include <qtk/core/host_device.hpp>
#include <qtk/cuda/device.hpp>

#if defined(__CUDACC__)
#include <cub/warp/warp_reduce.cuh>
#endif

#include <cstdint>

namespace qtk::cuda {

struct larger_of {
    template <typename T>
    [[nodiscard]] QTK_HD constexpr T operator()(T const& a, T const& b) const {
        return b > a ? b : a;
    }
};
struct smaller_of {
    template <typename T>
    [[nodiscard]] QTK_HD constexpr T operator()(T const& a, T const& b) const {
        return b < a ? b : a;
    }
};
struct sum_of {
    template <typename T>
    [[nodiscard]] QTK_HD constexpr T operator()(T const& a, T const& b) const {
        return a + b;
    }
};

/// op over the values of a warp, all of whose lanes call this. T has 32 bits; op is commutative, and
/// exact where bits matter: the order is the library's.
template <typename T, typename Op>
[[nodiscard]] __device__ __forceinline__ T warp_reduce(T value, Op op) {
    static_assert(sizeof(T) == 4);
#if defined(__CUDACC__)
    using reduction = cub::WarpReduce<T>;
    __shared__ typename reduction::TempStorage scratch[32];
    return __shfl_sync(0xffffffffu, reduction(scratch[threadIdx.x / 32]).Reduce(value, op), 0);
#else
    for (int mask = 16; mask > 0; mask /= 2)
        value = op(value, __shfl_xor_sync(0xffffffffu, value, mask));
    return value;
#endif
}

/// op over the values of a block of Warps warps. Calls in a row need a barrier between them.
template <unsigned Warps, typename T, typename Op>
[[nodiscard]] __device__ __forceinline__ T block_reduce(T value, Op op) {
    __shared__ T of_warp[Warps];
    value = warp_reduce(value, op);
    if (threadIdx.x % 32 == 0) of_warp[threadIdx.x / 32] = value;
    __syncthreads();
    value = of_warp[0];
    for (unsigned w = 1; w < Warps; ++w) value = op(value, of_warp[w]);
    return value;
}

}  // namespace qtk::cuda
