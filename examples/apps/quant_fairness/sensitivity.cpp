// SPDX-License-Identifier: Apache-2.0
#include "sensitivity.hpp"

#include <qtk/stats/holm.hpp>

#include <utility>

namespace app {
namespace {

/// Corrected p-values of "costs more than the mean of all".
void test_against_mean(std::vector<sensitivity::part_costs>& parts) {
    if (parts.size() < 2) return;
    std::vector<qtk::resampled_figure> alone;
    for (auto const& part : parts) alone.push_back(part.only.figure(mean_cost));
    qtk::resampled_figure sum = alone.front();
    for (std::size_t i = 1; i < alone.size(); ++i)
        sum = combined(sum, alone[i], std::plus<double>{});
    std::vector<double> p;
    auto const count = static_cast<double>(parts.size());
    for (qtk::resampled_figure const& f : alone)
        p.push_back(
            combined(f, sum, [&](double a, double all) { return a - all / count; }).p_above_zero());
    std::vector<double> const adjusted = qtk::holm_adjusted(p);
    for (std::size_t i = 0; i < parts.size(); ++i) parts[i].p_above_mean = adjusted[i];
}

}  // namespace

sensitivity measure_sensitivity(fairness_study const& study, quantization const& how,
                                bool has_modules, std::uint64_t seed) {
    auto const& network = study.model().network();
    std::vector<std::vector<qtk::network_part>> lists{study.blocks()};
    if (has_modules) {
        lists.push_back(qtk::module_kinds_of(network));
        lists.push_back(qtk::block_modules_of(network));
    }
    std::vector<qtk::mixture> mixtures{study.nothing(), study.everything()};
    for (auto const& list : lists)
        for (qtk::network_part const& part : list) {
            mixtures.push_back(part.modules);
            mixtures.push_back(qtk::without(study.everything(), part.modules));
        }
    std::vector<passage_losses> const losses = study.losses(how, mixtures);
    cost_baseline const baseline(losses[0], seed);
    sensitivity found{how,       study.bits_per_weight(how, study.everything()),
                      losses[0], baseline.costs_of(losses[1]),
                      {},        {},
                      {}};
    std::size_t at = 2;
    for (std::size_t i = 0; i < lists.size(); ++i) {
        auto& into = i == 0 ? found.blocks : i == 1 ? found.kinds : found.modules;
        for (qtk::network_part const& part : lists[i]) {
            into.push_back(
                {part.name, baseline.costs_of(losses[at]), baseline.costs_of(losses[at + 1]), 1.0});
            at += 2;
        }
        test_against_mean(into);
    }
    return found;
}

}  // namespace app
