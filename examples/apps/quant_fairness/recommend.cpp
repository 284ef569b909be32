// SPDX-License-Identifier: Apache-2.0
//
// quant-fairness recommend: the smallest set of layers to protect, chosen on one half of the passages and verified on
// the other, by the model that the recipe makes.
#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "calibrated_model.hpp"
#include "command_line.hpp"
#include "commands.hpp"
#include "costs_output.hpp"
#include "fairness_report.hpp"
#include "figure_option.hpp"
#include "format_options.hpp"
#include "search.hpp"
#include "sensitivity.hpp"
#include "study.hpp"
#include "terminal.hpp"
#include <charconv>
#include <cmath>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace app {
namespace {

struct recommend_options {
    study_options study;
    std::string method = "rtn", scheme = "i3/g64/asym/f16", figure = "gap", target, recipe;
    double most_bits = 0.0;
    std::size_t most_layers = 0, evaluations = 300;
    bool has_modules = false;
};

/// "5" in the figure's unit, or "50%" of what is there when nothing is protected.
struct disparity_target {
    double value = 0.5;
    bool is_share = true;

    [[nodiscard]] double of(double unprotected, double unit) const {
        return is_share ? value * unprotected : value / unit;
    }
};
[[nodiscard]] disparity_target parse_target(std::string const& text) {
    disparity_target target;
    target.is_share = text.ends_with('%');
    char const* const end = text.data() + text.size() - (target.is_share ? 1 : 0);
    auto const [stop, failure] = std::from_chars(text.data(), end, target.value);
    if (failure != std::errc{} || stop != end || !(target.value >= 0.0) ||
        !std::isfinite(target.value))
        throw qtk::value_error(
            "--target: expected a figure such as 5, or a share of the "
            "unprotected model's such as 50%, found \"" +
            text + "\"");
    if (target.is_share) target.value /= 100.0;
    return target;
}

/// Sets of growing size, the best of each.
struct recommendation {
    std::vector<protected_set> sizes;  ///< the first protects nothing
    std::vector<double> bits;
    std::size_t chosen = 0;
    double target = std::numeric_limits<double>::quiet_NaN();
    std::string verdict;
};

[[nodiscard]] recommendation search_sets(fairness_study const& study, quantization const& how,
                                         protection_search const& search,
                                         named_figure const& figure,
                                         recommend_options const& options) {
    recommendation found;
    bool const has_budget = options.most_bits > 0.0, has_target = !options.target.empty();
    auto const bits_of = [&](protected_set const& set) {
        return study.bits_per_weight(how, search.mixture_of(set.parts));
    };
    found.sizes.push_back(search.none());
    found.bits.push_back(bits_of(found.sizes[0]));
    if (has_budget && found.bits[0] > options.most_bits)
        throw qtk::value_error(fmt::format(
            "--max-bits: {} has {:.3f} bits a weight with nothing protected, found {}. Hint: a "
            "scheme with fewer bits",
            how.scheme, found.bits[0], options.most_bits));
    if (has_target || !has_budget)
        found.target = parse_target(has_target ? options.target : "50%")
                           .of(found.sizes[0].figure, figure.unit);
    bool const aims = !std::isnan(found.target);
    auto const is_met = [&] { return aims && found.sizes.back().figure <= found.target; };
    std::size_t const most = options.most_layers > 0 ? options.most_layers : search.parts().size();
    std::string end = "every layer is protected";
    while (!is_met()) {
        if (found.sizes.back().parts.size() >= std::min(most, search.parts().size())) {
            if (most < search.parts().size()) end = "--max-layers is reached";
            break;
        }
        protected_set next = search.best_after(found.sizes.back());
        double const bits = bits_of(next);
        if (has_budget && bits > options.most_bits) {
            end = fmt::format("one layer more would have {:.3f} bits a weight", bits);
            break;
        }
        found.sizes.push_back(std::move(next));
        found.bits.push_back(bits);
    }
    for (std::size_t i = 0; i < found.sizes.size(); ++i)
        if (found.sizes[i].figure < found.sizes[found.chosen].figure) found.chosen = i;
    if (is_met()) found.chosen = found.sizes.size() - 1;
    found.verdict = !aims      ? fmt::format("The best within the budget: {}.", end)
                    : is_met() ? std::string("The smallest set found that meets the target.")
                               : fmt::format("The target is not met: {}.", end);
    return found;
}

/// On held-out passages: all layers quantized, the mixture that the search looked at, and the model that the
/// recipe makes.
struct verification {
    language_costs unprotected, mixture, real;
    double bits = 0.0;
};

[[nodiscard]] verification verify(fairness_study const& study, quantization const& how,
                                  qtk::mixture const& quantized, std::uint64_t seed) {
    auto const losses = study.losses(how, {study.nothing(), study.everything(), quantized}, 1);
    quantization recipe = how;
    recipe.kept = qtk::without(study.everything(), quantized);
    auto const real = study.losses(recipe, {study.everything()}, 1);
    cost_baseline const baseline(losses[0], seed);
    return {baseline.costs_of(losses[1]), baseline.costs_of(losses[2]), baseline.costs_of(real[0]),
            study.bits_per_weight(how, quantized)};
}

void print(std::FILE* human, recommendation const& r, protection_search const& search,
           named_figure const& figure) {
    text_table table(
        {"protected", "layers", figure.name + " left", "mean cost, %", "bits/weight", "search"});
    for (std::size_t i = 0; i < r.sizes.size(); ++i)
        table.add({fmt::format("{}{}", i == r.chosen ? "> " : "  ",
                               names_of(search.parts(), r.sizes[i].parts)),
                   std::to_string(r.sizes[i].parts.size()),
                   fmt::format("{:.{}f}", figure.unit * r.sizes[i].figure, figure.digits),
                   fmt::format("{:.2f}", 100.0 * r.sizes[i].mean), fmt::format("{:.3f}", r.bits[i]),
                   i == 0 ? "" : r.sizes[i].search});
    if (!std::isnan(r.target))
        fmt::print(human, "Target: {} at most {:.{}f}.\n", figure.name, figure.unit * r.target,
                   figure.digits);
    fmt::print(human, "{}\n{}\n", table.str(), r.verdict);
}

void run(recommend_options const& options) {
    quantization_grid{{options.scheme}, {options.method}}.require();
    named_figure const figure = parse_figure(options.figure);
    if (!options.target.empty()) static_cast<void>(parse_target(options.target));
    run_study(options.study, text_split::halves, [&](study_list const& studies) {
        fairness_study const& study = *studies.front();
        std::FILE* const human = options.study.output.human();
        quantization const how{options.method, options.scheme, {}, {}};
        std::string const calibration = study.calibration_sentence({options.method});
        print_header(human, study, calibration);
        fmt::print(human, "Sets are chosen on the first half of the passages.\n\n{}:\n",
                   how.name());
        std::fflush(human);
        protection_search const search(
            study, how,
            options.has_modules ? qtk::layers_of(study.model().network()) : study.blocks(),
            figure.of, 0, {options.evaluations, !options.has_modules, options.study.seed});
        recommendation const found = search_sets(study, how, search, figure, options);
        print(human, found, search, figure);
        protected_set const& set = found.sizes[found.chosen];
        qtk::mixture const quantized = search.mixture_of(set.parts);
        qtk::mixture const kept = qtk::without(study.everything(), quantized);
        verification const v = verify(study, how, quantized, options.study.seed);
        std::string const names = names_of(search.parts(), set.parts);
        auto const before = v.unprotected.figure(figure.of), after = v.real.figure(figure.of);
        auto const change = combined(after, before, std::minus<double>{});
        bool const has_target = !std::isnan(found.target);
        std::string verdict = fmt::format(
            "On the held-out half, with {} protected (the recipe's model, packed): {} {} after "
            "{}, a change of {}; mean cost {} % after {} %.",
            names, figure.name, figure.text(after), figure.text(before), figure.text(change),
            percent_text(v.real.figure(mean_cost)), percent_text(v.unprotected.figure(mean_cost)));
        if (has_target)
            verdict += after.value <= found.target ? " The target is met there too."
                                                   : " The target is not met there.";
        fmt::print(human, "\n{}\nThe mixture by which it was chosen: {} {}.\n", verdict,
                   figure.name, figure.text(v.mixture.figure(figure.of)));
        std::vector<std::string> const comments{
            command_line(),
            fmt::format("{} of {}: protects {}; {:.3f} bits a weight", how.name(),
                        study.model().name(), names, v.bits),
            verdict};
        std::string const recipe = recipe_text(study, kept, comments);
        deliver(options.recipe, recipe);
        fmt::print(human, "\nThe recipe{}:\n{}\n{}\n",
                   options.recipe.empty() ? " (--recipe FILE writes it)" : ", " + options.recipe,
                   recipe_text(study, kept, {}),
                   recipe_command(how, options.study.models.front(),
                                  options.recipe.empty() ? "FILE" : options.recipe));
        std::vector<std::string> const languages = study.language_names();
        if (!options.study.output.json_target.empty()) {
            json sizes = json::array();
            for (std::size_t i = 0; i < found.sizes.size(); ++i)
                sizes.push_back({{"layers", names_of(search.parts(), found.sizes[i].parts)},
                                 {options.figure, found.sizes[i].figure},
                                 {"mean_cost", found.sizes[i].mean},
                                 {"bits_per_weight", found.bits[i]},
                                 {"search", found.sizes[i].search}});
            json head = report_head("qtk.fairness.recommend/1", study, calibration, options.study);
            head.update({{"held_out", study.text(1).sentence},
                         {"method", how.method},
                         {"scheme", how.scheme},
                         {"figure", options.figure},
                         {"target", has_target ? json(found.target) : json()},
                         {"met", has_target ? json(set.figure <= found.target) : json()},
                         {"met_held_out", has_target ? json(after.value <= found.target) : json()},
                         {"sizes", sizes},
                         {"layers", names},
                         {"bits_per_weight", v.bits},
                         {"rules", study.keep_rules(kept)},
                         {"unprotected", costs_json(v.unprotected, languages)},
                         {"mixture", costs_json(v.mixture, languages)},
                         {"protected", costs_json(v.real, languages)},
                         {"change", figure_json(change)}});
            deliver(options.study.output.json_target, head);
        }
        if (options.study.report.empty()) return;
        fairness_report report("quant-fairness recommend", study, calibration);
        report.page().paragraph("Held out: " + study.text(1).sentence);
        report.add_recipe(how, study, kept, verdict);
        report.add_bars("Gap on held-out passages", "points", cost_gap,
                        {{"all layers quantized", v.unprotected},
                         {"with the recipe", v.real},
                         {"mixture it was chosen by", v.mixture}});
        report.add_languages("Costs with the recipe, held-out passages", v.real, languages);
        report.add_languages("Costs without it", v.unprotected, languages);
        std::vector<std::vector<std::string>> rows;
        for (std::size_t i = 0; i < found.sizes.size(); ++i)
            rows.push_back(
                {names_of(search.parts(), found.sizes[i].parts),
                 fmt::format("{:.{}f}", figure.unit * found.sizes[i].figure, figure.digits),
                 fmt::format("{:.2f}", 100.0 * found.sizes[i].mean),
                 fmt::format("{:.3f}", found.bits[i]), found.sizes[i].search});
        report.page().table(
            {"protected", figure.name + " left", "mean cost, %", "bits/weight", "search"}, rows);
        report.add(measure_sensitivity(study, how, false, options.study.seed), study);
        deliver(options.study.report, report.str());
    });
}

}  // namespace

