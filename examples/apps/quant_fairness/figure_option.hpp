// SPDX-License-Identifier: Apache-2.0
//
// By which figure of the costs are sets of layers compared?
#pragma once

#include <qtk/core/error.hpp>

#include <fmt/format.h>

#include "costs.hpp"
#include "format_words.hpp"
#include "output.hpp"
#include <string>
#include <vector>

namespace app {

inline constexpr char const* figure_help =
    "gap (worst minus best language), ratio, gini, worst (language) or mean of the costs";

struct named_figure {
    std::string name;
    cost_figure of;
    double unit = 100.0;  ///< costs are shown in percent
    int digits = 2;

    [[nodiscard]] std::string text(qtk::resampled_figure const& f) const {
        qtk::interval_estimate const e = f.interval();
        return interval_text({unit * e.value, unit * e.low, unit * e.high}, digits);
    }
};

/// Throws qtk::value_error for a figure that there is not.
[[nodiscard]] inline named_figure parse_figure(std::string const& text) {
    if (text == "gap") return {"gap, points", cost_gap};
    if (text == "worst") return {"worst cost, %", worst_cost};
    if (text == "mean") return {"mean cost, %", mean_cost};
    if (text == "ratio") return {"ratio", cost_ratio, 1.0, 2};
    if (text == "gini") return {"Gini", cost_gini, 1.0, 3};
    std::vector<std::string> const names{"gap", "ratio", "gini", "worst", "mean"};
    throw qtk::value_error("--figure: expected gap, ratio, gini, worst or mean, found \"" + text +
                           "\"." + did_you_mean(text, names));
}

}  // namespace app
