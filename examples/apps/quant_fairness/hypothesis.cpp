// SPDX-License-Identifier: Apache-2.0
//
// quant-fairness hypothesis: is a named set of layers better to protect than other sets of its size?
#include <qtk/stats/summary.hpp>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "calibrated_model.hpp"
#include "commands.hpp"
#include "costs_output.hpp"
#include "fairness_report.hpp"
#include "format_options.hpp"
#include "search.hpp"
#include "study.hpp"
#include "terminal.hpp"
#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace app {
namespace {

struct hypothesis_options {
    study_options study;
    std::string method = "rtn", scheme = "i3/g64/asym/f16";
    std::vector<std::string> set{"L0", "L9", "L11"};
    std::size_t evaluations = 300;
};

/// One figure of the named set against the same of all others.
struct comparison {
    std::string figure;
    qtk::resampled_figure named, others, effect;  ///< the mean of the others; named minus others
    qtk::resampled_figure rank;                   ///< 1: nothing is better
    double p = 1.0, best = 0.0;
    std::string best_set;
};

[[nodiscard]] comparison compare_sets(std::string name, cost_figure const& of,
                                      std::vector<language_costs> const& costs,
                                      std::vector<std::string> const& names) {
    comparison c;
    c.figure = std::move(name);
    c.named = costs.front().figure(of);
    c.others = qtk::resampled_figure{0.0, std::vector<double>(c.named.resamples.size())};
    c.rank = qtk::resampled_figure{1.0, std::vector<double>(c.named.resamples.size(), 1.0)};
    c.best = c.named.value, c.best_set = names.front();
    std::size_t as_good = 0;
    auto const count = static_cast<double>(costs.size() - 1);
    for (std::size_t i = 1; i < costs.size(); ++i) {
        qtk::resampled_figure const other = costs[i].figure(of);
        c.others = combined(c.others, other, [&](double sum, double v) { return sum + v / count; });
        for (std::size_t r = 0; r < other.resamples.size(); ++r)
            c.rank.resamples[r] += other.resamples[r] < c.named.resamples[r] ? 1.0 : 0.0;
        c.rank.value += other.value < c.named.value ? 1.0 : 0.0;
        as_good += other.value <= c.named.value ? 1u : 0u;
        if (other.value < c.best) c.best = other.value, c.best_set = names[i];
    }
    c.effect = combined(c.named, c.others, std::minus<double>{});
    c.p = (1.0 + static_cast<double>(as_good)) / (1.0 + count);
    return c;
}

/// The named set among those sets that hold one of its layers: is it more than that layer?
struct conditional_rank {
    std::string layer, figure;
    std::size_t sets = 0, rank = 1;
    double p = 1.0;
};

[[nodiscard]] std::vector<conditional_rank> ranks_with(
    std::vector<qtk::network_part> const& blocks, std::vector<std::vector<std::size_t>> const& sets,
    std::vector<language_costs> const& costs) {
    std::vector<conditional_rank> ranks;
    if (sets.front().size() < 2) return ranks;
    for (std::size_t const layer : sets.front())
        for (auto const& [name, of] :
             {std::pair("mean cost", &mean_cost), std::pair("gap", &cost_gap)}) {
            conditional_rank r{blocks[layer].name, name};
            std::size_t as_good = 0;
            double const named = of(costs.front().whole);
            for (std::size_t i = 0; i < sets.size(); ++i) {
                if (std::ranges::find(sets[i], layer) == sets[i].end()) continue;
                ++r.sets;
                r.rank += of(costs[i].whole) < named ? 1u : 0u;
                as_good += of(costs[i].whole) <= named ? 1u : 0u;  // itself among them
            }
            r.p = static_cast<double>(as_good) / static_cast<double>(r.sets);
            ranks.push_back(std::move(r));
        }
    return ranks;
}

void run(hypothesis_options const& options) {
    quantization_grid{{options.scheme}, {options.method}}.require();
    if (options.set.empty()) throw qtk::value_error("--set: expected at least one layer");
    run_study(options.study, text_split::whole, [&](study_list const& studies) {
        fairness_study const& study = *studies.front();
        std::FILE* const human = options.study.output.human();
        quantization const how{options.method, options.scheme, {}, {}};
        auto const& blocks = study.blocks();
        std::vector<std::size_t> named;
        for (std::string const& layer : options.set) {
            std::size_t const part = qtk::find_part(blocks, layer);
            if (std::ranges::find(named, part) == named.end()) named.push_back(part);
        }
        std::ranges::sort(named);
        if (named.size() == blocks.size())
            throw qtk::value_error("--set: it holds all layers; there is no other set of its size");
        std::string const calibration = study.calibration_sentence({options.method});
        print_header(human, study, calibration);
        std::fflush(human);
        protection_search const search(study, how, blocks, cost_gap, 0, {});
        auto sets =
            sets_of_size(blocks.size(), named.size(), options.evaluations, options.study.seed);
        bool const is_sample = count_of_sets(blocks.size(), named.size(), options.evaluations + 1) >
                               options.evaluations;
        std::erase(sets, named);
        sets.insert(sets.begin(), named);
        std::vector<qtk::mixture> mixtures{study.nothing(), study.everything()};
        std::vector<std::string> names;
        for (auto const& set : sets) {
            mixtures.push_back(search.mixture_of(set));
            names.push_back(names_of(blocks, set));
        }
        auto const losses = study.losses(how, mixtures);
        cost_baseline const baseline(losses[0], options.study.seed);
        language_costs const unprotected = baseline.costs_of(losses[1]);
        std::vector<language_costs> costs;
        for (std::size_t i = 2; i < losses.size(); ++i)
            costs.push_back(baseline.costs_of(losses[i]));
        std::vector<comparison> const results{
            compare_sets("mean cost left, %", mean_cost, costs, names),
            compare_sets("gap left, points", cost_gap, costs, names)};
        std::string const others =
            fmt::format("{} {} sets of {} layers", is_sample ? "a random sample of" : "all",
                        sets.size() - 1, named.size());
        fmt::print(human,
                   "\n{}, {} protected against {}. With nothing protected: mean cost {} %, gap {} "
                   "points.\n\n",
                   how.name(), names[0], others, percent_text(unprotected.figure(mean_cost)),
                   percent_text(unprotected.figure(cost_gap)));
        std::vector<std::string> const header{
            "figure", "named set [95 %]", "mean of others", "effect [95 %]", "rank [95 %]",
            "p",      "best of its size"};
        std::vector<std::vector<std::string>> rows;
        for (comparison const& c : results)
            rows.push_back({c.figure, percent_text(c.named),
                            fmt::format("{:.2f}", 100.0 * c.others.value), percent_text(c.effect),
                            fmt::format("{} of {}", plain_text(c.rank, 0), sets.size()),
                            p_text(c.p), fmt::format("{} ({:.2f})", c.best_set, 100.0 * c.best)});
        text_table table(header);
        for (auto const& row : rows) table.add(row);
        std::string const meaning =
            "p: how often a set of this size, drawn at random, leaves no more than the named one. "
            "Two figures, two tests: below 0.025 either is clear (Bonferroni).";
        fmt::print(human, "{}\n{}\n", table.str(), meaning);
        std::vector<conditional_rank> const conditional = ranks_with(blocks, sets, costs);
        std::vector<std::string> among;
        for (conditional_rank const& r : conditional)
            among.push_back(fmt::format("Among the {} sets with {}: rank {} by the {} left, p {}.",
                                        r.sets, r.layer, r.rank, r.figure, p_text(r.p)));
        if (!among.empty()) fmt::print(human, "\nIs it more than one of its layers?\n");
        for (std::string const& line : among) fmt::print(human, "{}\n", line);
        if (!options.study.output.json_target.empty()) {
            json figures = json::array();
            for (comparison const& c : results)
                figures.push_back({{"figure", c.figure},
                                   {"named", figure_json(c.named)},
                                   {"others_mean", figure_json(c.others)},
                                   {"effect", figure_json(c.effect)},
                                   {"rank", figure_json(c.rank)},
                                   {"p", c.p},
                                   {"best", c.best},
                                   {"best_set", c.best_set}});
            json with = json::array();
            for (conditional_rank const& r : conditional)
                with.push_back({{"layer", r.layer},
                                {"figure", r.figure},
                                {"sets", r.sets},
                                {"rank", r.rank},
                                {"p", r.p}});
            json all = json::array();
            for (std::size_t i = 0; i < costs.size(); ++i)
                all.push_back({{"layers", names[i]},
                               {"mean_cost", mean_cost(costs[i].whole)},
                               {"gap", cost_gap(costs[i].whole)}});
            json head = report_head("qtk.fairness.hypothesis/1", study, calibration, options.study);
            head.update({{"method", how.method},
                         {"scheme", how.scheme},
                         {"set", names[0]},
                         {"others", sets.size() - 1},
                         {"is_sample", is_sample},
                         {"unprotected", costs_json(unprotected, study.language_names())},
                         {"figures", figures},
                         {"among_sets_with", with},
                         {"sets", all}});
            deliver(options.study.output.json_target, head);
        }
        if (options.study.report.empty()) return;
        fairness_report report("quant-fairness hypothesis", study, calibration);
        report.page().heading(how.name() + ": " + names[0] + " against " + others);
        report.page().table(header, rows);
        report.page().paragraph(meaning);
        report.page().list(among);
        std::vector<std::size_t> order(costs.size());
        for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
        std::ranges::sort(order, {}, [&](std::size_t i) { return mean_cost(costs[i].whole); });
        std::vector<named_costs> shown{{"nothing protected", unprotected}};
        for (std::size_t i = 0; i < order.size(); ++i)
            if (i < 10 || order[i] == 0)
                shown.push_back(
                    {fmt::format("{}{} ({})", order[i] == 0 ? "> " : "", names[order[i]], i + 1),
                     costs[order[i]]});
        report.add_bars("The best ten sets by the mean cost, and the named one", "mean cost, %",
                        mean_cost, shown);
        report.add_bars("Their gaps", "points", cost_gap, shown);
        report.add_recipe(how, study, qtk::without(study.everything(), search.mixture_of(named)),
                          "The named set as a recipe.");
        deliver(options.study.report, report.str());
    });
}

}  // namespace

void add_hypothesis(CLI::App& program) {
    auto const options = std::make_shared<hypothesis_options>();
    CLI::App* const command = program.add_subcommand(
        "hypothesis", "a named set of layers against all others of its size");
    options->study.add_to(*command);
    command->add_option("--set", options->set, "layers: L0,L9,L11, or first, middle, last")
        ->delimiter(',')
        ->capture_default_str()
        ->type_name("LAYER");
    command->add_option("--scheme", options->scheme, "format with codes")
        ->capture_default_str()
        ->type_name("FORMAT");
    command->add_option("--method", options->method, method_help)
        ->capture_default_str()
        ->type_name("METHOD");
    command
        ->add_option("--evaluations", options->evaluations,
                     "other sets at most; a random sample where there are more")
        ->check(CLI::Range(std::size_t{1}, std::size_t{1000000}))
        ->capture_default_str();
    command->callback([options] { run(*options); });
}

}  // namespace app