void add_recommend(CLI::App& program) {
    auto const options = std::make_shared<recommend_options>();
    CLI::App* const command = program.add_subcommand(
        "recommend", "the smallest set of layers to protect, verified on held-out passages");
    options->study.add_to(*command);
    command->add_option("--scheme", options->scheme, "format with codes")
        ->capture_default_str()
        ->type_name("FORMAT");
    command->add_option("--method", options->method, method_help)
        ->capture_default_str()
        ->type_name("METHOD");
    command->add_option("--figure", options->figure, figure_help)
        ->capture_default_str()
        ->type_name("{gap,ratio,gini,worst,mean}");
    command->add_option("--target", options->target,
                        "what the figure is to fall to: in its unit (gap: percentage points), or a "
                        "share such as 50% of what it is with nothing protected (the default)");
    command->add_option("--max-bits", options->most_bits,
                        "bits a weight at most, protected layers as in the file; without --target "
                        "the best set within them");
    command->add_option("--max-layers", options->most_layers, "layers to protect at most");
    command
        ->add_option("--evaluations", options->evaluations,
                     "sets of one size that are tried before the search becomes greedy; all pairs "
                     "of blocks are tried in any case")
        ->capture_default_str();
    command->add_flag("--modules", options->has_modules,
                      "protect single linear layers instead of blocks");
    command->add_option("--recipe", options->recipe, "file for the rules of `qtk quantize`")
        ->type_name("FILE");
    command->callback([options] { run(*options); });
}

}  // namespace app
