// SPDX-License-Identifier: Apache-2.0
#include <qtk/cuda/device.hpp>

#include <doctest/doctest.h>

#include <string>

namespace {
__global__ void count(int* calls) {
    ++*calls;
}

TEST_CASE("an empty grid starts nothing") {
    int calls = 0;
    qtk::cuda::launch("count", count, dim3(0, 1), dim3(32), 0, {}, &calls);
    CHECK(calls == 0);
    qtk::cuda::launch("count", count, dim3(2, 3), dim3(4), 0, {}, &calls);
    CHECK(calls == 24);
}

TEST_CASE("a failed call is thrown with its name, the runtime's text and its number") {
    CHECK_NOTHROW(qtk::cuda::check(cudaSuccess, "cudaMalloc"));
    try {
        qtk::cuda::check(static_cast<cudaError_t>(2), "cudaMalloc");
        FAIL("no exception");
    } catch (qtk::error const& e) {
        std::string const what = e.what();
        CHECK(what.starts_with("CUDA: cudaMalloc: "));
        CHECK(what.ends_with(" (2)"));
    }
}

TEST_CASE("halves are what the host's conversion says") {
    for (std::uint32_t bits = 0; bits < 65536; bits += 7) {
        auto const half = static_cast<std::uint16_t>(bits);
        float const value = qtk::cuda::half_bits_to_float(half);
        if (value == value) CHECK(qtk::cuda::float_to_half_bits(value) == half);
    }
}
}  // namespace
