// SPDX-License-Identifier: Apache-2.0
#include <qtk/cuda/linear.hpp>
#include <qtk/quantize.hpp>

#include <doctest/doctest.h>

#include "cuda_cases.hpp"
#include <string>
#include <vector>

namespace {
using namespace qtk::cuda;
constexpr qtk::scheme w4{.element = qtk::i4, .grain = qtk::per_group(64)};

qtk::any_qmatrix quantized(std::size_t rows, std::size_t cols) {
    auto const weight = random_floats(rows * cols, 3);
    return qtk::quantize<w4>(qtk::matrix_view<float const>(weight.data(), rows, cols));
}
std::vector<double> product(linear const& layer, std::vector<std::uint16_t> const& x, std::size_t m,
                            device_epilogue const& end = {}) {
    buffer<std::uint16_t> const in(std::span<std::uint16_t const>(x), {});
    buffer<float> y(m * layer.out());
    workspace space = make_workspace(layer.workspace_bytes(m), {});
    for (int run = 0; run < 2; ++run)  // the workspace serves more than once
        layer.multiply(in.data(), layer.in(), m, {y.data(), layer.out(), number::f32, end}, space,
                       {});
    auto const found = y.to_host({});
    return {found.begin(), found.end()};
}

TEST_CASE("a layer gives the naive product for any number of rows") {
    auto const q = quantized(40, 1100);
    linear const layer(q, {});
    CHECK(layer.splits_for(1) == 2);  // 18 chunks, at least eight a share
    CHECK(layer.unpack({}) == q);
    for (std::size_t const m : {std::size_t{1}, std::size_t{16}, std::size_t{17}}) {
        auto const x = random_halves(m * 1100, 4);
        CHECK(relative_error(naive_product(q, x, m), product(layer, x, m)) < 2e-6);
    }
}

TEST_CASE("the table picks the kernel and can be replaced") {
    auto const q = quantized(40, 200);
    linear const usual(q, {});
    CHECK(usual.kernel_for(16) == half_kernel::skinny);
    CHECK(usual.kernel_for(17) == half_kernel::gemm);
    static constexpr kernel_choice table[] = {{2, half_kernel::skinny}, {9, half_kernel::gemm}};
    linear const other(q, {}, {.table = table});
    CHECK(other.kernel_for(2) == half_kernel::skinny);
    CHECK(other.kernel_for(1000) == half_kernel::gemm);
    auto const x = random_halves(3 * 200, 4);
    CHECK(relative_error(product(usual, x, 3), product(other, x, 3)) < 2e-6);
}

TEST_CASE("codebooks, bias and function go through a layer") {
    auto const weight = random_floats(20 * 128, 3);
    auto const q = qtk::quantize<qtk::scheme{.element = qtk::nf4, .grain = qtk::per_group(64)}>(
        qtk::matrix_view<float const>(weight.data(), 20, 128));
    auto const x = random_halves(2 * 128, 5);
    std::vector<float> const shift(20, 100.0f);
    buffer<float> const bias(std::span<float const>(shift), {});
    auto const found = product(linear(q, {}), x, 2,
                               {{bias.data(), 0, number::f32}, {}, qtk::activation::relu, true});
    auto expected = naive_product(q, x, 2);
    for (double& v : expected) v = std::max(v + 100.0, 0.0);
    CHECK(relative_error(expected, found) < 4e-4);
}

TEST_CASE("too little workspace, a wrong scheme and an empty table are refused") {
    linear const layer(quantized(40, 1100), {});
    std::vector<std::uint16_t> const x(1100);
    float y[40];
    workspace small = make_workspace(8, {});
    std::string what;
    try {
        layer.multiply(x.data(), 1100, 1, {y, 40, number::f32, {}}, small, {});
    } catch (qtk::value_error const& e) {
        what = e.what();
    }
    CHECK(what ==
          "cuda: linear: 1 rows need a workspace of 396 bytes, found 8. Hint: "
          "workspace_bytes(m)");
    CHECK_THROWS_AS(linear(qtk::any_qmatrix({.element = qtk::i8}, 16, 64), {}), qtk::value_error);
    CHECK_THROWS_AS(linear(quantized(16, 64), {}, {.table = {}}), qtk::value_error);
}
}  // namespace
