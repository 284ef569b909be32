// SPDX-License-Identifier: Apache-2.0
#include <qtk/stats/correlation.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

TEST_CASE("correlations of a small sample are those worked out by hand") {
    std::vector<double> const a{1.0, 2.0, 3.0, 4.0}, b{2.0, 1.0, 4.0, 9.0};
    // Deviations -1.5 -0.5 0.5 1.5 and -2 -3 0 5: sum of products 12, squares 5 and 38.
    CHECK(qtk::pearson(a, b) == doctest::Approx(12.0 / std::sqrt(5.0 * 38.0)));
    // Ranks 1 2 3 4 and 2 1 3 4: 1 - 6 * 2 / (4 * 15).
    CHECK(qtk::spearman(a, b) == doctest::Approx(0.8));
    CHECK(qtk::spearman(a, std::vector<double>{1.0, 8.0, 27.0, 640.0}) == doctest::Approx(1.0));
    CHECK(qtk::pearson(a, std::vector<double>{8.0, 6.0, 4.0, 2.0}) == doctest::Approx(-1.0));
    // Ties share their ranks: 1.5 1.5 3 4.
    CHECK(qtk::spearman(a, std::vector<double>{5.0, 5.0, 6.0, 7.0}) ==
          doctest::Approx(4.5 / std::sqrt(5.0 * 4.5)));
}

TEST_CASE("without variation there is no correlation, without pairs an error") {
    std::vector<double> const a{1.0, 2.0, 3.0}, same{4.0, 4.0, 4.0};
    CHECK(std::isnan(qtk::pearson(a, same)));
    CHECK(std::isnan(qtk::spearman(a, same)));
    CHECK_THROWS_AS(static_cast<void>(qtk::pearson(a, std::vector<double>{1.0})), qtk::shape_error);
    CHECK_THROWS_AS(
        static_cast<void>(qtk::spearman(std::vector<double>{1.0}, std::vector<double>{1.0})),
        qtk::value_error);
}
