// SPDX-License-Identifier: Apache-2.0
#include <qtk/core/random.hpp>
#include <qtk/eval/bit_assignment.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

namespace {

using layers = std::vector<qtk::layer_choices>;

// Sums in the order of the layers, as the library has them.
std::vector<qtk::bit_assignment> everything(layers const& of) {
    std::vector<qtk::bit_assignment> all{{}};
    for (auto const& layer : of) {
        std::vector<qtk::bit_assignment> longer;
        for (auto const& begun : all)
            for (std::size_t c = 0; c < layer.size(); ++c) {
                longer.push_back(begun);
                longer.back().choice.push_back(c);
                longer.back().cost += layer[c].cost;
                longer.back().loss += layer[c].loss;
            }
        all = std::move(longer);
    }
    return all;
}
double least_loss(layers const& of, double budget) {
    double least = std::numeric_limits<double>::infinity();
    for (auto const& a : everything(of))
        if (a.cost <= budget) least = std::min(least, a.loss);
    return least;
}
double uniform(qtk::splitmix64& random) {
    return static_cast<double>(random() >> 11) * 0x1p-53;
}
// Losses fall with the bits most of the time; some costs are whole numbers, so that sums tie.
layers random_layers(std::uint64_t seed) {
    qtk::splitmix64 random(seed);
    layers all(2 + random() % 5);
    bool const is_whole = random() % 2 == 0;
    for (auto& layer : all) {
        double const size = 1.0 + 9.0 * uniform(random), pain = uniform(random);
        for (int bits = 2; bits < 3 + static_cast<int>(random() % 4); ++bits) {
            double const cost = size * bits;
            layer.push_back({bits, is_whole ? std::floor(cost) : cost,
                             pain * std::exp2(-2 * bits) + 0.01 * (uniform(random) - 0.3)});
        }
    }
    return all;
}
layers const hand{{{2, 2.0, 8.0}, {4, 4.0, 1.0}, {8, 8.0, 0.0}},
                  {{2, 20.0, 3.0}, {4, 40.0, 1.0}, {8, 80.0, 0.5}}};

}  // namespace

TEST_CASE("no layers cost nothing and lose nothing") {
    CHECK(qtk::assign_bits({}, 0.0).choice.empty());
    CHECK(qtk::assign_bits_greedily({}, 0.0).cost == 0.0);
    CHECK(qtk::lagrangian_bound({}, 1.0).bound == 0.0);
    CHECK(qtk::bit_pareto_front({}).size() == 1);
}

TEST_CASE("a case by hand: bits go where they save most loss for their cost") {
    CHECK(qtk::assign_bits(hand, 22.0).choice == std::vector<std::size_t>{0, 0});
    CHECK(qtk::assign_bits(hand, 30.0).choice == std::vector<std::size_t>{2, 0});
    auto const middle = qtk::assign_bits(hand, 47.0);
    CHECK(middle.choice == std::vector<std::size_t>{1, 1});
    CHECK(middle.cost == 44.0);
    CHECK(middle.loss == 2.0);
    CHECK(qtk::assign_bits(hand, 1000.0).choice == std::vector<std::size_t>{2, 2});
}

TEST_CASE("a greedy step pays the least loss for the cost that it saves") {
    // From (8, 80): the second layer's 4 bits save 40 for 0.5, then its 2 bits 20 for 2.
    CHECK(qtk::assign_bits_greedily(hand, 48.0).choice == std::vector<std::size_t>{2, 1});
    CHECK(qtk::assign_bits_greedily(hand, 47.0).choice == std::vector<std::size_t>{2, 0});
    CHECK(qtk::assign_bits(hand, 47.0).loss < qtk::assign_bits_greedily(hand, 47.0).loss);
}

TEST_CASE("the exact assignment is the best of all, at every budget of random cases") {
    for (std::uint64_t seed = 0; seed < 150; ++seed) {
        CAPTURE(seed);
        layers const of = random_layers(seed);
        auto const all = everything(of);
        // Budgets on a sum, a hair below one and in between.
        for (std::size_t i = 0; i < all.size(); i += 1 + all.size() / 7)
            for (double const factor : {1.0, 1.0 - 1e-15, 1.03}) {
                double const budget = factor * all[i].cost, least = least_loss(of, budget);
                if (std::isinf(least)) {
                    CHECK_THROWS_AS((void)qtk::assign_bits(of, budget), qtk::value_error);
                    continue;
                }
                auto const best = qtk::assign_bits(of, budget);
                CHECK(best.loss == least);
                CHECK(best.cost <= budget);
                auto const greedy = qtk::assign_bits_greedily(of, budget);
                CHECK(greedy.cost <= budget);
                CHECK(greedy.loss >= least);
                auto const relaxed = qtk::lagrangian_bound(of, budget);
                CHECK(relaxed.best.cost <= budget);
                CHECK(relaxed.best.loss >= least);
                // Sums of up to six numbers, each rounded.
                CHECK(relaxed.bound <= least + 1e-14 * (1.0 + std::fabs(least)));
            }
    }
}

