// SPDX-License-Identifier: Apache-2.0
#include <qtk/kernel/epilogue.hpp>

#include <doctest/doctest.h>

#include <vector>

TEST_CASE("sums get bias, function and residual, in this order, and only inside the result") {
    std::vector<float> sums(64, 2.0f), bias(40, -5.0f), residual(80, 0.5f), y(90, 9.0f);
    qtk::output_rows to(qtk::matrix_view<float>(y.data(), 2, 40, 45));
    bias[33] = 1.0f;
    to.end = {
        .bias = bias, .function = qtk::activation::relu, .residual = {residual.data(), 2, 40}};
    qtk::write_panel(sums.data(), 2, 0, 1, to);
    for (std::size_t r = 0; r < 2; ++r) {
        CHECK(y[r * 45 + 31] == 9.0f);
        CHECK(y[r * 45 + 32] == 0.5f);  // relu(2 - 5) + 0.5
        CHECK(y[r * 45 + 33] == 3.5f);  // relu(2 + 1) + 0.5
        CHECK(y[r * 45 + 40] == 9.0f);
    }
}

TEST_CASE("a residual may be the result itself") {
    std::vector<float> sums(32, 2.0f), y(32, 3.0f);
    qtk::output_rows to(qtk::matrix_view<float>(y.data(), 1, 32));
    to.end.residual = {y.data(), 1, 32};
    qtk::write_panel(sums.data(), 1, 0, 0, to);
    CHECK(y == std::vector<float>(32, 5.0f));
}

TEST_CASE("bf16 results are rounded to nearest even") {
    std::vector<float> sums(32, 1.00390625f);
    std::vector<qtk::bf16_value> y(32);
    qtk::write_panel(sums.data(), 1, 0, 0,
                     qtk::output_rows(qtk::matrix_view<qtk::bf16_value>(y.data(), 1, 32)));
    CHECK(y[31].bits == 0x3f80);
}
