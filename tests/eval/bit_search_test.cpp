// SPDX-License-Identifier: Apache-2.0
#include <qtk/eval/bit_search.hpp>
// The header under test comes first, so that it is seen to need nothing else.

#include <doctest/doctest.h>

#include <cmath>
#include <cstddef>
#include <span>
#include <vector>

namespace {

using qtk::bit_choice, qtk::layer_choices;

/// Layers of several sizes, 2 to 8 bits; a layer loses weight x 4^-bits.
struct problem {
    std::vector<double> sizes, weights;
    [[nodiscard]] std::vector<layer_choices> layers() const {
        std::vector<layer_choices> all;
        for (std::size_t l = 0; l < sizes.size(); ++l) {
            layer_choices choices;
            for (int bits = 2; bits <= 8; ++bits)
                choices.push_back({bits, sizes[l] * bits, weights[l] * std::pow(0.25, bits)});
            all.push_back(std::move(choices));
        }
        return all;
    }
};

}  // namespace

TEST_CASE("an action in [0, 1] is read as the bits of the published rule") {
    for (int i = 0; i <= 1000; ++i) {
        double const a = i / 1000.0, low = 2.0, high = 8.0;
        double const bits = std::nearbyint((low - 0.5) + a * ((high + 0.5) - (low - 0.5)));
        // The ends of the interval round to the even bits 2 and 8; a tie inside belongs to either side.
        double const exact = (low - 0.5) + a * 7.0;
        if (std::fabs(exact - std::floor(exact) - 0.5) < 1e-9) continue;
        CHECK(2.0 + static_cast<double>(qtk::choice_of_action(a, 7)) == bits);
    }
    CHECK(qtk::choice_of_action(0.0, 6) == 0);
    CHECK(qtk::choice_of_action(1.0, 6) == 5);
    CHECK(qtk::choice_of_action(-3.0, 6) == 0);
    CHECK(qtk::choice_of_action(7.0, 6) == 5);
    CHECK(qtk::choice_of_action(0.7, 1) == 0);
}

TEST_CASE("bits are taken away from the last layer on, one step each, until the cost fits") {
    auto const layers = problem{{1, 1, 1}, {1, 1, 1}}.layers();
    auto const bits = [&](std::vector<std::size_t> choice, double budget) {
        std::vector<int> found;
        auto const fitted = qtk::fitted_from_the_end(layers, std::move(choice), budget);
        for (std::size_t l = 0; l < 3; ++l) found.push_back(layers[l][fitted.choice[l]].bits);
        CHECK(fitted.cost <= budget);
        return found;
    };
    CHECK(bits({6, 6, 6}, 24) == std::vector<int>{8, 8, 8});
    CHECK(bits({6, 6, 6}, 23) == std::vector<int>{8, 8, 7});
    CHECK(bits({6, 6, 6}, 21) == std::vector<int>{7, 7, 7});
    CHECK(bits({6, 6, 6}, 20) == std::vector<int>{7, 7, 6});
    // A layer at its fewest bits is passed over.
    CHECK(bits({6, 6, 0}, 16) == std::vector<int>{7, 7, 2});
    CHECK(bits({6, 6, 6}, 6) == std::vector<int>{2, 2, 2});
    CHECK_THROWS_AS((void)qtk::fitted_from_the_end(layers, {6, 6, 6}, 5.0), qtk::value_error);
}

TEST_CASE("the search comes near the exact assignment where losses add up") {
    problem const p{{1, 4, 2, 8, 1}, {1, 30, 2, 1, 100}};
    auto const layers = p.layers();
    double const budget = 4.0 * 16.0;
    auto const reward = [&](std::span<std::size_t const> choice) {
        double loss = 0.0;
        for (std::size_t l = 0; l < layers.size(); ++l) loss += layers[l][choice[l]].loss;
        return -loss;
    };
    auto const exact = qtk::assign_bits(layers, budget);
    auto const uniform = reward(std::vector<std::size_t>(5, 2));
    auto const found = qtk::search_by_episodes(layers, budget, reward,
                                               {.generations = 20, .episodes = 40, .seed = 1});
    CHECK(found.best.cost <= budget);
    CHECK(found.reward == reward(found.best.choice));
    CHECK(found.reward <= -exact.loss);
    // Most of what there is to gain over the uniform one.
    CHECK(found.reward > uniform + 0.9 * (-exact.loss - uniform));
    CHECK(found.episodes == 800);
    CHECK(found.best_by_episode.size() == 800);
    CHECK(found.runs <= found.episodes);
    for (std::size_t i = 1; i < 800; ++i)
        CHECK(found.best_by_episode[i] >= found.best_by_episode[i - 1]);

    auto const again = qtk::search_by_episodes(layers, budget, reward,
                                               {.generations = 20, .episodes = 40, .seed = 1});
    CHECK(again.best.choice == found.best.choice);
    CHECK(again.best_by_episode == found.best_by_episode);
    auto const other = qtk::search_by_episodes(layers, budget, reward,
                                               {.generations = 20, .episodes = 40, .seed = 2});
    CHECK(other.best_by_episode != found.best_by_episode);
}

TEST_CASE("what cannot be searched is refused") {
    auto const layers = problem{{1, 1}, {1, 1}}.layers();
    auto const none = [](std::span<std::size_t const>) { return 0.0; };
    CHECK_THROWS_AS((void)qtk::search_by_episodes(layers, 3.0, none), qtk::value_error);
    CHECK_THROWS_AS((void)qtk::search_by_episodes({}, 3.0, none), qtk::value_error);
    CHECK_THROWS_AS((void)qtk::search_by_episodes(layers, 8.0, none, {.generations = 0}),
                    qtk::value_error);
    CHECK_THROWS_AS((void)qtk::search_by_episodes(layers, 8.0, none, {.best_share = 0.0}),
                    qtk::value_error);
}
