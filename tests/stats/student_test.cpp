// SPDX-License-Identifier: Apache-2.0
#include <qtk/stats/student.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <numbers>
#include <vector>

namespace {

double const infinity = std::numeric_limits<double>::infinity();

}  // namespace

TEST_CASE("t at the ends of its range") {
    CHECK(qtk::student_two_sided(0.0, 5) == 1.0);
    CHECK(qtk::student_two_sided(infinity, 5) == 0.0);
    CHECK(qtk::student_two_sided(-infinity, 5) == 0.0);
    CHECK(std::isnan(qtk::student_two_sided(std::numeric_limits<double>::quiet_NaN(), 5)));
    CHECK_THROWS_AS((void)qtk::student_two_sided(1.0, 0), qtk::value_error);
    CHECK_THROWS_AS((void)qtk::student_critical(1.0, 5), qtk::value_error);
    CHECK_THROWS_AS((void)qtk::student_critical(0.0, 5), qtk::value_error);
}

TEST_CASE("one and two degrees of freedom have closed forms") {
    for (double const t : {0.01, 0.5, 1.0, 3.0, 40.0, 1e6}) {
        CAPTURE(t);
        // The logarithms of gamma in front cost a few units in the last place.
        CHECK(qtk::student_two_sided(t, 1) ==
              doctest::Approx(2.0 / std::numbers::pi * std::atan(1.0 / t)).epsilon(1e-13));
        double const root = std::sqrt(2.0 + t * t);
        CHECK(qtk::student_two_sided(-t, 2) ==
              doctest::Approx(2.0 / (root * (root + t))).epsilon(1e-13));
    }
}

TEST_CASE("critical values invert the probability") {
    for (double const dof : {1.0, 4.0, 9.0, 30.0, 99.0, 1e5})
        for (double const level : {0.5, 0.9, 0.95, 0.999}) {
            CAPTURE(dof);
            CAPTURE(level);
            double const t = qtk::student_critical(level, dof);
            // The logarithms of gamma are of size dof log(dof), and so are their rounding errors.
            double const rounding = 8e-16 * dof * std::log(dof + 2.0);
            CHECK(qtk::student_two_sided(t, dof) ==
                  doctest::Approx(1.0 - level).epsilon(1e-13 + rounding));
        }
}

TEST_CASE("critical values of the printed tables") {
    // Three decimals, as in every textbook.
    CHECK(std::round(1e3 * qtk::student_critical(0.95, 1)) == 12706);
    CHECK(std::round(1e3 * qtk::student_critical(0.95, 9)) == 2262);
    CHECK(std::round(1e3 * qtk::student_critical(0.99, 9)) == 3250);
    CHECK(std::round(1e3 * qtk::student_critical(0.95, 30)) == 2042);
    CHECK(std::round(1e3 * qtk::student_critical(0.95, 1e6)) == 1960);
}

TEST_CASE("the interval of a mean by hand") {
    double const values[] = {1, 2, 3};
    // Standard error 1 / sqrt(3); the critical value for 2 degrees of freedom is
    // 0.95 sqrt(2 / (1 - 0.95^2)).
    double const reach = 0.95 * std::sqrt(2.0 / (1.0 - 0.95 * 0.95)) / std::sqrt(3.0);
    auto const [value, low, high] = qtk::t_interval(values);
    CHECK(value == 2.0);
    CHECK(low == doctest::Approx(2.0 - reach).epsilon(1e-12));
    CHECK(high == doctest::Approx(2.0 + reach).epsilon(1e-12));
    double const equal[] = {4, 4, 4};
    CHECK(qtk::t_interval(equal) == qtk::interval_estimate{4, 4, 4});
    CHECK_THROWS_AS((void)qtk::t_interval(std::span(values).first(1)), qtk::value_error);
}

TEST_CASE("pairs are compared by their differences") {
    double const a[] = {11, 22, 33}, b[] = {10, 20, 30};
    auto const result = qtk::paired_t_test(a, b);
    CHECK(result.difference == qtk::t_interval(std::vector<double>{1, 2, 3}));
    // t = 2 sqrt(3); p has the closed form for 2 degrees of freedom.
    CHECK(result.t == doctest::Approx(std::sqrt(12.0)).epsilon(1e-14));
    double const root = std::sqrt(14.0);
    CHECK(result.p == doctest::Approx(2.0 / (root * (root + std::sqrt(12.0)))).epsilon(1e-13));
    CHECK(qtk::paired_t_test(b, a).p == result.p);
    CHECK(qtk::paired_t_test(b, a).t == -result.t);
}

TEST_CASE("pairs without scatter are certain or say nothing") {
    double const a[] = {1, 2, 3}, b[] = {2, 3, 4};
    CHECK(qtk::paired_t_test(a, a).p == 1.0);
    CHECK(qtk::paired_t_test(a, a).t == 0.0);
    CHECK(qtk::paired_t_test(a, b).p == 0.0);
    CHECK(qtk::paired_t_test(a, b).t == -infinity);
    CHECK_THROWS_AS((void)qtk::paired_t_test(a, std::span(b).first(2)), qtk::shape_error);
}
