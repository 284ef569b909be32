// SPDX-License-Identifier: Apache-2.0
#include <qtk/cuda/pack.hpp>
#include <qtk/quantize.hpp>

#include <doctest/doctest.h>

#include "cuda_cases.hpp"
#include <vector>

namespace {
TEST_CASE("packing for the T4 and back loses nothing") {
    for_each_scheme([]<qtk::scheme S>() {
        for (auto const& [rows, cols] : {std::pair{1, 1}, {16, 64}, {35, 200}}) {
            auto const weight = random_floats(static_cast<std::size_t>(rows * cols), 3);
            auto const q = qtk::quantize<S>(qtk::matrix_view<float const>(
                weight.data(), static_cast<std::size_t>(rows), static_cast<std::size_t>(cols)));
            CHECK(qtk::cuda::unpack(qtk::cuda::pack(q)) == q);
        }
    });
}

TEST_CASE("what the kernels do not take is said in one sentence") {
    auto const refuse = [](qtk::scheme const& s) {
        qtk::any_qmatrix const q(s, 4, 64);
        CHECK_THROWS_AS(static_cast<void>(qtk::cuda::pack(q)), qtk::value_error);
    };
    refuse({.element = qtk::i3});
    refuse({.element = qtk::i4, .grain = qtk::per_group(48)});
    refuse({.element = qtk::e4m3});
    refuse({.element = qtk::i4, .grain = qtk::per_block(2, 32)});
    refuse(qtk::mxfp4);
    try {
        static_cast<void>(qtk::cuda::pack(qtk::any_qmatrix({.element = qtk::i3}, 4, 64)));
        FAIL("i3 was packed");
    } catch (qtk::value_error const& e) {
        CHECK(std::string(e.what()) ==
              "cuda: i3/tensor/sym/f32: the T4's kernels take 4 and 8 bits. Hint: qtk::gemm "
              "multiplies the others on the CPU");
    }
}

TEST_CASE("arrays of the wrong size are not unpacked") {
    auto packed = qtk::cuda::pack(qtk::any_qmatrix({.element = qtk::i4}, 4, 64));
    packed.words.pop_back();
    CHECK_THROWS_AS(static_cast<void>(qtk::cuda::unpack(packed)), qtk::shape_error);
}
}  // namespace
