// SPDX-License-Identifier: Apache-2.0
//
// How does a kernel run where there is no GPU? CUDA's words for a compiler that does not know them,
// and a scheduler: blocks run one after the other, the threads of a block are fibers that take
// turns at barriers. Slow, exact and deterministic; what it cannot show is timing, occupancy and
// races. A warp or a block whose threads wait for each other forever is reported and ends the
// program. Included by device.hpp alone, under QTK_CUDA_EMULATE.
#pragma once

#include <ucontext.h>

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <vector>

#define __global__
#define __device__
#define __host__
#define __shared__ static
#define __forceinline__ inline
#define __launch_bounds__(...)

struct uint2 {
    unsigned x, y;
};
struct uint3 {
    unsigned x, y, z;
};
struct alignas(16) uint4 {
    unsigned x, y, z, w;
};
struct dim3 {
    unsigned x = 1, y = 1, z = 1;
    constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};
inline uint3 threadIdx{}, blockIdx{};
inline dim3 blockDim{}, gridDim{};

// The runtime, as far as a launch names it.
using cudaStream_t = void*;
enum cudaError_t : int { cudaSuccess = 0, cudaErrorMemoryAllocation = 2 };
[[nodiscard]] inline char const* cudaGetErrorString(cudaError_t) noexcept {
    return "emulated";
}
enum cudaMemcpyKind : int { cudaMemcpyHostToDevice = 1, cudaMemcpyDeviceToHost = 2 };
[[nodiscard]] inline cudaError_t cudaMalloc(void** to, std::size_t bytes) {
    *to = std::aligned_alloc(256, (bytes + 255) / 256 * 256);
    if (*to == nullptr) return cudaErrorMemoryAllocation;
    std::memset(*to, 0xff, bytes);  // NaN: what nobody wrote is noticed
    return cudaSuccess;
}
inline cudaError_t cudaFree(void* memory) {
    std::free(memory);
    return cudaSuccess;
}
[[nodiscard]] inline cudaError_t cudaMemcpyAsync(void* to, void const* from, std::size_t bytes,
                                                 cudaMemcpyKind, cudaStream_t) {
    std::memcpy(to, from, bytes);
    return cudaSuccess;
}
[[nodiscard]] inline cudaError_t cudaMemsetAsync(void* to, int value, std::size_t bytes,
                                                 cudaStream_t) {
    std::memset(to, value, bytes);
    return cudaSuccess;
}
[[nodiscard]] inline cudaError_t cudaStreamSynchronize(cudaStream_t) {
    return cudaSuccess;
}

namespace qtk::cuda::emulator {

/// Threads that wait until all that are left of them have come.
struct meeting {
    std::size_t expected = 0, arrived = 0, generation = 0;

    void open_if_complete() noexcept {
        if (arrived < expected || arrived == 0) return;
        arrived = 0;
        ++generation;
    }
};

struct warp_state {
    meeting point;
    /// What lanes show each other; two, so that one meeting a collective is enough.
    std::array<std::array<std::array<std::uint32_t, 8>, 32>, 2> shown{};
};

struct fiber {
    static constexpr std::size_t stack_bytes = 128 * 1024;

