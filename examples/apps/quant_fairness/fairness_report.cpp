// SPDX-License-Identifier: Apache-2.0
#include "fairness_report.hpp"

#include <fmt/format.h>

#include "chart.hpp"
#include "command_line.hpp"
#include "costs_output.hpp"
#include "environment.hpp"
#include <utility>

namespace app {
namespace {

[[nodiscard]] chart_bar bar_of(std::string const& name, qtk::resampled_figure const& f) {
    qtk::interval_estimate const e = f.interval();
    return {name, 100.0 * e.value, 100.0 * e.low, 100.0 * e.high};
}

[[nodiscard]] heat_map map_of(std::string title, std::string caption,
                              std::vector<sensitivity::part_costs> const& parts,
                              language_costs sensitivity::part_costs::*which,
                              std::vector<std::string> const& languages) {
    heat_map map{std::move(title), std::move(caption), {}, languages, {}};
    map.columns.push_back("mean");
    for (auto const& part : parts) {
        map.rows.push_back(part.name);
        map.values.emplace_back();
        for (double const cost : (part.*which).whole) map.values.back().push_back(100.0 * cost);
        map.values.back().push_back(100.0 * mean_cost((part.*which).whole));
    }
    return map;
}

}  // namespace

fairness_report::fairness_report(std::string const& title, fairness_study const& study,
                                 std::string const& calibration, std::size_t part)
    : page_(title + ": " + study.model().name()) {
    page_.paragraph(study.text(part).sentence + "\n" + calibration + "\n" +
                    environment::now().describe());
    page_.paragraph(
        "Costs are increases of the loss relative to the float model's, in percent. Intervals are "
        "95 %: passages are drawn anew within each language, the same ones for every model. They "
        "are not corrected for the number of comparisons, p-values are (Holm). A protected layer "
        "takes back its float weights; calibrated methods quantize every layer once, in order.");
    if (!can_draw())
        page_.note(
            "There are no charts: gnuplot was not found on this machine. The tables hold "
            "the same figures.",
            note_kind::doubt);
}

void fairness_report::add_bars_of(std::string const& title, std::string const& axis,
                                  language_costs const& figures,
                                  std::vector<std::string> const& languages) {
    std::vector<chart_bar> bars;
    for (std::size_t l = 0; l < languages.size(); ++l)
        bars.push_back(bar_of(languages[l], figures.of(l)));
    page_.figure(draw_bars(title, axis, bars));
}
void fairness_report::add_languages(std::string const& title, language_costs const& costs,
                                    std::vector<std::string> const& languages) {
    add_bars_of(title, "increase of the loss, %", costs, languages);
}

void fairness_report::add_bars(std::string const& title, std::string const& axis,
                               cost_figure const& figure, std::vector<named_costs> const& models) {
    std::vector<chart_bar> bars;
    for (named_costs const& model : models)
        bars.push_back(bar_of(model.name, model.costs.figure(figure)));
    page_.figure(draw_bars(title, axis, bars));
}

void fairness_report::add(sensitivity const& s, fairness_study const& study) {
    std::vector<std::string> const languages = study.language_names();
    qtk::disparity const d = qtk::disparity_of(s.quantized.whole);
    page_.heading(s.how.name());
    page_.paragraph(fmt::format(
        "{:.3f} bits a weight. The loss rises by {} % in the mean over languages; {} pays most, {} "
        "least: gap {} points, ratio {}, Gini {}.",
        s.bits, percent_text(s.quantized.figure(mean_cost)), languages[d.worst], languages[d.best],
        percent_text(s.quantized.figure(cost_gap)), ratio_text(s.quantized.figure(cost_ratio)),
        plain_text(s.quantized.figure(cost_gini), 3)));
    add_languages("Cost of each language", s.quantized, languages);
    std::vector<chart_bar> alone, gaps;
    for (auto const& part : s.blocks) {
        alone.push_back(bar_of(part.name, part.only.figure(mean_cost)));
        gaps.push_back(bar_of(part.name, part.kept.figure(cost_gap)));
    }
    page_.figure(draw_bars("Each layer quantized alone", "mean cost over languages, %", alone));
    page_.figure(draw_bars("Gap that is left when a layer is protected", "points", gaps,
                           100.0 * s.quantized.figure(cost_gap).value));
    for (auto const* const parts : {&s.blocks, &s.kinds, &s.modules}) {
        if (parts->empty()) continue;
        page_.heat_map(map_of("Quantized alone: cost by layer and language, %",
                              "What the loss of a language rises by when this layer alone is "
                              "quantized.",
                              *parts, &sensitivity::part_costs::only, languages));
    }
    page_.heat_map(map_of("Protected: cost that is left by layer and language, %",
                          "What the loss of a language rises by when all layers but this one are "
                          "quantized.",
                          s.blocks, &sensitivity::part_costs::kept, languages));
    std::vector<std::vector<std::string>> rows;
    for (auto const* const parts : {&s.blocks, &s.kinds, &s.modules})
        for (auto const& part : *parts)
            rows.push_back({part.name, percent_text(part.only.figure(mean_cost)),
                            p_text(part.p_above_mean), percent_text(part.kept.figure(mean_cost)),
                            percent_text(part.kept.figure(cost_gap))});
    page_.table({"layer", "cost alone, % [95 %]", "p, above the mean layer",
                 "left when protected, % [95 %]", "gap then, points [95 %]"},
                rows);
}

void fairness_report::add_recipe(quantization const& how, fairness_study const& study,
                                 qtk::mixture const& kept, std::string const& what) {
    page_.heading("Recommended recipe", 3);
    page_.paragraph(what);
    page_.code(recipe_text(study, kept, {}));
    page_.paragraph("Saved as recipe.txt:");
    page_.code(recipe_command(how, "MODEL", "recipe.txt"));
}

std::string fairness_report::str() {
    page_.heading("Make it again");
    page_.code(command_line());
    return page_.str();
}

std::string recipe_text(fairness_study const& study, qtk::mixture const& kept,
                        std::vector<std::string> const& comments) {
    std::string text;
    for (std::string const& comment : comments) text += "# " + comment + "\n";
    for (std::string const& rule : study.keep_rules(kept)) text += rule + "\n";
    return text;
}

std::string recipe_command(quantization const& how, std::string const& model,
                           std::string const& recipe) {
    return fmt::format(
        "qtk quantize --method {} --layout compressed_tensors --scheme {} "
        "--recipe-file {} {} OUTDIR",
        shell_word(how.method), shell_word(how.scheme), shell_word(recipe), shell_word(model));
}

}  // namespace app
