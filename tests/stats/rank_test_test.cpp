// SPDX-License-Identifier: Apache-2.0
#include <qtk/stats/rank_test.hpp>
// The header under test comes first, so that it is seen to need nothing else.
#include <qtk/core/random.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

namespace {

// erfc far out multiplies a relative error of its argument by twice its square, here below 100: a
// few roundings there become 1e-13.
constexpr double rounding_of_tail = 1e-13;

/// Values on a coarse grid, so that ties happen.
std::vector<double> coarse_sample(std::size_t n, std::uint64_t seed) {
    qtk::splitmix64 random(seed);
    std::vector<double> values(n);
    for (double& value : values) value = static_cast<double>(qtk::uniform_index(random, 9));
    return values;
}

/// U by its definition: pairs won, ties half.
double pairs_won(std::span<double const> a, std::span<double const> b) {
    double won = 0.0;
    for (double const x : a)
        for (double const y : b) won += x > y ? 1.0 : x == y ? 0.5 : 0.0;
    return won;
}

}  // namespace

TEST_CASE("samples that cannot be ranked are refused") {
    double const one[] = {1}, two[] = {1, 2};
    double const with_nan[] = {1, std::numeric_limits<double>::quiet_NaN()};
    CHECK_THROWS_AS((void)qtk::wilcoxon_signed_rank(one, two), qtk::shape_error);
    CHECK_THROWS_AS((void)qtk::mann_whitney_u({}, two), qtk::value_error);
    CHECK_THROWS_AS((void)qtk::mann_whitney_u(two, {}), qtk::value_error);
    CHECK_THROWS_WITH_AS((void)qtk::wilcoxon_signed_rank(two, with_nan),
                         doctest::Contains("value 1 of b"), qtk::nonfinite_error);
    CHECK_THROWS_WITH_AS((void)qtk::mann_whitney_u(with_nan, two),
                         doctest::Contains("value 1 of a"), qtk::nonfinite_error);
}

TEST_CASE("samples without a difference prove nothing") {
    double const equal[] = {3, 3, 3, 3};
    CHECK(qtk::wilcoxon_signed_rank({}, {}).p == 1.0);
    CHECK(qtk::wilcoxon_signed_rank(equal, equal).p == 1.0);
    CHECK(qtk::mann_whitney_u(equal, equal).p == 1.0);
    CHECK(qtk::mann_whitney_u(equal, equal).statistic == 8.0);
    std::vector<double> const many(60, 3.0);
    CHECK(qtk::mann_whitney_u(many, many).p == 1.0);
}

TEST_CASE("signed ranks by hand") {
    // Differences 1, 2, 3, -4: of 16 sign patterns, sums 0 to 10; 6 and 4 lie one from the middle,
    // and only the two patterns with sum 5 lie nearer.
    double const a[] = {11, 12, 13, 10}, b[] = {10, 10, 10, 14};
    auto const result = qtk::wilcoxon_signed_rank(a, b);
    CHECK(result.statistic == 6.0);
    CHECK(result.p == 14.0 / 16.0);
    CHECK(result.is_exact);
}

TEST_CASE("five wins out of five have one chance in sixteen") {
    double const a[] = {2, 4, 6, 8, 10}, b[] = {1, 2, 3, 4, 5};
    CHECK(qtk::wilcoxon_signed_rank(a, b).statistic == 15.0);
    CHECK(qtk::wilcoxon_signed_rank(a, b).p == 2.0 / 32.0);
    CHECK(qtk::wilcoxon_signed_rank(b, a).statistic == 0.0);
    CHECK(qtk::wilcoxon_signed_rank(b, a).p == 2.0 / 32.0);
}

TEST_CASE("tied differences share their rank and stay exact") {
    // Differences 1, 1, -1: ranks 2, 2, 2; sums 0, 2, 4, 6 in 1, 3, 3, 1 ways.
    double const a[] = {1, 1, 0}, b[] = {0, 0, 1};
    CHECK(qtk::wilcoxon_signed_rank(a, b).statistic == 4.0);
    CHECK(qtk::wilcoxon_signed_rank(a, b).p == 1.0);
    double const wins[] = {1, 1, 2}, zeros[] = {0, 0, 1};
    CHECK(qtk::wilcoxon_signed_rank(wins, zeros).p == 2.0 / 8.0);
}

