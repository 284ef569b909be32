// SPDX-License-Identifier: Apache-2.0
//
// How are costs shown? In percent with their intervals, the same in tables and in JSON.
#pragma once

#include <qtk/stats/resampled_sums.hpp>

#include <fmt/format.h>

#include "costs.hpp"
#include "output.hpp"
#include <cmath>
#include <string>
#include <vector>

namespace app {

/// 2.99 [2.69, 3.29], in percent or percentage points.
[[nodiscard]] inline std::string percent_text(qtk::resampled_figure const& f) {
    qtk::interval_estimate const e = f.interval();
    return fmt::format("{:.2f} [{:.2f}, {:.2f}]", 100.0 * e.value, 100.0 * e.low, 100.0 * e.high);
}
[[nodiscard]] inline std::string plain_text(qtk::resampled_figure const& f, int digits) {
    return interval_text(f.interval(), digits);
}
/// A ratio, or that there is none.
[[nodiscard]] inline std::string ratio_text(qtk::resampled_figure const& f) {
    return std::isfinite(f.value) ? plain_text(f, 2) : "-";
}
[[nodiscard]] inline json figure_json(qtk::resampled_figure const& f) {
    return interval_json(f.interval());
}
/// Probabilities: what is small is said to be small.
[[nodiscard]] inline std::string p_text(double p) {
    return p < 0.001 ? "<0.001" : fmt::format("{:.3f}", p);
}

/// Every figure of the costs of languages.
[[nodiscard]] inline json costs_json(language_costs const& costs,
                                     std::vector<std::string> const& languages) {
    json by_language = json::object();
    for (std::size_t l = 0; l < languages.size(); ++l)
        by_language[languages[l]] = figure_json(costs.of(l));
    qtk::disparity const d = qtk::disparity_of(costs.whole);
    return {{"cost", by_language},
            {"mean_cost", figure_json(costs.figure(mean_cost))},
            {"gap", figure_json(costs.figure(cost_gap))},
            {"ratio", figure_json(costs.figure(cost_ratio))},
            {"gini", figure_json(costs.figure(cost_gini))},
            {"worst", languages[d.worst]},
            {"best", languages[d.best]}};
}

}  // namespace app
