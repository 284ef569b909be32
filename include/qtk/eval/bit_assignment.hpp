// SPDX-License-Identifier: Apache-2.0
//
// Which layer gets how many bits? Every layer has a list of choices, each with a cost (bytes, joules) and
// a loss (what the network loses if this layer alone is quantized so). Sums over the layers:
//
//   minimize sum_l loss_l(c_l)   subject to   sum_l cost_l(c_l) <= budget
//
// which is the multiple-choice knapsack. `assign_bits` is exact for any real costs: it goes through the
// layers and keeps the sums that no other sum beats in both numbers, less those that cannot lead below a
// known solution (Lagrangian bound; Fisher 1981). `assign_bits_greedily` pays the least loss per cost
// saved, step by step. `lagrangian_bound` says how good any assignment can be.
#pragma once

#include <qtk/core/error.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace qtk {

/// What one layer may be. Costs are at least 0; a loss may be negative (noise of a measurement).
struct bit_choice {
    int bits = 0;
    double cost = 0.0, loss = 0.0;
};
using layer_choices = std::vector<bit_choice>;

/// One choice for each layer, by its number in the list, and the two sums in the order of the layers.
struct bit_assignment {
    std::vector<std::size_t> choice;
    double cost = 0.0, loss = 0.0;
};

struct lagrangian_result {
    double bound = 0.0;  ///< No assignment within the budget has a smaller loss (but for rounding).
    double price = 0.0;  ///< Loss per unit of cost at which the bound is reached.
    bit_assignment best;  ///< Within the budget; the best one that the search came across.
};

/// Sums that are kept at a layer before a search gives up.
inline constexpr std::size_t most_bit_states = std::size_t{1} << 21;

namespace detail {

inline void require_choices(std::span<layer_choices const> layers) {
    for (std::size_t l = 0; l < layers.size(); ++l) {
        if (layers[l].empty())
            throw value_error("bit assignment: layer " + std::to_string(l) + " has no choice");
        for (bit_choice const& c : layers[l])
            if (!std::isfinite(c.cost) || !std::isfinite(c.loss) || c.cost < 0.0)
                throw value_error("bit assignment: layer " + std::to_string(l) + " at " +
                                  std::to_string(c.bits) + " bits costs " + std::to_string(c.cost) +
                                  " and loses " + std::to_string(c.loss) +
                                  "; expected finite numbers, and no cost below 0");
    }
}

/// The choice of each layer that `better` likes most, and its sums.
template <typename Better>
[[nodiscard]] bit_assignment pick(std::span<layer_choices const> layers, Better const& better) {
    bit_assignment all;
    for (layer_choices const& layer : layers) {
        auto const best = std::ranges::min_element(layer, better);
        all.choice.push_back(static_cast<std::size_t>(best - layer.begin()));
        all.cost += best->cost;
        all.loss += best->loss;
    }
    return all;
}
[[nodiscard]] inline bit_assignment with_sums(std::span<layer_choices const> layers,
                                              std::vector<std::size_t> choice) {
    bit_assignment all{std::move(choice)};
    for (std::size_t l = 0; l < layers.size(); ++l) {
        all.cost += layers[l][all.choice[l]].cost;
        all.loss += layers[l][all.choice[l]].loss;
    }
    return all;
}
/// The cheapest choices. Throws value_error if they are above the budget.
[[nodiscard]] inline bit_assignment require_budget(std::span<layer_choices const> layers,
                                                   double budget) {
    require_choices(layers);
    if (!std::isfinite(budget))
        throw value_error("bit assignment: expected a finite budget, found " +
                          std::to_string(budget));
    bit_assignment cheapest = pick(layers, [](bit_choice const& a, bit_choice const& b) {
        return a.cost != b.cost ? a.cost < b.cost : a.loss < b.loss;
    });
    if (!(cheapest.cost <= budget))
        throw value_error("bit assignment: the cheapest choices cost " +
                          std::to_string(cheapest.cost) + ", more than the budget of " +
                          std::to_string(budget));
    return cheapest;
}

/// A sum over the first layers, and how it came about.
struct bit_state {
    double cost = 0.0, loss = 0.0;
    std::uint32_t from = 0, choice = 0;
};

/// The sums after each layer that no other beats and `keep(layer, state)` lets live, cheapest first.
template <typename Keep>
[[nodiscard]] std::vector<std::vector<bit_state>> undominated_sums(
    std::span<layer_choices const> layers, std::size_t most_states, Keep const& keep) {
    std::vector<std::vector<bit_state>> after{{bit_state{}}};
    for (std::size_t l = 0; l < layers.size(); ++l) {
        std::vector<bit_state> all;
        for (std::size_t c = 0; c < layers[l].size(); ++c)
            for (std::size_t i = 0; i < after[l].size(); ++i) {
                bit_state const next{after[l][i].cost + layers[l][c].cost,
                                     after[l][i].loss + layers[l][c].loss,
                                     static_cast<std::uint32_t>(i), static_cast<std::uint32_t>(c)};
                if (keep(l, next)) all.push_back(next);
            }
        std::ranges::sort(all, [](bit_state const& a, bit_state const& b) {
            return a.cost != b.cost ? a.cost < b.cost : a.loss < b.loss;
        });
        // Sums of floats grow with each summand, so what is beaten now stays beaten.
        std::vector<bit_state> best;
        for (bit_state const& s : all)
            if (best.empty() || s.loss < best.back().loss) best.push_back(s);
        if (best.size() > most_states)
            throw value_error("bit assignment: more than " + std::to_string(most_states) +
                              " sums at layer " + std::to_string(l) +
                              " that no other beats. Hint: costs in coarser units, or "
                              "assign_bits_greedily and lagrangian_bound");
        after.push_back(std::move(best));
    }
    return after;
}
[[nodiscard]] inline bit_assignment traced(std::vector<std::vector<bit_state>> const& after,
                                           std::size_t last) {
    std::size_t const layers = after.size() - 1;
    bit_assignment all{std::vector<std::size_t>(layers), after.back()[last].cost,
                       after.back()[last].loss};
    for (std::size_t l = layers; l-- > 0; last = after[l + 1][last].from)
        all.choice[l] = after[l + 1][last].choice;
    return all;
}

}  // namespace detail

