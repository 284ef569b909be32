// SPDX-License-Identifier: Apache-2.0
//
// What does quantization cost each language, and how sure is that? Costs are relative increases of the loss
// (eval/disparity.hpp); every interval draws passages within each language, the same ones for every model, so
// that all figures of a study are paired.
#pragma once

#include <qtk/eval/disparity.hpp>
#include <qtk/stats/resampled_sums.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <utility>
#include <vector>

namespace app {

/// Sums of -ln p, [languages][passages that are scored].
using passage_losses = std::vector<std::vector<double>>;

/// A figure of the costs of all languages.
using cost_figure = std::function<double(std::vector<double> const&)>;

[[nodiscard]] inline double mean_cost(std::vector<double> const& costs) {
    return qtk::mean(costs);
}
/// The cost of the worst language.
[[nodiscard]] inline double worst_cost(std::vector<double> const& costs) {
    return costs[qtk::disparity_of(costs).worst];
}
/// The cost of the worst language minus that of the best.
[[nodiscard]] inline double cost_gap(std::vector<double> const& costs) {
    return qtk::disparity_of(costs).gap;
}
[[nodiscard]] inline double cost_gini(std::vector<double> const& costs) {
    return qtk::gini(costs);
}
/// The cost of the worst language over that of the best; infinity where the best pays nothing.
[[nodiscard]] inline double cost_ratio(std::vector<double> const& costs) {
    return qtk::disparity_of(costs).ratio.value_or(std::numeric_limits<double>::infinity());
}

/// The costs of the languages in the whole text and in each resample.
struct language_costs {
    std::vector<double> whole;
    std::vector<std::vector<double>> resamples;

    [[nodiscard]] qtk::resampled_figure figure(cost_figure const& f) const {
        qtk::resampled_figure result{f(whole), {}};
        for (auto const& drawn : resamples) result.resamples.push_back(f(drawn));
        return result;
    }
    /// Of one language.
    [[nodiscard]] qtk::resampled_figure of(std::size_t language) const {
        return figure([&](std::vector<double> const& costs) { return costs[language]; });
    }
};

/// f(a, b) of two figures of the same draws.
template <typename F>
[[nodiscard]] qtk::resampled_figure combined(qtk::resampled_figure const& a,
                                             qtk::resampled_figure const& b, F const& f) {
    qtk::resampled_figure result{f(a.value, b.value), {}};
    for (std::size_t r = 0; r < a.resamples.size(); ++r)
        result.resamples.push_back(f(a.resamples[r], b.resamples[r]));
    return result;
}

/// Costs against one original.
class cost_baseline {
  public:
    static constexpr std::size_t resamples = 2000;

    cost_baseline(passage_losses const& original, std::uint64_t seed)
        : draws_(sizes_of(original), {.resamples = resamples, .seed = seed}),
          original_(draws_.sums(original)) {}

    [[nodiscard]] language_costs costs_of(passage_losses const& losses) const {
        qtk::resampled_sums const sums = draws_.sums(losses);
        language_costs costs{increases(sums.whole, original_.whole), {}};
        for (std::size_t r = 0; r < sums.resamples.size(); ++r)
            costs.resamples.push_back(increases(sums.resamples[r], original_.resamples[r]));
        return costs;
    }

  private:
    [[nodiscard]] static std::vector<std::size_t> sizes_of(passage_losses const& losses) {
        std::vector<std::size_t> sizes;
        for (auto const& language : losses) sizes.push_back(language.size());
        return sizes;
    }
    [[nodiscard]] static std::vector<double> increases(std::vector<double> const& after,
                                                       std::vector<double> const& before) {
        std::vector<double> costs;
        for (std::size_t s = 0; s < after.size(); ++s)
            costs.push_back(qtk::relative_increase(after[s], before[s]));
        return costs;
    }

    qtk::resampling draws_;
    qtk::resampled_sums original_;
};

/// The costs alone, without resamples: what a search compares.
[[nodiscard]] inline std::vector<double> costs_of(passage_losses const& losses,
                                                  passage_losses const& original) {
    std::vector<double> costs;
    for (std::size_t s = 0; s < losses.size(); ++s)
        costs.push_back(qtk::relative_increase(qtk::sum(losses[s]), qtk::sum(original[s])));
    return costs;
}

}  // namespace app
