// SPDX-License-Identifier: Apache-2.0
#include <qtk/cuda/gemm_w4a16.hpp>
#include <qtk/cuda/pack.hpp>
#include <qtk/quantize.hpp>

#include <doctest/doctest.h>

#include "cuda_cases.hpp"
#include "cuda_memory.hpp"
#include <vector>

namespace {
using namespace qtk::cuda;

struct shape {
    std::size_t m, rows, cols;
};

/// The kernel's floats; everything that it must not read or leave is NaN.
std::vector<double> product(qtk::any_qmatrix const& q, std::vector<std::uint16_t> const& x,
                            std::size_t m) {
    weight_on_device const w(q);
    auto const halves = on_device(x);
    device_vector<float> y(m * q.rows(), NAN);
    launch_gemm_w4a16(w.times(halves, m, y), {});
    wait_for_device();
    return {y.begin(), y.end()};
}

constexpr shape shapes[] = {{3, 150, 96}, {70, 33, 200}, {64, 128, 64}};

template <qtk::scheme S>
void check_shapes() {
    // Codebook levels are rounded to halves; integers are exact.
    double const bound = S.element.is_integer() ? 2e-6 : 4e-4;
    for (shape const& s : shapes) {
        auto const weight = random_floats(s.rows * s.cols, 7);
        auto const x = random_halves(s.m * s.cols, 8);
        auto const q =
            qtk::quantize<S>(qtk::matrix_view<float const>(weight.data(), s.rows, s.cols));
        INFO(qtk::to_string(S) << " " << s.m << "x" << s.rows << "x" << s.cols);
        CHECK(relative_error(naive_product(q, x, s.m), product(q, x, s.m)) < bound);
    }
}

TEST_CASE("the kernel for many rows gives the naive product") {
    for_each_scheme([]<qtk::scheme S>() {
        if constexpr (S.element.bits == 4) check_shapes<S>();
    });
}
}  // namespace
