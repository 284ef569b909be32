// SPDX-License-Identifier: Apache-2.0
//
// How far is the mean from what was measured, if the values scatter like a bell? Student's t for
// the interval of a mean and for the mean of paired differences. Skewed samples (times of a busy
// machine) are better served by <qtk/stats/bootstrap.hpp> or <qtk/stats/rank_test.hpp>.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/stats/bootstrap.hpp>
#include <qtk/stats/summary.hpp>

#include <cmath>
#include <cstddef>
#include <limits>
#include <span>
#include <string>
#include <vector>

namespace qtk {

namespace detail {

/// The regularized incomplete beta function I_x(a, b) (DLMF 8.17.22, evaluated by Lentz's method);
/// converges fast for x < (a + 1) / (a + b + 2), and the other side is 1 - I_{1-x}(b, a).
[[nodiscard]] inline double incomplete_beta(double a, double b, double x) {
    if (x <= 0.0) return 0.0;
    if (x >= 1.0) return 1.0;
    if (x > (a + 1.0) / (a + b + 2.0)) return 1.0 - incomplete_beta(b, a, 1.0 - x);

    double const front = std::exp(std::lgamma(a + b) - std::lgamma(a) - std::lgamma(b) +
                                  a * std::log(x) + b * std::log1p(-x)) /
                         a;
    constexpr double tiny = 1e-300;  // stands in for a zero denominator
    auto const away_from_zero = [](double v) { return std::fabs(v) < tiny ? tiny : v; };
    double c = 1.0, d = 1.0 / away_from_zero(1.0 - (a + b) * x / (a + 1.0)), fraction = d;
    // About sqrt(max(a, b)) steps are needed: a million degrees of freedom take hundreds.
    for (double m = 1.0; m < 10000.0; ++m) {
        double const even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        d = 1.0 / away_from_zero(1.0 + even * d);
        c = away_from_zero(1.0 + even / c);
        fraction *= c * d;
        double const odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        d = 1.0 / away_from_zero(1.0 + odd * d);
        c = away_from_zero(1.0 + odd / c);
        fraction *= c * d;
        if (std::fabs(c * d - 1.0) <= std::numeric_limits<double>::epsilon()) break;
    }
    return front * fraction;
}

}  // namespace detail

/// The probability that |T| is at least |t|, T of Student's distribution with dof > 0 degrees of
/// freedom: the two-sided p-value. Relative error about 1e-16 dof log(dof), from the logarithms of
/// gamma: 1e-13 for 100 runs.
[[nodiscard]] inline double student_two_sided(double t, double dof) {
    if (!(dof > 0.0))
        throw value_error("Student's t needs more than 0 degrees of freedom, found " +
                          std::to_string(dof));
    if (std::isnan(t)) return t;
    if (std::isinf(t)) return 0.0;
    return detail::incomplete_beta(dof / 2.0, 0.5, dof / (dof + t * t));
}

/// The t beyond which |T| lies with probability 1 - level: 2.262 for 0.95 and 9 degrees of freedom.
[[nodiscard]] inline double student_critical(double level, double dof) {
    if (!(level > 0.0 && level < 1.0))
        throw value_error("Student's t: a level of " + std::to_string(level) +
                          "; expected one between 0 and 1, such as 0.95");
    double const outside = 1.0 - level;
    double low = 0.0, high = 1.0;
    while (student_two_sided(high, dof) > outside) high *= 2.0;
    // Bisection until no double lies between: monotone, so nothing can go astray.
    for (;;) {
        double const middle = low + (high - low) / 2.0;
        if (middle <= low || middle >= high) return high;
        (student_two_sided(middle, dof) > outside ? low : high) = middle;
    }
}

/// The mean of at least two values with its t interval.
[[nodiscard]] inline interval_estimate t_interval(std::span<double const> values,
                                                  double level = 0.95) {
    detail::require_sample(values, 2, "t interval");
    auto const n = static_cast<double>(values.size());
    double const center = mean(values);
    double const reach =
        student_critical(level, n - 1.0) * standard_deviation(values) / std::sqrt(n);
    return {center, center - reach, center + reach};
}

/// The mean of a - b, its t interval, and the two-sided probability of a mean this far from zero by
/// chance.
struct paired_t_result {
    interval_estimate difference;
    double t = 0.0, p = 1.0;
};

/// Student's paired test; shape_error where a and b differ in length. Differences that are all
/// equal have t = inf and p = 0, all zero t = 0 and p = 1.
[[nodiscard]] inline paired_t_result paired_t_test(std::span<double const> a,
                                                   std::span<double const> b, double level = 0.95) {
    if (a.size() != b.size())
        throw shape_error("paired t test: " + std::to_string(a.size()) + " values against " +
                          std::to_string(b.size()) + "; both must be of the same runs");
    std::vector<double> differences(a.size());
    for (std::size_t i = 0; i < a.size(); ++i) differences[i] = a[i] - b[i];
    paired_t_result result{.difference = t_interval(differences, level)};
    if (result.difference.value != 0.0) {
        auto const n = static_cast<double>(a.size());
        result.t = result.difference.value / (standard_deviation(differences) / std::sqrt(n));
        result.p = student_two_sided(result.t, n - 1.0);
    }
    return result;
}

}  // namespace qtk
