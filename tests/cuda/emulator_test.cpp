// SPDX-License-Identifier: Apache-2.0
#include <qtk/cuda/device.hpp>
#include <qtk/cuda/emulator.hpp>

#include <doctest/doctest.h>

#include <numeric>
#include <vector>

namespace {
namespace cuda = qtk::cuda;

/// Each block adds up its part of `in`: a tree over shared memory, then the last block the parts.
__global__ void sum_blocks(int const* in, int* part, int* total, unsigned* arrived) {
    int* const shared = cuda::shared_memory<int>();
    shared[threadIdx.x] = in[blockIdx.x * blockDim.x + threadIdx.x];
    for (unsigned half = blockDim.x / 2; half > 0; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half) shared[threadIdx.x] += shared[threadIdx.x + half];
    }
    if (threadIdx.x != 0) return;
    part[blockIdx.x] = shared[0];
    __threadfence();
    if (atomicAdd(arrived, 1u) + 1 == gridDim.x)
        *total = std::accumulate(part, part + gridDim.x, 0);
}

TEST_CASE("threads see what the others wrote before the barrier") {
    std::vector<int> in(4 * 128), part(4);
    std::iota(in.begin(), in.end(), 1);
    int total = 0;
    unsigned arrived = 0;
    cuda::launch("sum_blocks", sum_blocks, dim3(4), dim3(128), 128 * sizeof(int), {}, in.data(),
                 part.data(), &total, &arrived);
    CHECK(total == 512 * 513 / 2);
    CHECK(part[0] == 128 * 129 / 2);
}

__global__ void butterfly(float* out) {
    auto value = static_cast<float>(threadIdx.x % 32);
    for (int mask = 16; mask > 0; mask /= 2) value += __shfl_xor_sync(0xffffffffu, value, mask);
    out[threadIdx.x] = value;
}

TEST_CASE("a warp's lanes exchange values; a warp does not see another") {
    std::vector<float> out(64);
    cuda::launch("butterfly", butterfly, dim3(1), dim3(64), 0, {}, out.data());
    for (float const v : out) CHECK(v == 496.0f);
}

__global__ void coordinates(unsigned* out) {
    unsigned const thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
    unsigned const block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
    out[block * blockDim.x * blockDim.y * blockDim.z + thread] += thread + 100 * block;
}

TEST_CASE("every thread of every block runs once, with its own place") {
    std::vector<unsigned> out(12 * 24);
    cuda::launch("coordinates", coordinates, dim3(3, 2, 2), dim3(4, 3, 2), 0, {}, out.data());
    for (unsigned i = 0; i < out.size(); ++i) CHECK(out[i] == i % 24 + 100 * (i / 24));
}
}  // namespace
