// SPDX-License-Identifier: Apache-2.0
//
// What does quantization cost each language, and how sure is that? Costs are relative increases of the loss
// (eval/disparity.hpp); every interval draws windows within each language, the same ones for both models.
#pragma once

#include <qtk/eval/disparity.hpp>
#include <qtk/eval/perplexity.hpp>
#include <qtk/stats/bootstrap.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace app {

using losses = std::span<qtk::language_loss const>;

/// The cost of each language on the windows that `drawn` names, one list a language.
[[nodiscard]] inline std::vector<double> costs_on(losses changed, losses original,
                                                  qtk::strata_view drawn) {
    std::vector<double> costs;
    for (std::size_t s = 0; s < drawn.size(); ++s) {
        double after = 0.0, before = 0.0;
        for (double const w : drawn[s]) {
            after += changed[s].windows[static_cast<std::size_t>(w)].nll;
            before += original[s].windows[static_cast<std::size_t>(w)].nll;
        }
        costs.push_back(qtk::relative_increase(after, before));
    }
    return costs;
}

/// The places of all windows, one list a language: what is drawn from.
[[nodiscard]] inline std::vector<std::vector<double>> places_of(losses original) {
    std::vector<std::vector<double>> places;
    for (qtk::language_loss const& language : original) {
        places.emplace_back();
        for (std::size_t w = 0; w < language.windows.size(); ++w)
            places.back().push_back(static_cast<double>(w));
    }
    return places;
}

[[nodiscard]] inline std::vector<double> costs_of(losses changed, losses original) {
    return costs_on(changed, original, places_of(original));
}

/// The interval of figure(costs of `changed`).
template <typename Figure>
[[nodiscard]] qtk::interval_estimate estimate_of(losses changed, losses original,
                                                 std::uint64_t seed, Figure const& figure) {
    std::vector<std::vector<double>> const places = places_of(original);
    return qtk::stratified_bootstrap(
        places, [&](qtk::strata_view drawn) { return figure(costs_on(changed, original, drawn)); },
        {.resamples = 2000, .seed = seed});
}

/// The mean cost of all languages.
struct mean_cost {
    [[nodiscard]] double operator()(std::vector<double> const& costs) const {
        return qtk::mean(costs);
    }
};
/// The cost of the worst language minus that of the best.
struct cost_gap {
    [[nodiscard]] double operator()(std::vector<double> const& costs) const {
        return qtk::disparity_of(costs).gap;
    }
};
struct cost_gini {
    [[nodiscard]] double operator()(std::vector<double> const& costs) const {
        return qtk::gini(costs);
    }
};

}  // namespace app