TEST_CASE("the sums of a result are those of its choices") {
    for (std::uint64_t seed = 0; seed < 50; ++seed) {
        layers const of = random_layers(seed);
        double const budget = everything(of)[everything(of).size() / 2].cost;
        for (auto const& a : {qtk::assign_bits(of, budget), qtk::assign_bits_greedily(of, budget),
                              qtk::lagrangian_bound(of, budget).best}) {
            double cost = 0.0, loss = 0.0;
            for (std::size_t l = 0; l < of.size(); ++l) {
                cost += of[l][a.choice[l]].cost;
                loss += of[l][a.choice[l]].loss;
            }
            CHECK(a.cost == cost);
            CHECK(a.loss == loss);
        }
    }
}

TEST_CASE("the front holds exactly the assignments that no other beats") {
    for (std::uint64_t seed = 0; seed < 60; ++seed) {
        CAPTURE(seed);
        layers const of = random_layers(seed);
        auto const front = qtk::bit_pareto_front(of);
        for (std::size_t i = 1; i < front.size(); ++i) {
            CHECK(front[i].cost > front[i - 1].cost);
            CHECK(front[i].loss < front[i - 1].loss);
        }
        for (auto const& a : everything(of)) {
            bool is_covered = false;
            for (auto const& f : front)
                is_covered = is_covered || (f.cost <= a.cost && f.loss <= a.loss);
            CHECK(is_covered);
        }
        for (auto const& f : front) CHECK(qtk::assign_bits(of, f.cost).loss == f.loss);
    }
}

TEST_CASE("among equal losses the cheapest wins") {
    layers const of{{{8, 5.0, 1.0}, {4, 3.0, 1.0}, {6, 3.0, 1.0}}};
    CHECK(qtk::assign_bits(of, 9.0).choice == std::vector<std::size_t>{1});
    CHECK(qtk::assign_bits_greedily(of, 9.0).cost == 3.0);
}

TEST_CASE("a hundred layers of three choices are assigned exactly, near the bound") {
    qtk::splitmix64 random(11);
    layers of(100);
    double budget = 0.0;
    for (auto& layer : of) {
        double const size = 1.0 + 9.0 * uniform(random), pain = uniform(random);
        for (int const bits : {2, 4, 8})
            layer.push_back({bits, size * bits, pain * std::exp2(-bits)});
        budget += 4.0 * size;
    }
    auto const best = qtk::assign_bits(of, budget);
    auto const relaxed = qtk::lagrangian_bound(of, budget);
    CHECK(best.cost <= budget);
    CHECK(best.loss >= relaxed.bound - 1e-12);
    CHECK(best.loss <= relaxed.best.loss);
    CHECK(best.loss <= qtk::assign_bits_greedily(of, budget).loss);
    // The duality gap is at most the largest loss of one layer.
    CHECK(best.loss <= relaxed.bound + 0.25);
}

TEST_CASE("what has no answer is refused by name") {
    CHECK_THROWS_WITH_AS((void)qtk::assign_bits(hand, 21.0),
                         doctest::Contains("the cheapest choices cost 22.0"), qtk::value_error);
    CHECK_THROWS_AS((void)qtk::assign_bits_greedily(hand, 21.0), qtk::value_error);
    constexpr double nan = std::numeric_limits<double>::quiet_NaN();
    for (double const budget : {nan, std::numeric_limits<double>::infinity()})
        CHECK_THROWS_WITH_AS((void)qtk::assign_bits(hand, budget),
                             doctest::Contains("expected a finite budget"), qtk::value_error);
    CHECK_THROWS_WITH_AS((void)qtk::assign_bits(layers{{{4, 1.0, 1.0}}, {}}, 5.0),
                         doctest::Contains("layer 1 has no choice"), qtk::value_error);
    for (qtk::bit_choice const& bad : {qtk::bit_choice{4, -1.0, 0.0}, qtk::bit_choice{4, nan, 0.0},
                                       qtk::bit_choice{4, 1.0, nan}})
        CHECK_THROWS_WITH_AS((void)qtk::bit_pareto_front(layers{{bad}}),
                             doctest::Contains("layer 0 at 4 bits"), qtk::value_error);
    CHECK_THROWS_WITH_AS((void)qtk::bit_pareto_front(hand, 3),
                         doctest::Contains("more than 3 sums at layer 1"), qtk::value_error);
}
