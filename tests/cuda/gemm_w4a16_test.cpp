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
                            std::size_t m, unsigned splits) {
    weight_on_device const w(q);
    auto const halves = on_device(x);
    device_vector<float> y(m * q.rows(), NAN);
    device_vector<float> sums(splits * m * w.host.layout.tiles() * tile_rows, NAN);
    device_vector<unsigned> arrived(gemm_grid(m, w.host.layout).blocks(), 0);
    launch_gemm_w4a16(w.times(halves, m, y), splits, {sums.data(), arrived.data()}, {});
    wait_for_device();
    for (unsigned const left : arrived) CHECK(left == 0);
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
        auto const expected = naive_product(q, x, s.m);
        for (unsigned const splits : {1u, 3u}) {
            INFO(qtk::to_string(S) << " " << s.m << "x" << s.rows << "x" << s.cols);
            auto const found = product(q, x, s.m, splits);
            CHECK(relative_error(expected, found) < bound);
            CHECK(product(q, x, s.m, splits) == found);
        }
    }
}

TEST_CASE("the kernel for many rows gives the naive product, the same bits in each run") {
    for_each_scheme([]<qtk::scheme S>() {
        if constexpr (S.element.bits == 4) check_shapes<S>();
    });
}

TEST_CASE("operands that the kernel for many rows does not take are refused") {
    alignas(16) static std::uint32_t memory[8] = {};
    half_arguments a;
    a.w = {reinterpret_cast<uint4 const*>(memory), memory, nullptr, {16, 64, 64, 4}, number::f32};
    a.m = 17;
    CHECK_THROWS_AS(launch_gemm_w4a16(a, 2, {}, {}), qtk::value_error);  // no room for sums
    a.w.layout.bits = 8;
    CHECK_THROWS_AS(launch_gemm_w4a16(a, 1, {}, {}), qtk::value_error);
    a.w.layout = {16, 0, 64, 4};
    CHECK_THROWS_AS(launch_gemm_w4a16(a, 1, {}, {}), qtk::value_error);
}
}  // namespace