/// A bound on the loss within the budget, and an assignment near it. Throws value_error if even the
/// cheapest choices are above the budget.
[[nodiscard]] inline lagrangian_result lagrangian_bound(std::span<layer_choices const> layers,
                                                        double budget) {
    lagrangian_result result;
    result.best = detail::require_budget(layers, budget);
    result.bound = -std::numeric_limits<double>::infinity();
    // What is bought at a price, and whether that is within the budget. Every price gives a bound.
    auto const is_enough = [&](double price) {
        auto const bought = detail::pick(layers, [price](bit_choice const& a, bit_choice const& b) {
            double const x = a.loss + price * a.cost, y = b.loss + price * b.cost;
            return x != y ? x < y : a.cost < b.cost;
        });
        double const bound = bought.loss + price * (bought.cost - budget);
        if (bound > result.bound) {
            result.bound = bound;
            result.price = price;
        }
        if (bought.cost > budget) return false;
        if (bought.loss < result.best.loss) result.best = bought;
        return true;
    };
    if (is_enough(0.0)) return result;
    double low = 0.0, high = 1.0;
    while (!is_enough(high) && high < 1e300) low = high, high *= 16.0;
    for (int i = 0; i < 200; ++i) {
        double const middle = low + (high - low) / 2.0;
        if (middle <= low || middle >= high) break;
        (is_enough(middle) ? high : low) = middle;
    }
    return result;
}

