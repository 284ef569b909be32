// SPDX-License-Identifier: Apache-2.0
#include <qtk/model/static_activations.hpp>
// The header under test comes first, so that it is seen to need nothing else.
#include <qtk/core/random.hpp>
#include <qtk/range/entropy.hpp>
#include <qtk/range/mse.hpp>
#include <qtk/range/percentile.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <limits>
#include <memory>

namespace {

using qtk::matrix;

matrix random_matrix(std::size_t rows, std::size_t cols, std::uint64_t seed) {
    matrix m(rows, cols);
    auto const values = qtk::gaussian_vector(rows * cols, seed);
    std::copy(values.begin(), values.end(), m.data());
    return m;
}

}  // namespace

TEST_CASE("the largest value of all rows gives the scale") {
    matrix x(2, 2);
    x(0, 0) = 1.0f, x(0, 1) = -12.7f, x(1, 0) = 3.0f;
    CHECK(qtk::static_activation_grid(x.view()).scale == 12.7f / 127.0f);
    CHECK(qtk::static_activation_grid(matrix(1, 3).view()).scale == 1.0f);
    qtk::linear const layer("l", matrix(1, 2));
    qtk::layer_activations const how = static_activations(layer, x.view());
    CHECK(how.type == qtk::activation_type::a8_static);
    CHECK(how.grid.scale == 12.7f / 127.0f);
    qtk::input_statistics seen(2, {.has_hessian = false});
    seen.add(x.view());
    CHECK(static_activations(layer, seen) == how);
}

TEST_CASE("other ranges let outliers go") {
    matrix x = random_matrix(100, 50, 1);
    x(3, 3) = 500.0f;
    CHECK(qtk::static_activation_grid(x.view()).scale == 500.0f / 127.0f);
    CHECK(qtk::static_activation_grid(x.view(), qtk::percentile_range{.keep = 0.999f}).scale <
          4.5f / 127.0f);
    // The entropy does not fold a tail into a bin that is empty.
    x(3, 3) = 5.0f;
    CHECK(qtk::static_activation_grid(x.view(), qtk::entropy_range{}).scale < 4.5f / 127.0f);
}

TEST_CASE("narrow and asymmetric grids hold what the range estimator says") {
    matrix x = random_matrix(100, 50, 2);
    for (float& v : x.view().flat()) v = std::max(v, 0.0f);  // a ReLU
    auto const grid =
        qtk::static_activation_grid(x.view(), qtk::minmax_range{}, qtk::activation_codes(4, false));
    float const largest = *std::ranges::max_element(x.view().flat());
    CHECK(grid == qtk::activation_grid{.scale = largest / 15.0f, .lowest = 0, .highest = 15});
    auto const tight =
        qtk::static_activation_grid(x.view(), qtk::mse_range{}, qtk::activation_codes(4, false));
    CHECK(tight.scale < grid.scale);
    qtk::input_statistics seen(50, {.has_hessian = false});
    seen.add(x.view());
    qtk::linear const layer("l", matrix(1, 50));
    CHECK(static_activations(layer, seen, qtk::activation_codes(4, false)).grid == grid);
}

TEST_CASE("what counts is the input that is multiplied, behind the transform") {
    qtk::linear layer("l", matrix(1, 2));
    layer.set_input(std::make_shared<qtk::input_transform const>(
        2, qtk::input_transform::parts{.factors = {1.0f, 0.01f}}));
    matrix x(1, 2);
    x(0, 0) = 12.7f, x(0, 1) = 1000.0f;
    CHECK(static_activations(layer, x.view()).grid.scale == 12.7f / 127.0f);
    qtk::input_statistics seen(2, {.has_hessian = false});
    seen.add(x.view());
    CHECK_THROWS_WITH_AS((void)static_activations(layer, seen),
                         "l: the layer changes its input. Hint: calibrate with seen.rows()",
                         qtk::value_error);
}

TEST_CASE("nothing to calibrate with, other rows and NaN are refused") {
    qtk::linear const layer("l", matrix(1, 2));
    CHECK_THROWS_WITH_AS((void)static_activations(layer, matrix(0, 2).view()),
                         "static activations: there are no rows to calibrate with",
                         qtk::value_error);
    CHECK_THROWS_WITH_AS((void)static_activations(layer, matrix(1, 3).view()),
                         "l: expected rows of 2 to calibrate with, found 3", qtk::shape_error);
    CHECK_THROWS_WITH_AS((void)static_activations(layer, qtk::input_statistics(2)),
                         "l: there are no rows to calibrate with", qtk::value_error);
    CHECK_THROWS_WITH_AS((void)static_activations(layer, qtk::input_statistics(3)),
                         "l: expected statistics of 2 inputs, found 3", qtk::shape_error);
    matrix x(1, 2);
    x(0, 1) = std::numeric_limits<float>::quiet_NaN();
    CHECK_THROWS_AS((void)static_activations(layer, x.view()), qtk::nonfinite_error);
}
