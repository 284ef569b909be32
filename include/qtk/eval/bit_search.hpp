// SPDX-License-Identifier: Apache-2.0
//
// Which bits does a search find that runs the network itself, instead of adding up losses of single layers?
// The episodes of HAQ (Wang et al. 2019): a number in [0, 1] for each layer, read as bits; after an episode
// bits are taken away from the last layer on until the cost fits; the reward is 0.1 (accuracy - that of the
// float network), or whatever the caller rewards.
//
//   choice = round(-1/2 + a n) of n choices      HAQ's rule where the bits are lowest, ..., highest in steps of 1
//
// HAQ's numbers come from an agent that learns by DDPG and sees each layer. Here they come from the
// cross-entropy method (Rubinstein 1999), which knows nothing of layers: a normal distribution for each
// layer's number, moved to the best episodes of each generation. Actions, costs and rewards are HAQ's, the
// agent is not.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/core/random.hpp>
#include <qtk/eval/bit_assignment.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <numeric>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace qtk {

/// The number of a choice among `choices` for an action in [0, 1]; others are cut off.
[[nodiscard]] inline std::size_t choice_of_action(double action, std::size_t choices) {
    double const at = std::nearbyint(action * static_cast<double>(choices) - 0.5);
    return static_cast<std::size_t>(
        std::clamp(at, 0.0, static_cast<double>(std::max<std::size_t>(choices, 1) - 1)));
}

/// Takes one step less from each layer, the last one first, and again, until the cost fits. Choices are in
/// order of their bits. Throws value_error where the cheapest do not fit.
[[nodiscard]] inline bit_assignment fitted_from_the_end(std::span<layer_choices const> layers,
                                                        std::vector<std::size_t> choice,
                                                        double budget) {
    bit_assignment now = detail::with_sums(layers, std::move(choice));
    while (now.cost > budget) {
        bool has_changed = false;
        for (std::size_t l = layers.size(); l-- > 0 && now.cost > budget;) {
            if (now.choice[l] == 0) continue;
            --now.choice[l];
            has_changed = true;
            now = detail::with_sums(layers, std::move(now.choice));
        }
        if (!has_changed && now.cost > budget)
            throw value_error("bit search: the fewest bits cost " + std::to_string(now.cost) +
                              ", more than the budget of " + std::to_string(budget));
    }
    return now;
}

struct episode_options {
    std::size_t generations = 10, episodes = 20;  ///< episodes in each
    double best_share = 0.2;                      ///< of a generation, which the next one follows
    std::uint64_t seed = 0;
    /// Told the number of the episode and its reward.
    std::function<void(std::size_t, double)> progress = {};
};

struct episode_result {
    bit_assignment best;
    double reward = -std::numeric_limits<double>::infinity();
    std::size_t episodes = 0;             ///< in all
    std::size_t runs = 0;                 ///< of the network: an assignment is rewarded once
    std::vector<double> best_by_episode;  ///< the reward of the best so far
};

/// The assignment with the greatest reward that the episodes came across. Layers have their choices in order
/// of bits. Throws value_error where there is no layer, no episode, or where even the cheapest do not fit.
[[nodiscard]] inline episode_result search_by_episodes(
    std::span<layer_choices const> layers, double budget,
    std::function<double(std::span<std::size_t const>)> const& reward,
    episode_options const& options = {}) {
    (void)detail::require_budget(layers, budget);
    auto const kept = static_cast<std::size_t>(
        std::ceil(options.best_share * static_cast<double>(options.episodes)));
    if (layers.empty() || options.generations == 0 || kept == 0 || kept > options.episodes)
        throw value_error(
            "bit search: expected layers, generations and episodes, and a share of the "
            "best above 0 and at most 1");
    struct episode {
        std::vector<double> actions;
        double reward;
    };
    std::vector<double> middle(layers.size(), 0.5), spread(layers.size(), 0.5);
    std::map<std::vector<std::size_t>, double> known;
    episode_result result;
    for (std::size_t g = 0; g < options.generations; ++g) {
        std::vector<episode> generation;
        for (std::size_t e = 0; e < options.episodes; ++e, ++result.episodes) {
            auto const noise =
                gaussian_vector(layers.size(), mix64(options.seed) + result.episodes);
            episode one{std::vector<double>(layers.size()), 0.0};
            std::vector<std::size_t> choice;
            for (std::size_t l = 0; l < layers.size(); ++l) {
                one.actions[l] =
                    std::clamp(middle[l] + spread[l] * static_cast<double>(noise[l]), 0.0, 1.0);
                choice.push_back(choice_of_action(one.actions[l], layers[l].size()));
            }
            bit_assignment fitted = fitted_from_the_end(layers, std::move(choice), budget);
            auto const [at, is_new] = known.try_emplace(fitted.choice, 0.0);
            if (is_new) {
                at->second = reward(fitted.choice);
                ++result.runs;
            }
            one.reward = at->second;
            if (one.reward > result.reward) {
                result.reward = one.reward;
                result.best = std::move(fitted);
            }
            result.best_by_episode.push_back(result.reward);
            if (options.progress) options.progress(result.episodes, one.reward);
            generation.push_back(std::move(one));
        }
        std::ranges::stable_sort(generation, std::greater{}, &episode::reward);
        for (std::size_t l = 0; l < layers.size(); ++l) {
            double sum = 0.0, squares = 0.0;
            for (std::size_t e = 0; e < kept; ++e) sum += generation[e].actions[l];
            middle[l] = sum / static_cast<double>(kept);
            for (std::size_t e = 0; e < kept; ++e)
                squares += std::pow(generation[e].actions[l] - middle[l], 2);
            // A little is always left to be tried.
            spread[l] = std::max(0.05, std::sqrt(squares / static_cast<double>(kept)));
        }
    }
    return result;
}

}  // namespace qtk
