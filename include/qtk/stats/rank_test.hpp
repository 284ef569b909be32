// SPDX-License-Identifier: Apache-2.0
//
// Is one of the two larger, without a word about how the values scatter? Wilcoxon's signed-rank
// test for pairs, Mann and Whitney's U for two separate samples. Ties share the mean of their ranks.
// Small samples get the exact distribution of the ranks at hand, ties included; large ones the
// normal approximation with tie and continuity correction.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/stats/summary.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numbers>
#include <numeric>
#include <span>
#include <string>
#include <vector>

namespace qtk {

/// A statistic and the two-sided probability of one at least this far from its middle by chance.
struct rank_test_result {
    double statistic = 0.0;
    double p = 1.0;
    bool is_exact = true;
};

namespace detail {

struct ranking {
    std::vector<std::size_t> doubled;  // twice the rank of each value: midranks become integers
    double tie_term = 0.0;             // sum of t^3 - t over groups of t equal values
};

inline void require_ranks(std::span<double const> values, char const* sample) {
    for (std::size_t i = 0; i < values.size(); ++i)
        if (std::isnan(values[i]))
            throw nonfinite_error("rank test: value " + std::to_string(i) + " of " + sample +
                                      " is NaN, which has no rank",
                                  1, i);
}

[[nodiscard]] inline ranking ranks_of(std::span<double const> values) {
    std::vector<std::size_t> order(values.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::sort(order.begin(), order.end(),
              [&](std::size_t a, std::size_t b) { return values[a] < values[b]; });
    ranking result{.doubled = std::vector<std::size_t>(values.size())};
    for (std::size_t first = 0, last = 0; first < order.size(); first = last) {
        while (last < order.size() && values[order[last]] == values[order[first]]) ++last;
        // Ranks first + 1 .. last share their mean.
        for (std::size_t i = first; i < last; ++i) result.doubled[order[i]] = first + 1 + last;
        auto const tied = static_cast<double>(last - first);
        result.tie_term += tied * tied * tied - tied;
    }
    return result;
}

/// P(|sum - middle| >= |observed - middle|) from the number of ways of each sum; the distribution
/// is symmetric about the middle.
[[nodiscard]] inline double two_sided(std::vector<double> const& ways, std::size_t twice_middle,
                                      std::size_t observed) {
    auto const distance = [&](std::size_t value) {
        return 2 * value > twice_middle ? 2 * value - twice_middle : twice_middle - 2 * value;
    };
    double all = 0.0, far = 0.0;
    for (std::size_t value = 0; value < ways.size(); ++value) {
        all += ways[value];
        if (distance(value) >= distance(observed)) far += ways[value];
    }
    return far / all;
}

/// The same from the normal distribution, half a step nearer to the middle.
[[nodiscard]] inline double two_sided_normal(double observed, double middle, double variance) {
    if (variance <= 0.0) return 1.0;
    double const distance = std::max(0.0, std::fabs(observed - middle) - 0.5);
    return std::erfc(distance / std::sqrt(variance) / std::numbers::sqrt2);
}

}  // namespace detail

/// Wilcoxon (1945): `statistic` is the sum of the ranks of |a - b| where a > b. Pairs without a
/// difference are dropped; where none is left p is 1. Exact up to 50 pairs. shape_error where a and
/// b differ in length.
[[nodiscard]] inline rank_test_result wilcoxon_signed_rank(std::span<double const> a,
                                                           std::span<double const> b) {
    if (a.size() != b.size())
        throw shape_error("Wilcoxon's test: " + std::to_string(a.size()) + " values against " +
                          std::to_string(b.size()) + "; both must be of the same runs");
    detail::require_ranks(a, "a");
    detail::require_ranks(b, "b");
    std::vector<double> sizes;
    std::vector<bool> is_positive;
    for (std::size_t i = 0; i < a.size(); ++i) {
        if (a[i] == b[i]) continue;
        sizes.push_back(std::fabs(a[i] - b[i]));
        is_positive.push_back(a[i] > b[i]);
    }
    detail::ranking const ranks = detail::ranks_of(sizes);
    std::size_t positive = 0, all = 0;  // of doubled ranks
    for (std::size_t i = 0; i < sizes.size(); ++i) {
        all += ranks.doubled[i];
        if (is_positive[i]) positive += ranks.doubled[i];
    }
    rank_test_result result{.statistic = static_cast<double>(positive) / 2.0};
    if (sizes.size() <= 50) {  // 2^50 ways still count exactly in a double
        std::vector<double> ways(all + 1);
        ways[0] = 1.0;
        for (std::size_t const rank : ranks.doubled)
            for (std::size_t sum = all; sum >= rank; --sum) ways[sum] += ways[sum - rank];
        result.p = detail::two_sided(ways, all, positive);
        return result;
    }
    auto const n = static_cast<double>(sizes.size());
    double const spread = n * (n + 1.0) * (2.0 * n + 1.0) / 24.0 - ranks.tie_term / 48.0;
    result.p = detail::two_sided_normal(result.statistic, n * (n + 1.0) / 4.0, spread);
    result.is_exact = false;
    return result;
}

/// Mann and Whitney (1947): `statistic` is U, the number of pairs (x in a, y in b) with x > y, ties
/// counting half. Exact where both samples together have at most 40 values. value_error where one
/// is empty.
[[nodiscard]] inline rank_test_result mann_whitney_u(std::span<double const> a,
                                                     std::span<double const> b) {
    detail::require_sample(a, 1, "Mann-Whitney test");
    detail::require_sample(b, 1, "Mann-Whitney test");
    detail::require_ranks(a, "a");
    detail::require_ranks(b, "b");
    std::vector<double> both(a.begin(), a.end());
    both.insert(both.end(), b.begin(), b.end());
    detail::ranking const ranks = detail::ranks_of(both);

    std::size_t const n = a.size(), all = both.size();
    std::size_t const of_a =
        std::accumulate(ranks.doubled.begin(),
                        ranks.doubled.begin() + static_cast<std::ptrdiff_t>(n), std::size_t{0});
    rank_test_result result{.statistic = static_cast<double>(of_a - n * (n + 1)) / 2.0};
    if (all <= 40) {
        // ways[k][sum]: how many sets of k ranks have this (doubled) sum.
        std::size_t const most = all * (all + 1);
        std::vector<std::vector<double>> ways(n + 1, std::vector<double>(most + 1));
        ways[0][0] = 1.0;
        for (std::size_t const rank : ranks.doubled)
            for (std::size_t k = n; k >= 1; --k)
                for (std::size_t sum = most; sum >= rank; --sum)
                    ways[k][sum] += ways[k - 1][sum - rank];
        result.p = detail::two_sided(ways[n], 2 * n * (all + 1), of_a);
        return result;
    }
    auto const na = static_cast<double>(n), nb = static_cast<double>(b.size());
    auto const total = static_cast<double>(all);
    double const spread = na * nb / 12.0 * (total + 1.0 - ranks.tie_term / (total * (total - 1.0)));
    result.p = detail::two_sided_normal(result.statistic, na * nb / 2.0, spread);
    result.is_exact = false;
    return result;
}

}  // namespace qtk
