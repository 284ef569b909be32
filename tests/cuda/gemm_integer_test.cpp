// SPDX-License-Identifier: Apache-2.0
#include <qtk/cuda/gemm_integer.hpp>

#include <doctest/doctest.h>

#include "integer_cases.hpp"

namespace {
using namespace qtk::cuda;

TEST_CASE("many rows of integers give the CPU's bits") {
    check_integers(&launch_gemm_integer, {{70, 150, 100}, {9, 20, 1100}, {33, 35, 333}});
    // Longer than 32-bit sums hold for certain: two segments of a row.
    check_integers<qtk::scheme{.element = qtk::i8, .grain = qtk::per_channel}>(&launch_gemm_integer,
                                                                               {2, 16, 16500});
}

TEST_CASE("operands that do not fit are refused") {
    alignas(16) static std::uint32_t memory[8] = {};
    integer_arguments a;
    a.w = {reinterpret_cast<uint4 const*>(memory), memory, nullptr, {16, 128, 64, 4}, number::f32};
    a.x.cols = 64;
    CHECK_THROWS_AS(launch_gemm_integer(a, {}), qtk::shape_error);
    a.x.cols = 128;
    a.x.segment = 128;
    CHECK_THROWS_AS(launch_gemm_integer(a, {}), qtk::value_error);
    a.w.layout.cols = a.x.cols = 0;
    a.w.layout.group = a.x.segment = 1;
    CHECK_THROWS_AS(launch_gemm_integer(a, {}), qtk::value_error);
}
}  // namespace
