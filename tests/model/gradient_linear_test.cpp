// SPDX-License-Identifier: Apache-2.0
#include <qtk/model/gradient_linear.hpp>

#include <doctest/doctest.h>

#include "correlated.hpp"
#include <vector>

using qtk_test::random_matrix;

TEST_CASE("the gradients of a product are those of the formula, added to what is there") {
    // x = (1 2), W = (3 4; 5 6; 7 8), d = (1 0 -1).
    float const x[] = {1, 2}, w[] = {3, 4, 5, 6, 7, 8}, d[] = {1, 0, -1};
    qtk::matrix by_weight(3, 2), by_input(1, 2);
    by_weight(1, 1) = 10.0f, by_input(0, 0) = 100.0f;
    std::vector<float> by_bias{1, 1, 1};
    qtk::add_weight_gradient({x, 1, 2}, {d, 1, 3}, by_weight.view());
    qtk::add_input_gradient({w, 3, 2}, {d, 1, 3}, by_input.view());
    qtk::add_bias_gradient({d, 1, 3}, by_bias);
    CHECK(by_weight(0, 0) == 1.0f);
    CHECK(by_weight(0, 1) == 2.0f);
    CHECK(by_weight(1, 1) == 10.0f);
    CHECK(by_weight(2, 1) == -2.0f);
    CHECK(by_input(0, 0) == 96.0f);  // 100 + 3 - 7
    CHECK(by_input(0, 1) == -4.0f);
    CHECK(by_bias == std::vector<float>{2, 1, 0});
}

TEST_CASE("no rows have no gradient") {
    qtk::matrix by_weight(3, 2);
    qtk::add_weight_gradient({nullptr, 0, 2}, {nullptr, 0, 3}, by_weight.view());
    CHECK(by_weight == qtk::matrix(3, 2));
}
