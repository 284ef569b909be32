// SPDX-License-Identifier: Apache-2.0
#include <qtk/cuda/collective.hpp>

#include <doctest/doctest.h>

#include "cuda_cases.hpp"
#include "cuda_memory.hpp"
#include <algorithm>
#include <vector>

namespace {
using namespace qtk::cuda;

template <unsigned Warps>
__global__ void reduce_all(float const* values, int const* integers, float* largest,
                           float* smallest, int* sums) {
    unsigned const i = threadIdx.x;
    largest[i] = block_reduce<Warps>(values[i], larger_of{});
    smallest[i] = warp_reduce(values[i], smaller_of{});
    __syncthreads();
    sums[i] = block_reduce<Warps>(integers[i], sum_of{});
}

TEST_CASE("all threads get the value of their warp or block") {
    constexpr unsigned warps = 3, threads = warps * 32;
    auto const floats = random_floats(threads, 1);
    std::vector<int> counts;
    for (float const v : floats) counts.push_back(static_cast<int>(v * 1000.0f));
    auto const values = on_device(floats);
    auto const integers = on_device(counts);
    device_vector<float> largest(threads), smallest(threads);
    device_vector<int> sums(threads);
    launch("reduce_all", reduce_all<warps>, dim3(1), dim3(threads), 0, {}, values.data(),
           integers.data(), largest.data(), smallest.data(), sums.data());
    wait_for_device();
    int total = 0;
    for (int const v : counts) total += v;
    for (unsigned i = 0; i < threads; ++i) {
        auto const warp = floats.begin() + i / 32 * 32;
        CHECK(largest[i] == *std::max_element(floats.begin(), floats.end()));
        CHECK(smallest[i] == *std::min_element(warp, warp + 32));
        CHECK(sums[i] == total);
    }
}
}  // namespace