TEST_CASE("pairs without a difference are dropped") {
    double const a[] = {7, 2, 4, 6}, b[] = {7, 1, 2, 3};
    CHECK(qtk::wilcoxon_signed_rank(a, b).p == 2.0 / 8.0);
}

TEST_CASE("U by hand") {
    // {1, 2} against {3, 4, 5}: one of ten arrangements, and its mirror.
    double const a[] = {1, 2}, b[] = {3, 4, 5};
    CHECK(qtk::mann_whitney_u(a, b).statistic == 0.0);
    CHECK(qtk::mann_whitney_u(a, b).p == 2.0 / 10.0);
    CHECK(qtk::mann_whitney_u(b, a).statistic == 6.0);
    CHECK(qtk::mann_whitney_u(b, a).p == 2.0 / 10.0);
    // With a tie: {1, 2} against {2, 3}; ranks 1, 2.5 | 2.5, 4. Sums of two: 3.5 (2), 5 (2),
    // 6.5 (2): four of six are as far off as 3.5.
    double const c[] = {1, 2}, d[] = {2, 3};
    CHECK(qtk::mann_whitney_u(c, d).statistic == 0.5);
    CHECK(qtk::mann_whitney_u(c, d).p == 4.0 / 6.0);
}

TEST_CASE("U counts the pairs won") {
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
        auto const a = coarse_sample(7 + seed, seed), b = coarse_sample(30 - seed, seed + 100);
        CHECK(qtk::mann_whitney_u(a, b).statistic == pairs_won(a, b));
    }
}

TEST_CASE("order is all that counts") {
    auto const a = coarse_sample(9, 1), b = coarse_sample(11, 2);
    auto bent_a = a, bent_b = b;
    for (double& value : bent_a) value = std::exp(value);
    for (double& value : bent_b) value = std::exp(value);
    CHECK(qtk::mann_whitney_u(a, b).p == qtk::mann_whitney_u(bent_a, bent_b).p);
}

TEST_CASE("many pairs are judged by the normal distribution") {
    // Differences 1 .. 60, all positive: W = 1830, middle 915, variance 60 x 61 x 121 / 24.
    std::vector<double> rising(60), zeros(60), ones(60, 1.0);
    for (std::size_t i = 0; i < rising.size(); ++i) rising[i] = static_cast<double>(i + 1);
    auto const result = qtk::wilcoxon_signed_rank(rising, zeros);
    CHECK(result.statistic == 1830.0);
    CHECK_FALSE(result.is_exact);
    CHECK(result.p == doctest::Approx(std::erfc(914.5 / std::sqrt(18452.5) / std::sqrt(2.0)))
                          .epsilon(rounding_of_tail));
    // All ties: every rank is 30.5 and the variance a quarter of the sum of their squares.
    CHECK(qtk::wilcoxon_signed_rank(ones, zeros).p ==
          doctest::Approx(std::erfc(914.5 / std::sqrt(60 * 30.5 * 30.5 / 4) / std::sqrt(2.0)))
              .epsilon(rounding_of_tail));
}

TEST_CASE("many values are judged by the normal distribution") {
    // 1 .. 21 against 22 .. 42: U = 0, middle 220.5, variance 21 x 21 x 43 / 12.
    std::vector<double> low(21), high(21);
    for (std::size_t i = 0; i < low.size(); ++i) {
        low[i] = static_cast<double>(i + 1);
        high[i] = static_cast<double>(i + 22);
    }
    auto const result = qtk::mann_whitney_u(low, high);
    CHECK(result.statistic == 0.0);
    CHECK_FALSE(result.is_exact);
    CHECK(result.p == doctest::Approx(std::erfc(220.0 / std::sqrt(1580.25) / std::sqrt(2.0)))
                          .epsilon(rounding_of_tail));
    // Two groups of ties at ranks 11 and 32: drawn without replacement, the sum of 21 of 42 ranks
    // has the variance 21 x 21 / 42 times the ranks' own, 42 x 10.5^2 / 41.
    std::vector<double> const zeros(21, 0.0), ones(21, 1.0);
    double const spread = 10.5 * 42.0 * 10.5 * 10.5 / 41.0;
    CHECK(qtk::mann_whitney_u(zeros, ones).p ==
          doctest::Approx(std::erfc(220.0 / std::sqrt(spread) / std::sqrt(2.0)))
              .epsilon(rounding_of_tail));
}
