// SPDX-License-Identifier: Apache-2.0
#include <qtk/stats/summary.hpp>
// The header under test comes first, so that it is seen to need nothing else.
#include <qtk/core/random.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace {

double const infinity = std::numeric_limits<double>::infinity();
double const not_a_number = std::numeric_limits<double>::quiet_NaN();

constexpr double cancelling[] = {1.0, 1e100, 1.0, -1e100};
static_assert(qtk::sum(cancelling) == 2.0);
static_assert(qtk::sum({}) == 0.0);

}  // namespace

TEST_CASE("figures of nothing are refused") {
    CHECK_THROWS_WITH_AS((void)qtk::mean({}), doctest::Contains("mean"), qtk::value_error);
    CHECK_THROWS_AS((void)qtk::geometric_mean({}), qtk::value_error);
    CHECK_THROWS_AS((void)qtk::quantile({}, 0.5), qtk::value_error);
    CHECK_THROWS_AS((void)qtk::median({}), qtk::value_error);
    double const one[] = {3.0};
    CHECK_THROWS_WITH_AS((void)qtk::variance(one), doctest::Contains("at least 2"),
                         qtk::value_error);
    CHECK_THROWS_AS((void)qtk::standard_deviation(one), qtk::value_error);
}

TEST_CASE("one value is its own mean and every quantile") {
    double const one[] = {3.0};
    CHECK(qtk::mean(one) == 3.0);
    CHECK(qtk::geometric_mean(one) == doctest::Approx(3.0).epsilon(1e-15));
    for (double const p : {0.0, 0.3, 1.0}) CHECK(qtk::quantile(one, p) == 3.0);
}

TEST_CASE("sums keep what plain addition loses") {
    // A tenth a million times: plain addition is off by about 1e-6.
    std::vector<double> const tenths(1000000, 0.1);
    CHECK(qtk::sum(tenths) == 100000.0);
}

TEST_CASE("infinities and NaN come through a sum") {
    double const one_infinity[] = {1.0, infinity, 2.0};
    double const both[] = {infinity, -infinity};
    double const with_nan[] = {1.0, not_a_number};
    CHECK(qtk::sum(one_infinity) == infinity);
    CHECK(std::isnan(qtk::sum(both)));
    CHECK(std::isnan(qtk::mean(with_nan)));
}

TEST_CASE("mean and spread by hand") {
    double const values[] = {2, 4, 4, 4, 5, 5, 7, 9};
    CHECK(qtk::mean(values) == 5.0);
    CHECK(qtk::variance(values) == 32.0 / 7.0);
    CHECK(qtk::standard_deviation(values) == std::sqrt(32.0 / 7.0));
}

TEST_CASE("a large offset does not drown the spread") {
    double const values[] = {1e9 + 4, 1e9 + 7, 1e9 + 13, 1e9 + 16};
    CHECK(qtk::variance(values) == 30.0);
}

TEST_CASE("the geometric mean by hand") {
    double const values[] = {1, 10, 100};
    CHECK(qtk::geometric_mean(values) == doctest::Approx(10.0).epsilon(1e-15));
    // Their product is beyond a double.
    double const large[] = {1e300, 1e300, 1e300};
    CHECK(qtk::geometric_mean(large) == doctest::Approx(1e300).epsilon(1e-12));
}

TEST_CASE("the geometric mean names the value that has no logarithm") {
    for (double const wrong : {0.0, -2.0, not_a_number}) {
        double const values[] = {1.0, wrong};
        CHECK_THROWS_WITH_AS((void)qtk::geometric_mean(values), doctest::Contains("index 1"),
                             qtk::value_error);
    }
}

TEST_CASE("quantiles are linear between order statistics") {
    double const values[] = {40, 10, 30, 20};
    CHECK(qtk::quantile(values, 0.0) == 10);
    CHECK(qtk::quantile(values, 1.0) == 40);
    CHECK(qtk::quantile(values, 1.0 / 3.0) == doctest::Approx(20).epsilon(1e-15));
    CHECK(qtk::quantile(values, 0.25) == 17.5);
    CHECK(qtk::median(values) == 25);
    double const odd[] = {3, 1, 2};
    CHECK(qtk::median(odd) == 2);
}

TEST_CASE("infinities have their place in the order, NaN has none") {
    double const values[] = {infinity, 1, infinity, infinity};
    CHECK(qtk::quantile(values, 0.9) == infinity);
    CHECK(qtk::quantile(values, 0.0) == 1);
    double const with_nan[] = {1, not_a_number, 3, not_a_number};
    try {
        (void)qtk::quantile(with_nan, 0.5);
        FAIL("NaN was ordered");
    } catch (qtk::nonfinite_error const& found) {
        CHECK(found.count == 2);
        CHECK(found.first == 1);
    }
    CHECK_THROWS_AS((void)qtk::quantile(values, 1.5), qtk::value_error);
    CHECK_THROWS_AS((void)qtk::quantile(values, not_a_number), qtk::value_error);
}

TEST_CASE("a higher quantile is never lower") {
    qtk::splitmix64 random(7);
    std::vector<double> values(101);
    for (double& value : values) value = qtk::open_unit(random());
    for (int percent = 0; percent < 100; ++percent)
        CHECK(qtk::quantile(values, percent / 100.0) <=
              qtk::quantile(values, (percent + 1) / 100.0));
}