/// From the least loss downwards: each step pays the least loss per cost saved, until the budget is kept;
/// then what is left of it is spent the same way. Throws value_error like lagrangian_bound.
[[nodiscard]] inline bit_assignment assign_bits_greedily(std::span<layer_choices const> layers,
                                                         double budget) {
    (void)detail::require_budget(layers, budget);
    bit_assignment now = detail::pick(layers, [](bit_choice const& a, bit_choice const& b) {
        return a.loss != b.loss ? a.loss < b.loss : a.cost < b.cost;
    });
    // The change with the least `rate`, which is empty for a change that is none.
    auto const change = [&](auto const& rate) {
        std::optional<double> least;
        std::size_t layer = 0, choice = 0;
        for (std::size_t l = 0; l < layers.size(); ++l)
            for (std::size_t c = 0; c < layers[l].size(); ++c) {
                std::optional<double> const r = rate(layers[l][now.choice[l]], layers[l][c]);
                if (r && (!least || *r < *least)) least = r, layer = l, choice = c;
            }
        if (!least) return false;
        auto next = now.choice;
        next[layer] = choice;
        now = detail::with_sums(layers, std::move(next));
        return true;
    };
    using rate = std::optional<double>;
    while (now.cost > budget)
        if (!change([](bit_choice const& from, bit_choice const& to) -> rate {
                if (to.cost >= from.cost) return {};
                return (to.loss - from.loss) / (from.cost - to.cost);
            }))
            break;
    bit_assignment kept = now;
    while (change([&](bit_choice const& from, bit_choice const& to) -> rate {
        if (to.loss >= from.loss || now.cost - from.cost + to.cost > budget) return {};
        return to.cost > from.cost ? (to.loss - from.loss) / (to.cost - from.cost)
                                   : -std::numeric_limits<double>::infinity();
    })) {
        // The sum in order may round above what the difference promised.
        if (now.cost > budget) break;
        kept = now;
    }
    return kept;
}

/// The assignment with the least loss within the budget; among equal losses the cheapest. Throws
/// value_error like lagrangian_bound, and where more than `most_states` sums would have to be kept.
[[nodiscard]] inline bit_assignment assign_bits(std::span<layer_choices const> layers,
                                                double budget,
                                                std::size_t most_states = most_bit_states) {
    lagrangian_result const relaxed = lagrangian_bound(layers, budget);
    double const known = std::min(relaxed.best.loss, assign_bits_greedily(layers, budget).loss);
    // What the layers after l add at least: in cost, and in loss plus cost at the price.
    std::vector<double> cost_after(layers.size() + 1), priced_after(layers.size() + 1);
    double size = std::fabs(known) + relaxed.price * budget, largest_cost = budget;
    for (std::size_t l = layers.size(); l-- > 0;) {
        double cost = std::numeric_limits<double>::infinity(), priced = cost;
        for (bit_choice const& c : layers[l]) {
            cost = std::min(cost, c.cost);
            priced = std::min(priced, c.loss + relaxed.price * c.cost);
        }
        cost_after[l] = cost_after[l + 1] + cost;
        priced_after[l] = priced_after[l + 1] + priced;
        size += std::fabs(priced);
        largest_cost += cost;
    }
    // Bounds are summed in another order than states: what is that close is kept.
    double const count = static_cast<double>(layers.size() + 4);
    double const slack = 4.0 * count * std::numeric_limits<double>::epsilon();
    auto const after =
        detail::undominated_sums(layers, most_states, [&](std::size_t l, auto const& s) {
            double const least = s.loss + priced_after[l + 1] + relaxed.price * (s.cost - budget);
            return s.cost + cost_after[l + 1] <= budget + slack * largest_cost &&
                   least <= known + slack * (size + std::fabs(s.loss));
        });
    auto const& sums = after.back();
    std::size_t last = sums.size();
    while (last > 0 && sums[last - 1].cost > budget) --last;
    // The greedy sum is among them: it was kept at every layer, or beaten.
    if (last == 0) return assign_bits_greedily(layers, budget);
    return detail::traced(after, last - 1);
}

/// Every assignment that no other beats in both sums, cheapest first, each with a smaller loss than the
/// one before. Throws value_error where more than `most_states` would have to be kept.
[[nodiscard]] inline std::vector<bit_assignment> bit_pareto_front(
    std::span<layer_choices const> layers, std::size_t most_states = most_bit_states) {
    detail::require_choices(layers);
    auto const after = detail::undominated_sums(layers, most_states,
                                                [](std::size_t, auto const&) { return true; });
    std::vector<bit_assignment> front;
    for (std::size_t i = 0; i < after.back().size(); ++i) front.push_back(detail::traced(after, i));
    return front;
}

}  // namespace qtk
