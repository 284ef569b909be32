// SPDX-License-Identifier: Apache-2.0
#include <qtk/cuda/skinny_integer.hpp>

#include <doctest/doctest.h>

#include "integer_cases.hpp"

namespace {
using namespace qtk::cuda;

TEST_CASE("few rows of integers give the CPU's bits") {
    check_integers(
        &launch_skinny_integer,
        {{1, 16, 64}, {1, 35, 200}, {9, 20, 1100}, {3, 17, 333}, {1, 17, 8260}, {2, 16, 33000}});
}

TEST_CASE("operands that do not fit are refused with a sentence") {
    alignas(16) static std::uint32_t memory[8] = {};
    integer_arguments a;
    a.w = {reinterpret_cast<uint4 const*>(memory),
           memory,
           nullptr,
           {16, 1056 * 2, 1056, 4},
           number::f32};
    a.x.cols = a.w.layout.cols;
    a.x.segment = 128;
    CHECK_THROWS_AS(launch_skinny_integer(a, {}), qtk::value_error);  // 128 does not divide 1056
    a.w.layout.group = 64;
    CHECK_THROWS_AS(launch_skinny_integer(a, {}), qtk::value_error);  // segments of 64 are needed
    a.x.segment = 64;
    a.x.codes = reinterpret_cast<std::uint8_t*>(memory) + 8;
    CHECK_THROWS_AS(launch_skinny_integer(a, {}), qtk::value_error);
    a.x.codes = nullptr;
    a.x.cols = 64;
    CHECK_THROWS_AS(launch_skinny_integer(a, {}), qtk::shape_error);
    a.x.cols = a.w.layout.cols;
    a.w.words = reinterpret_cast<uint4 const*>(memory + 1);
    CHECK_THROWS_AS(launch_skinny_integer(a, {}), qtk::value_error);
    a.w.words = reinterpret_cast<uint4 const*>(memory);
    a.w.layout.bits = 3;
    CHECK_THROWS_AS(launch_skinny_integer(a, {}), qtk::value_error);
}
}  // namespace
