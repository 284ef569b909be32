// SPDX-License-Identifier: Apache-2.0
#include <qtk/eval/disparity.hpp>

#include <doctest/doctest.h>

#include <vector>

TEST_CASE("a relative increase does not depend on the unit of the loss") {
    CHECK(qtk::relative_increase(3.0, 2.0) == 0.5);
    CHECK(qtk::relative_increase(3.0 / 0.7, 2.0 / 0.7) == doctest::Approx(0.5));
    CHECK_THROWS_AS(static_cast<void>(qtk::relative_increase(1.0, 0.0)), qtk::value_error);
}

TEST_CASE("equal costs have no disparity, and one who pays all has the most") {
    CHECK(qtk::gini(std::vector{2.0, 2.0, 2.0}) == 0.0);
    // One of n pays everything: (n - 1) / n.
    CHECK(qtk::gini(std::vector{0.0, 0.0, 0.0, 5.0}) == doctest::Approx(0.75));
    // By hand: pairs differ by 1, 2, 1, twice each; the sum is 6: 8 / (2 * 3 * 6).
    CHECK(qtk::gini(std::vector{1.0, 2.0, 3.0}) == doctest::Approx(8.0 / 36.0));
    CHECK(qtk::gini(std::vector{-1.0, 0.0}) == 0.0);
    CHECK_THROWS_AS(static_cast<void>(qtk::gini({})), qtk::value_error);
}

TEST_CASE("worst and best are found, and a ratio only where everybody pays") {
    auto const d = qtk::disparity_of(std::vector{0.2, 0.1, 0.4});
    CHECK(d.worst == 2);
    CHECK(d.best == 1);
    CHECK(d.gap == doctest::Approx(0.3));
    CHECK(d.ratio.value() == doctest::Approx(4.0));
    CHECK_FALSE(qtk::disparity_of(std::vector{0.2, -0.1}).ratio);
    CHECK(qtk::disparity_of(std::vector{0.2, -0.1}).gap == doctest::Approx(0.3));
}
