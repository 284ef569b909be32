// SPDX-License-Identifier: Apache-2.0
//
// quant-fairness compare: models, schemes, methods and calibration languages in one table.
#include <qtk/calibration/method_spelling.hpp>
#include <qtk/stats/holm.hpp>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "commands.hpp"
#include "costs_output.hpp"
#include "environment.hpp"
#include "fairness_report.hpp"
#include "study.hpp"
#include "terminal.hpp"
#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace app {
namespace {

struct compare_options {
    study_options study;
    quantization_grid grid{{"i3/g64/asym/f16"}, {"rtn", "gptq", "awq"}};
    std::vector<std::string> mixes{"all"};
};

struct compare_row {
    std::size_t study = 0;
    std::string model, calibrated;
    quantization how;
    double bits = 0.0, geomean = 0.0;
    language_costs costs;
    bool is_paired = true;  ///< with the first of all: the same passages are drawn
    std::optional<qtk::resampled_figure> mean_change, gap_change;
    double p_mean = 1.0, p_gap = 1.0;
};

/// "en+de" as languages; "all" is every one alike.
[[nodiscard]] std::vector<std::string> languages_of(std::string const& mix) {
    std::vector<std::string> languages;
    if (mix == "all") return languages;
    for (std::size_t at = 0; at <= mix.size();) {
        std::size_t const end = std::min(mix.find('+', at), mix.size());
        languages.push_back(mix.substr(at, end - at));
        at = end + 1;
    }
    return languages;
}

[[nodiscard]] double geomean_perplexity(passage_losses const& losses, study_text const& text) {
    double sum = 0.0;
    for (std::size_t l = 0; l < losses.size(); ++l)
        sum += qtk::sum(losses[l]) / static_cast<double>(text.scored(l).tokens);
    return std::exp(sum / static_cast<double>(losses.size()));
}

/// Two-sided, by resamples.
[[nodiscard]] double p_of(qtk::resampled_figure const& difference) {
    auto const negative = combined(difference, difference, [](double a, double) { return -a; });
    return std::min(1.0, 2.0 * std::min(difference.p_above_zero(), negative.p_above_zero()));
}

/// Differences from the first row of the same model, and of a model's first row from the first of all; p-values
/// are corrected for the number of rows and figures.
void compare_with_first(std::vector<compare_row>& rows) {
    std::vector<double> p;
    for (std::size_t i = 1; i < rows.size(); ++i) {
        auto const same = [&](compare_row const& row) { return row.study == rows[i].study; };
        auto const own = static_cast<std::size_t>(std::ranges::find_if(rows, same) - rows.begin());
        compare_row const& first = rows[own == i ? 0 : own];
        auto const change = [&](cost_figure const& f) {
            return combined(rows[i].costs.figure(f), first.costs.figure(f), std::minus<double>{});
        };
        rows[i].mean_change = change(mean_cost), rows[i].gap_change = change(cost_gap);
        p.push_back(p_of(*rows[i].mean_change));
        p.push_back(p_of(*rows[i].gap_change));
    }
    std::vector<double> const adjusted = qtk::holm_adjusted(p);
    for (std::size_t i = 1; i < rows.size(); ++i)
        rows[i].p_mean = adjusted[2 * i - 2], rows[i].p_gap = adjusted[2 * i - 1];
}

[[nodiscard]] std::string name_of(compare_row const& row, bool has_models) {
    std::string const calibrated =
        row.calibrated.empty() ? "" : fmt::format(" ({})", row.calibrated);
    return (has_models ? row.model + ", " : "") + row.how.method + calibrated + ", " +
           row.how.scheme;
}

void run(compare_options const& options) {
    options.grid.require();
    if (options.mixes.empty()) throw qtk::value_error("--mixes: expected at least one");
    run_study(options.study, text_split::whole, [&](study_list const& studies) {
        std::FILE* const human = options.study.output.human();
        bool const has_models = studies.size() > 1;
        std::string calibrations;
        for (std::string const& mix : options.mixes)
            calibrations +=
                (calibrations.empty() ? "" : "\n") +
                studies.front()->calibration_sentence(options.grid.methods, languages_of(mix));
        print_header(human, *studies.front(), calibrations);
        fmt::print(human, "\n");
        std::fflush(human);
        std::vector<compare_row> rows;
        std::vector<std::size_t> first_sizes;
        for (std::size_t s = 0; s < studies.size(); ++s)
            for (std::string const& scheme : options.grid.schemes)
                for (std::string const& method : options.grid.methods)
                    for (std::string const& mix : options.mixes) {
                        fairness_study const& study = *studies[s];
                        bool const reads = qtk::parse_method(method).needs_text();
                        if (!reads && &mix != &options.mixes.front()) continue;
                        quantization const how{
                            method,
                            scheme,
                            reads ? languages_of(mix) : std::vector<std::string>{},
                            {}};
                        auto const losses =
                            study.losses(how, {study.nothing(), study.everything()});
                        std::vector<std::size_t> sizes;
                        for (auto const& language : losses[0]) sizes.push_back(language.size());
                        if (rows.empty()) first_sizes = sizes;
                        bool const is_paired = sizes == first_sizes;
                        cost_baseline const baseline(
                            losses[0],
                            is_paired ? options.study.seed : qtk::mix64(options.study.seed + s));
                        rows.push_back({s,
                                        study.model().name(),
                                        reads ? mix : "",
                                        how,
                                        study.bits_per_weight(how, study.everything()),
                                        geomean_perplexity(losses[1], study.text()),
                                        baseline.costs_of(losses[1]),
                                        is_paired,
                                        {},
                                        {},
                                        1.0,
                                        1.0});
                    }
        compare_with_first(rows);
        std::vector<std::string> const languages = studies.front()->language_names();
        std::vector<std::string> const header{"method (calibrated on), scheme",
                                              "bits/weight",
                                              "perplexity",
                                              "mean cost, % [95 %]",
                                              "gap, points [95 %]",
                                              "ratio [95 %]",
                                              "Gini [95 %]",
                                              "worst",
                                              "mean: change",
                                              "p",
                                              "gap: change",
                                              "p"};
        std::vector<std::vector<std::string>> cells;
        for (compare_row const& row : rows)
            cells.push_back(
                {name_of(row, has_models), fmt::format("{:.3f}", row.bits),
                 fmt::format("{:.2f}", row.geomean), percent_text(row.costs.figure(mean_cost)),
                 percent_text(row.costs.figure(cost_gap)), ratio_text(row.costs.figure(cost_ratio)),
                 plain_text(row.costs.figure(cost_gini), 3),
                 languages[qtk::disparity_of(row.costs.whole).worst],
                 row.mean_change ? percent_text(*row.mean_change) : "",
                 row.mean_change ? p_text(row.p_mean) : "",
                 row.gap_change ? percent_text(*row.gap_change) : "",
                 row.gap_change ? p_text(row.p_gap) : ""});
        text_table table(header);
        for (auto const& row : cells) table.add(row);
        bool const all_paired = std::ranges::all_of(rows, &compare_row::is_paired);
        std::string const meaning = fmt::format(
            "Changes are from the first row of a model, of that row itself from the first of all, "
            "{}; "
            "p is two-sided and corrected for {} tests (Holm).",
            all_paired ? "paired by passage"
                       : "paired by passage within a model (models score other passages)",
            2 * (rows.size() - 1));
        fmt::print(human, "{}\n{}\n", table.str(), meaning);
        if (!options.study.output.json_target.empty()) {
            json list = json::array();
            for (compare_row const& row : rows) {
                json entry{{"model", row.model},
                           {"method", row.how.method},
                           {"scheme", row.how.scheme},
                           {"calibrated_on", row.calibrated},
                           {"bits_per_weight", row.bits},
                           {"ppl_geomean", row.geomean},
                           {"costs", costs_json(row.costs, languages)},
                           {"is_paired", row.is_paired}};
                if (row.mean_change) {
                    entry["mean_change"] = figure_json(*row.mean_change);
                    entry["gap_change"] = figure_json(*row.gap_change);
                    entry["p_mean_holm"] = row.p_mean;
                    entry["p_gap_holm"] = row.p_gap;
                }
                list.push_back(std::move(entry));
            }
            deliver(options.study.output.json_target,
                    json{{"schema", "qtk.fairness.compare/1"},
                         {"protocol", studies.front()->text().sentence},
                         {"calibration", calibrations},
                         {"seed", options.study.seed},
                         {"environment", environment::now().to_json()},
                         {"rows", list}});
        }
        if (options.study.report.empty()) return;
        fairness_report report("quant-fairness compare", *studies.front(), calibrations);
        report.page().table(header, cells);
        report.page().paragraph(meaning);
        std::vector<named_costs> models;
        heat_map map{"Cost of each language, %", "What the loss rises by.", {}, languages, {}};
        for (compare_row const& row : rows) {
            models.push_back({name_of(row, has_models), row.costs});
            map.rows.push_back(name_of(row, has_models));
            map.values.emplace_back();
            for (double const cost : row.costs.whole) map.values.back().push_back(100.0 * cost);
        }
        report.add_bars("Gap between languages", "points", cost_gap, models);
        report.add_bars("Mean cost", "%", mean_cost, models);
        report.page().heat_map(map);
        deliver(options.study.report, report.str());
    });
}

}  // namespace

void add_compare(CLI::App& program) {
    auto const options = std::make_shared<compare_options>();
    CLI::App* const command = program.add_subcommand(
        "compare", "models, schemes, methods and calibration languages in one table");
    options->study.add_to(*command, true);
    options->grid.add_to(*command);
    command
        ->add_option("--mixes", options->mixes,
                     "languages that methods calibrate on, each an entry of the table: all, or "
                     "LANG or LANG+LANG with weights LANG:2")
        ->delimiter(',')
        ->capture_default_str()
        ->type_name("LANG[+LANG]");
    command->callback([options] { run(*options); });
}

}  // namespace app
