// SPDX-License-Identifier: Apache-2.0
//
// Which of many findings remain when one asks many questions at once? Holm's step-down procedure (1979): the
// probability that any true null hypothesis among them is rejected stays below the level, whatever the
// tests have to do with each other.
#pragma once

#include <qtk/core/error.hpp>

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <span>
#include <string>
#include <vector>

namespace qtk {

/// Adjusted p-values in the order of `p`: the k-th smallest of n is multiplied by n - k + 1, and none is below one
/// that was smaller before. Compare them with the level as if there were one test. Throws value_error for
/// what is no probability.
[[nodiscard]] inline std::vector<double> holm_adjusted(std::span<double const> p) {
    for (std::size_t i = 0; i < p.size(); ++i)
        if (!(p[i] >= 0.0 && p[i] <= 1.0))
            throw value_error("Holm's procedure: expected probabilities, found " +
                              std::to_string(p[i]) + " at index " + std::to_string(i));
    std::vector<std::size_t> order(p.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::ranges::stable_sort(order, {}, [&](std::size_t i) { return p[i]; });
    std::vector<double> adjusted(p.size());
    double least = 0.0;
    for (std::size_t k = 0; k < order.size(); ++k) {
        double const factor = static_cast<double>(p.size() - k);
        least = std::max(least, std::min(1.0, factor * p[order[k]]));
        adjusted[order[k]] = least;
    }
    return adjusted;
}

}  // namespace qtk
