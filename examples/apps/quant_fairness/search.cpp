// SPDX-License-Identifier: Apache-2.0
#include "search.hpp"

#include <qtk/core/random.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

namespace app {
namespace {

[[nodiscard]] protected_set const& best_of(std::vector<protected_set> const& sets) {
    return *std::ranges::min_element(
        sets, {}, [](protected_set const& s) { return std::pair(s.figure, s.mean); });
}
[[nodiscard]] bool is_better(protected_set const& a, protected_set const& b) {
    return std::pair(a.figure, a.mean) < std::pair(b.figure, b.mean);
}
[[nodiscard]] bool holds(std::vector<std::size_t> const& set, std::size_t part) {
    return std::ranges::find(set, part) != set.end();
}

}  // namespace

std::string names_of(std::vector<qtk::network_part> const& parts,
                     std::vector<std::size_t> const& set) {
    std::string names;
    for (std::size_t const part : set) names += (names.empty() ? "" : ", ") + parts[part].name;
    return names.empty() ? "nothing" : names;
}

std::size_t count_of_sets(std::size_t n, std::size_t k, std::size_t most) {
    if (k > n) return 0;
    double count = 1.0;
    for (std::size_t i = 1; i <= k; ++i)
        count *= static_cast<double>(n - k + i) / static_cast<double>(i);
    return count < static_cast<double>(most) ? static_cast<std::size_t>(count + 0.5) : most;
}

std::vector<std::vector<std::size_t>> sets_of_size(std::size_t n, std::size_t k, std::size_t most,
                                                   std::uint64_t seed) {
    std::vector<std::vector<std::size_t>> all;
    if (k > n) return all;
    if (count_of_sets(n, k, most + 1) > most) {
        std::set<std::vector<std::size_t>> drawn;
        qtk::splitmix64 random(seed);
        while (drawn.size() < most) {
            std::vector<std::size_t> set;
            while (set.size() < k) {
                auto const part = static_cast<std::size_t>(qtk::uniform_index(random, n));
                if (!holds(set, part)) set.push_back(part);
            }
            std::ranges::sort(set);
            drawn.insert(std::move(set));
        }
        all.assign(drawn.begin(), drawn.end());
        return all;
    }
    std::vector<std::size_t> set(k);
    for (std::size_t i = 0; i < k; ++i) set[i] = i;
    for (;;) {
        all.push_back(set);
        std::size_t i = k;
        while (i > 0 && set[i - 1] == n - k + i - 1) --i;
        if (i == 0) return all;
        ++set[i - 1];
        for (; i < k; ++i) set[i] = set[i - 1] + 1;
    }
}

protection_search::protection_search(fairness_study const& study, quantization how,
                                     std::vector<qtk::network_part> parts, cost_figure figure,
                                     std::size_t part, limits const& most)
    : study_(study),
      how_(std::move(how)),
      parts_(std::move(parts)),
      figure_(std::move(figure)),
      part_(part),
      most_(most),
      original_(study.losses(how_, {study.nothing()}, part).front()) {}

qtk::mixture protection_search::mixture_of(std::vector<std::size_t> const& set) const {
    qtk::mixture quantized = study_.everything();
    for (std::size_t const p : set) quantized = qtk::without(quantized, parts_[p].modules);
    return quantized;
}

std::vector<protected_set> protection_search::evaluate(
    std::vector<std::vector<std::size_t>> const& sets) const {
    std::vector<qtk::mixture> mixtures;
    for (auto const& set : sets) mixtures.push_back(mixture_of(set));
    std::vector<passage_losses> const losses = study_.losses(how_, mixtures, part_);
    std::vector<protected_set> found;
    for (std::size_t i = 0; i < sets.size(); ++i) {
        std::vector<double> const costs = costs_of(losses[i], original_);
        found.push_back({sets[i], figure_(costs), mean_cost(costs), {}});
    }
    return found;
}

protected_set protection_search::grown(protected_set const& set) const {
    std::vector<std::vector<std::size_t>> next;
    for (std::size_t p = 0; p < parts_.size(); ++p) {
        if (holds(set.parts, p)) continue;
        next.push_back(set.parts);
        next.back().push_back(p);
        std::ranges::sort(next.back());
    }
    if (next.empty()) return set;
    protected_set best = best_of(evaluate(next));
    best.search = "greedy";
    return best;
}

protected_set protection_search::swapped(protected_set best) const {
    std::size_t swaps = 0;
    for (;;) {
        std::vector<std::vector<std::size_t>> others;
        for (std::size_t out = 0; out < best.parts.size(); ++out)
            for (std::size_t p = 0; p < parts_.size(); ++p) {
                if (holds(best.parts, p)) continue;
                others.push_back(best.parts);
                others.back()[out] = p;
                std::ranges::sort(others.back());
            }
        if (others.empty()) break;
        protected_set const other = best_of(evaluate(others));
        if (!is_better(other, best)) break;
        best = other;
        ++swaps;
    }
    best.search = fmt::format("greedy, {} swap{}", swaps, swaps == 1 ? "" : "s");
    return best;
}

protected_set protection_search::best_after(protected_set const& smaller) const {
    std::size_t const size = smaller.parts.size() + 1, n = parts_.size();
    bool const is_pair = size == 2 && most_.has_all_pairs;
    std::size_t const count = count_of_sets(n, size, most_.evaluations + 1);
    if (is_pair || count <= most_.evaluations) {
        auto const sets = sets_of_size(n, size, is_pair ? n * n : most_.evaluations, 0);
        protected_set best = best_of(evaluate(sets));
        best.search = fmt::format("all {}", sets.size());
        return best;
    }
    protected_set best = swapped(grown(smaller));
    if (size > 3) return best;
    auto const sample = sets_of_size(n, size, most_.evaluations, most_.seed);
    protected_set const drawn = best_of(evaluate(sample));
    std::string const search =
        fmt::format("{}, and {} sets drawn at random", best.search, sample.size());
    if (is_better(drawn, best)) best = drawn;
    best.search = search;
    return best;
}

}  // namespace app
