// SPDX-License-Identifier: Apache-2.0
#include <qtk/stats/holm.hpp>

#include <doctest/doctest.h>

#include <vector>

TEST_CASE("Holm's procedure multiplies the k-th smallest p of n by n - k + 1 and keeps the order") {
    // By hand: 0.01 * 4, 0.02 * 3, then 0.03 * 2 = 0.06 is not below 0.06, and 0.04 * 1 < 0.06.
    std::vector<double> const p{0.03, 0.01, 0.04, 0.02};
    auto const adjusted = qtk::holm_adjusted(p);
    CHECK(adjusted[1] == doctest::Approx(0.04));
    CHECK(adjusted[3] == doctest::Approx(0.06));
    CHECK(adjusted[0] == doctest::Approx(0.06));
    CHECK(adjusted[2] == doctest::Approx(0.06));
    CHECK(qtk::holm_adjusted(std::vector<double>{0.5, 0.9}) == std::vector<double>{1.0, 1.0});
    CHECK(qtk::holm_adjusted(std::vector<double>{}).empty());
}

TEST_CASE("what is no probability is refused by its place") {
    CHECK_THROWS_WITH_AS(static_cast<void>(qtk::holm_adjusted(std::vector<double>{0.5, 1.5})),
                         "Holm's procedure: expected probabilities, found 1.500000 at index 1",
                         qtk::value_error);
}
