// SPDX-License-Identifier: Apache-2.0
//
// Do some languages pay more than others? What quantization costs a language is the increase of its loss
// relative to the float model's, nll' / nll - 1: the same in nats, in bits per byte and in bits per token, so
// that languages with other tokens and other scripts compare. How unequal the costs are is said three ways:
//
//   ratio  the largest over the smallest; nothing where a language pays nothing
//   gap    the largest minus the smallest
//   gini   mean |x_i - x_j| / (2 mean x), 0 for equal costs; what a language gains counts as no cost
#pragma once

#include <qtk/core/error.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <optional>
#include <span>
#include <string>

namespace qtk {

struct disparity {
    std::size_t worst = 0, best = 0;  ///< places in the list of costs
    double gap = 0.0, gini = 0.0;
    std::optional<double> ratio;
};

/// nll' / nll - 1 of sums or means over the same tokens. Throws value_error unless nll is positive.
[[nodiscard]] inline double relative_increase(double changed, double original) {
    if (!(original > 0.0))
        throw value_error("expected a positive loss of the float model, found " +
                          std::to_string(original));
    return changed / original - 1.0;
}

/// The Gini coefficient of costs, 0 if nobody pays. Throws value_error if there are none.
[[nodiscard]] inline double gini(std::span<double const> costs) {
    if (costs.empty()) throw value_error("gini: there are no costs");
    double sum = 0.0, differences = 0.0;
    for (double const a : costs) {
        sum += std::max(a, 0.0);
        for (double const b : costs) differences += std::fabs(std::max(a, 0.0) - std::max(b, 0.0));
    }
    return sum > 0.0 ? differences / (2.0 * static_cast<double>(costs.size()) * sum) : 0.0;
}

/// Throws value_error if there are no costs.
[[nodiscard]] inline disparity disparity_of(std::span<double const> costs) {
    disparity found;
    found.gini = gini(costs);
    for (std::size_t i = 1; i < costs.size(); ++i) {
        if (costs[i] > costs[found.worst]) found.worst = i;
        if (costs[i] < costs[found.best]) found.best = i;
    }
    found.gap = costs[found.worst] - costs[found.best];
    if (costs[found.best] > 0.0) found.ratio = costs[found.worst] / costs[found.best];
    return found;
}

}  // namespace qtk
