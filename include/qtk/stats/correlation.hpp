// SPDX-License-Identifier: Apache-2.0
//
// Do two figures rise together? Pearson's correlation, for a straight line; Spearman's, for any rise: Pearson's of
// the ranks, ties sharing theirs.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/stats/rank_test.hpp>
#include <qtk/stats/summary.hpp>

#include <cmath>
#include <cstddef>
#include <limits>
#include <span>
#include <string>
#include <vector>

namespace qtk {

namespace detail {
inline void require_pairs(std::span<double const> a, std::span<double const> b) {
    if (a.size() != b.size())
        throw shape_error("correlation: " + std::to_string(a.size()) + " values against " +
                          std::to_string(b.size()));
    require_sample(a, 2, "correlation");
}
}  // namespace detail

/// From -1 to 1; NaN where one of them does not vary. Throws shape_error for two lengths, value_error for fewer
/// than two pairs.
[[nodiscard]] inline double pearson(std::span<double const> a, std::span<double const> b) {
    detail::require_pairs(a, b);
    double const mean_a = mean(a), mean_b = mean(b);
    compensated_sum both, squares_a, squares_b;
    for (std::size_t i = 0; i < a.size(); ++i) {
        both += (a[i] - mean_a) * (b[i] - mean_b);
        squares_a += (a[i] - mean_a) * (a[i] - mean_a);
        squares_b += (b[i] - mean_b) * (b[i] - mean_b);
    }
    double const size = std::sqrt(squares_a.value() * squares_b.value());
    return size > 0.0 ? both.value() / size : std::numeric_limits<double>::quiet_NaN();
}

/// The same of the ranks; throws like pearson(), nonfinite_error for NaN.
[[nodiscard]] inline double spearman(std::span<double const> a, std::span<double const> b) {
    detail::require_pairs(a, b);
    auto const ranks = [](std::span<double const> values, char const* name) {
        detail::require_ranks(values, name);
        std::vector<double> found;
        for (std::size_t const doubled : detail::ranks_of(values).doubled)
            found.push_back(static_cast<double>(doubled) / 2.0);
        return found;
    };
    return pearson(ranks(a, "a"), ranks(b, "b"));
}

}  // namespace qtk
