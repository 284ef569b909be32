// SPDX-License-Identifier: Apache-2.0
#include <qtk/method/column_scaling.hpp>
// The header under test comes first, so that it is seen to need nothing else.
#include <qtk/core/random.hpp>
#include <qtk/core/spelling.hpp>

#include <doctest/doctest.h>

#include <array>
#include <vector>

namespace {

using qtk::matrix;

matrix of(std::size_t rows, std::size_t cols, std::vector<float> const& values) {
    matrix m(rows, cols);
    std::copy(values.begin(), values.end(), m.data());
    return m;
}

qtk::scheme const w4 = qtk::parse_scheme("i4/channel");

}  // namespace

TEST_CASE("factors multiply columns, their reciprocals undo it") {
    matrix const w = of(2, 2, {1.0f, 2.0f, 3.0f, 4.0f});
    std::vector<float> const t{2.0f, 0.5f};
    matrix const scaled = qtk::scaled_columns(w.view(), t);
    CHECK(scaled == of(2, 2, {2.0f, 1.0f, 6.0f, 2.0f}));
    CHECK(qtk::reciprocals(t) == std::vector{0.5f, 2.0f});
    CHECK(qtk::scaled_columns(scaled.view(), qtk::reciprocals(t)) == w);
}

TEST_CASE("the largest of a column, over all weights that read it") {
    matrix const a = of(2, 2, {1.0f, -2.0f, -3.0f, 1.0f}), b = of(1, 2, {2.0f, 5.0f});
    std::array<qtk::matrix_view<float const>, 2> const weights{a.view(), b.view()};
    CHECK(qtk::column_maxima(weights) == std::vector{3.0f, 5.0f});
    CHECK(qtk::column_maxima({}).empty());
}

TEST_CASE("a factor gives its column a finer step, by hand") {
    // Steps of 1: 7 / 7; the small weight is lost.
    matrix const w = of(1, 2, {7.0f, 0.4f});
    CHECK(qtk::rounded_weight(w4, w.view()) == of(1, 2, {7.0f, 0.0f}));
    // 0.4 * 5 = 2 is a code.
    CHECK(qtk::rounded_behind(std::vector{1.0f, 5.0f}, w4, w.view()) == of(1, 2, {7.0f, 0.4f}));
    matrix const ones = of(1, 2, {7.0f, 0.4f});
    CHECK(qtk::rounded_behind(std::vector{1.0f, 1.0f}, w4, w.view()) ==
          qtk::rounded_weight(w4, ones.view()));
}

TEST_CASE("outputs and their mean square difference") {
    matrix const x = of(1, 2, {1.0f, 2.0f}), w = of(2, 2, {3.0f, 4.0f, 5.0f, 6.0f});
    matrix const y = qtk::layer_output(x.view(), w.view());
    CHECK(y == of(1, 2, {11.0f, 17.0f}));
    CHECK(qtk::mean_square_difference(y.view(), of(1, 2, {10.0f, 14.0f}).view()) == 5.0);
    CHECK(qtk::mean_square_difference(matrix().view(), matrix().view()) == 0.0);
    CHECK_THROWS_WITH_AS((void)qtk::mean_square_difference(y.view(), matrix(1, 3).view()),
                         "mean square difference: expected one shape, found [1, 2] and [1, 3]",
                         qtk::shape_error);
}