    ucontext_t context{};
    std::unique_ptr<char[]> stack{new char[stack_bytes]};
    uint3 thread{};
    warp_state* warp = nullptr;
    unsigned lane = 0, collectives = 0;
    bool is_done = false;
};

/// The one block that runs now.
struct block_state {
    ucontext_t scheduler{};
    fiber* now = nullptr;
    meeting point;
    bool has_moved = false;  ///< did anything happen since the last round?
    std::vector<std::max_align_t> shared;
    std::function<void()> const* body = nullptr;
};
inline block_state& block() {
    static block_state state;
    return state;
}

inline void yield() {
    block_state& b = block();
    swapcontext(&b.now->context, &b.scheduler);
}

inline void meet(meeting& point) {
    block().has_moved = true;
    std::size_t const generation = point.generation;
    ++point.arrived;
    point.open_if_complete();
    while (point.generation == generation) yield();
}

/// Shows words to the warp; the result holds those of all lanes until the next but one call.
template <std::size_t N>
[[nodiscard]] std::array<std::array<std::uint32_t, 8>, 32> const& exchange(
    std::array<std::uint32_t, N> const& words) {
    static_assert(N <= 8);
    fiber& f = *block().now;
    auto& shown = f.warp->shown[f.collectives++ % 2];
    for (std::size_t i = 0; i < N; ++i) shown[f.lane][i] = words[i];
    meet(f.warp->point);
    return shown;
}

[[nodiscard]] inline void* shared_bytes() {
    return block().shared.data();
}

inline void enter() {
    block_state& b = block();
    (*b.body)();
    b.now->is_done = true;
    b.has_moved = true;
    // Those who wait for this thread no longer do.
    --b.point.expected;
    b.point.open_if_complete();
    --b.now->warp->point.expected;
    b.now->warp->point.open_if_complete();
}

/// Runs the fibers of one block in turns until all are done.
inline void run_block(std::vector<fiber>& fibers) {
    block_state& b = block();
    for (std::size_t left = fibers.size(); left > 0;) {
        b.has_moved = false;
        for (fiber& f : fibers) {
            if (f.is_done) continue;
            b.now = &f;
            threadIdx = f.thread;
            swapcontext(&b.scheduler, &f.context);
            if (f.is_done) --left;
        }
        if (left > 0 && !b.has_moved) {
            std::fprintf(stderr,
                         "qtk: emulated kernel: %zu threads of block (%u, %u, %u) wait "
                         "for others that never come\n",
                         left, blockIdx.x, blockIdx.y, blockIdx.z);
            std::abort();
        }
    }
}

/// Runs `body` as every thread of the grid.
inline void run(dim3 grid, dim3 threads, std::size_t shared, std::function<void()> const& body) {
    block_state& b = block();
    std::size_t const count = std::size_t{threads.x} * threads.y * threads.z;
    std::vector<fiber> fibers(count);
    gridDim = grid, blockDim = threads;
    b.body = &body;
    for (unsigned z = 0; z < grid.z; ++z)
        for (unsigned y = 0; y < grid.y; ++y)
            for (unsigned x = 0; x < grid.x; ++x) {
                blockIdx = {x, y, z};
                // Filled with NaN: what nobody wrote is noticed.
                b.shared.assign(shared / sizeof(std::max_align_t) + 1, {});
                auto* const bytes = reinterpret_cast<unsigned char*>(b.shared.data());
                for (std::size_t i = 0; i < shared; ++i) bytes[i] = 0xff;
                b.point = {count, 0, 0};
                std::vector<warp_state> warps((count + 31) / 32);
                for (std::size_t i = 0; i < count; ++i) {
                    fiber& f = fibers[i];
                    warp_state& warp = warps[i / 32];
                    ++warp.point.expected;
                    f.warp = &warp;
                    f.lane = static_cast<unsigned>(i % 32);
                    f.collectives = 0;
                    f.is_done = false;
                    f.thread = {static_cast<unsigned>(i % threads.x),
                                static_cast<unsigned>(i / threads.x % threads.y),
                                static_cast<unsigned>(i / threads.x / threads.y)};
                    getcontext(&f.context);
                    f.context.uc_stack.ss_sp = f.stack.get();
                    f.context.uc_stack.ss_size = fiber::stack_bytes;
                    f.context.uc_link = &b.scheduler;
                    makecontext(&f.context, enter, 0);
                }
                run_block(fibers);
            }
}

}  // namespace qtk::cuda::emulator

// Device functions that kernels call.
inline void __syncthreads() {
    qtk::cuda::emulator::meet(qtk::cuda::emulator::block().point);
}
inline void __threadfence() {}
[[nodiscard]] inline float __fmaf_rn(float a, float b, float c) {
    return std::fma(a, b, c);
}
[[nodiscard]] inline float __fmul_rn(float a, float b) {
    return a * b;
}
template <typename T>
[[nodiscard]] inline T __ldg(T const* at) {
    return *at;
}
template <typename T>
[[nodiscard]] inline T __ldcg(T const* at) {
    return *at;
}
template <typename T>
[[nodiscard]] inline T __ldcs(T const* at) {
    return *at;
}
[[nodiscard]] inline unsigned atomicAdd(unsigned* at, unsigned value) {
    unsigned const before = *at;
    *at += value;
    return before;
}
namespace qtk::cuda::emulator {

/// The value that lane `from(own lane)` shows.
template <typename T, typename From>
[[nodiscard]] T shuffle(T value, From from) {
    static_assert(sizeof(T) == 4);
    std::uint32_t word;
    std::memcpy(&word, &value, 4);
    auto const& all = exchange<1>({word});
    std::memcpy(&value, &all[from(block().now->lane)][0], 4);
    return value;
}

}  // namespace qtk::cuda::emulator

template <typename T>
[[nodiscard]] inline T __shfl_xor_sync(unsigned, T value, int mask) {
    return qtk::cuda::emulator::shuffle(
        value, [mask](unsigned lane) { return lane ^ static_cast<unsigned>(mask); });
}
template <typename T>
[[nodiscard]] inline T __shfl_up_sync(unsigned, T value, unsigned delta) {
    return qtk::cuda::emulator::shuffle(
        value, [delta](unsigned lane) { return lane < delta ? lane : lane - delta; });
}
