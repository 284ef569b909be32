// SPDX-License-Identifier: Apache-2.0
//
// What does a kernel of qtk need from its device? Compiled by nvcc: CUDA's own words and a launch
// that throws. Compiled by another compiler with QTK_CUDA_EMULATE: the same words on the CPU, where
// every thread of a block is a fiber (emulator.hpp), so that the kernels themselves are tested
// where there is no GPU.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/format/half.hpp>

#include <cstddef>
#include <cstdint>
#include <string>

/// Before a loop whose count is a constant: every turn is written out.
#if defined(__CUDACC__)
#define QTK_CUDA_UNROLL _Pragma("unroll")
#else
#define QTK_CUDA_UNROLL
#endif

#if defined(__CUDACC__)
#include <cuda_fp16.h>
#include <cuda_runtime.h>
#elif defined(QTK_CUDA_EMULATE)
#include <qtk/cuda/emulator.hpp>
#else
#error "qtk: kernels need nvcc; QTK_CUDA_EMULATE runs them on the CPU, for tests"
#endif

namespace qtk::cuda {

/// A call of the CUDA runtime failed: which one, and what the runtime says.
struct cuda_error : error {
    cuda_error(char const* call, char const* text, int number)
        : error(std::string("CUDA: ") + call + ": " + text + " (" + std::to_string(number) + ")"),
          code(number) {}
    int code;
};

inline void check(cudaError_t status, char const* call) {
    if (status != cudaSuccess)
        throw cuda_error(call, cudaGetErrorString(status), static_cast<int>(status));
}

/// Starts a kernel on a stream; throws cuda_error if it cannot start. What goes wrong while it runs
/// shows at the next call that waits.
template <typename... Parameters, typename... Arguments>
void launch(char const* name, void (*kernel)(Parameters...), dim3 grid, dim3 block,
            std::size_t shared_bytes, cudaStream_t stream, Arguments... arguments) {
    if (grid.x == 0 || grid.y == 0 || grid.z == 0) return;
#if defined(__CUDACC__)
    kernel<<<grid, block, shared_bytes, stream>>>(static_cast<Parameters>(arguments)...);
    check(cudaGetLastError(), name);
#else
    static_cast<void>(name), static_cast<void>(stream);
    emulator::run(grid, block, shared_bytes,
                  [&] { kernel(static_cast<Parameters>(arguments)...); });
#endif
}

/// An IEEE half as its 16 bits: kernels load them many at a time and as integers.
[[nodiscard]] __device__ __forceinline__ float half_bits_to_float(std::uint16_t bits) {
#if defined(__CUDA_ARCH__)
    return __half2float(__ushort_as_half(bits));
#else
    return f16_to_float(bits);
#endif
}
/// Nearest even.
[[nodiscard]] __device__ __forceinline__ std::uint16_t float_to_half_bits(float value) {
#if defined(__CUDA_ARCH__)
    return __half_as_ushort(__float2half_rn(value));
#else
    return float_to_f16(value);
#endif
}

/// The dynamic shared memory of the block, 16 bytes aligned.
template <typename T>
[[nodiscard]] __device__ __forceinline__ T* shared_memory() {
#if defined(__CUDACC__)
    extern __shared__ __align__(16) unsigned char qtk_shared_memory[];
    return reinterpret_cast<T*>(qtk_shared_memory);
#else
    return reinterpret_cast<T*>(emulator::shared_bytes());
#endif
}

}  // namespace qtk::cuda
