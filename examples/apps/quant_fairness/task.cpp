// SPDX-License-Identifier: Apache-2.0
//
// quant-fairness task: does what quantization costs in perplexity say what it costs in a task? The task is to choose,
// of four passages, the one that follows.
#include <qtk/stats/correlation.hpp>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "commands.hpp"
#include "costs_output.hpp"
#include "fairness_report.hpp"
#include "study.hpp"
#include "terminal.hpp"
#include <cmath>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace app {
namespace {

struct task_options {
    study_options study;
    quantization_grid grid{{"i3/g64/asym/f16"}, {"rtn"}};
};

/// A figure a language, of the whole text and of each resample.
using by_language = language_costs;

/// f(margin) on the scored passages after which there is a question, else 0: what can be drawn together with
/// their losses.
[[nodiscard]] passage_losses on_passages(std::vector<std::vector<double>> const& margins,
                                         fairness_study const& study,
                                         std::function<double(double)> const& f) {
    passage_losses values;
    for (std::size_t l = 0; l < margins.size(); ++l) {
        std::vector<double> by_line(study.text().languages[l].passages);
        auto const lines = study.question_lines(l);
        for (std::size_t i = 0; i < lines.size(); ++i) by_line[lines[i]] = f(margins[l][i]);
        values.emplace_back();
        for (std::size_t const p : study.text().scored_passages(l))
            values.back().push_back(by_line[p]);
    }
    return values;
}

/// f(sums of each list) by language and resample.
[[nodiscard]] by_language figures_of(qtk::resampling const& draws,
                                     std::vector<passage_losses> const& lists,
                                     std::function<double(std::vector<double> const&)> const& f) {
    std::vector<qtk::resampled_sums> sums;
    for (passage_losses const& list : lists) sums.push_back(draws.sums(list));
    auto const one = [&](auto const& of) {
        std::vector<double> figures;
        for (std::size_t l = 0; l < lists.front().size(); ++l) {
            std::vector<double> drawn;
            for (qtk::resampled_sums const& s : sums) drawn.push_back(of(s)[l]);
            figures.push_back(f(drawn));
        }
        return figures;
    };
    by_language result{one([](qtk::resampled_sums const& s) { return s.whole; }), {}};
    for (std::size_t r = 0; r < cost_baseline::resamples; ++r)
        result.resamples.push_back(
            one([r](qtk::resampled_sums const& s) { return s.resamples[r]; }));
    return result;
}

/// One quantized model.
struct task_result {
    quantization how;
    by_language cost, accuracy, accuracy_drop, margin_drop;
};

/// The correlation over the languages of all models together, in each resample.
[[nodiscard]] qtk::resampled_figure correlation(
    std::vector<task_result> const& models, by_language task_result::*drop,
    std::function<double(std::vector<double> const&, std::vector<double> const&)> const& f) {
    auto const pooled = [&](auto const& of) {
        std::vector<double> costs, drops;
        for (task_result const& model : models) {
            auto const &c = of(model.cost), &d = of(model.*drop);
            costs.insert(costs.end(), c.begin(), c.end());
            drops.insert(drops.end(), d.begin(), d.end());
        }
        // Where nothing varies, nothing is known: not a sign of a rise.
        double const found = f(costs, drops);
        return std::isnan(found) ? 0.0 : found;
    };
    qtk::resampled_figure result{
        pooled([](by_language const& figure) -> auto const& { return figure.whole; }), {}};
    for (std::size_t r = 0; r < cost_baseline::resamples; ++r)
        result.resamples.push_back(
            pooled([r](by_language const& figure) -> auto const& { return figure.resamples[r]; }));
    return result;
}
[[nodiscard]] double rank_correlation(std::vector<double> const& a, std::vector<double> const& b) {
    return qtk::spearman(a, b);
}

[[nodiscard]] std::string verdict_on(qtk::resampled_figure const& r, char const* what) {
    qtk::interval_estimate const e = r.interval();
    char const* const meaning = e.low > 0.0    ? "they rise together"
                                : e.high < 0.0 ? "one falls as the other rises"
                                               : "no relation can be told";
    return fmt::format("{} against the cost in loss: Spearman's correlation {}, {}.", what,
                       interval_text(e, 2), meaning);
}

void run(task_options const& options) {
    options.grid.require();
    run_study(options.study, text_split::whole, [&](study_list const& studies) {
        fairness_study const& study = *studies.front();
        std::FILE* const human = options.study.output.human();
        std::vector<std::string> const languages = study.language_names();
        if (languages.size() < 3)
            throw qtk::value_error(fmt::format(
                "task: expected 3 languages or more to correlate, found {}", languages.size()));
        std::string const calibration = study.calibration_sentence(options.grid.methods);
        print_header(human, study, calibration);
        fmt::print(human,
                   "Task: which of 4 passages follows? {} questions in {}, chosen by the mean "
                   "likelihood of a token. Chance is 25 %.\nPassages are drawn with their "
                   "questions.\n\n",
                   study.question_lines(0).size(), languages[0]);
        std::fflush(human);
        std::vector<std::size_t> passages;
        for (std::size_t l = 0; l < languages.size(); ++l)
            passages.push_back(study.text().scored_passages(l).size());
        qtk::resampling const draws(
            passages, {.resamples = cost_baseline::resamples, .seed = options.study.seed});
        auto const is_right = [](double margin) { return margin >= 0.0 ? 1.0 : 0.0; };
        // A draw of passages without a question says nothing, and counts as no change.
        auto const share = [](std::vector<double> const& s) {
            return s[1] > 0.0 ? s[0] / s[1] : 0.0;
        };
        auto const drop = [](std::vector<double> const& s) {
            return s[2] > 0.0 ? (s[0] - s[1]) / s[2] : 0.0;
        };
        std::vector<task_result> models;
        by_language before;
        for (std::string const& scheme : options.grid.schemes)
            for (std::string const& method : options.grid.methods) {
                quantization const how{method, scheme, {}, {}};
                auto const losses = study.losses(how, {study.nothing(), study.everything()});
                auto const original = study.margins(how, study.nothing());
                auto const margins = study.margins(how, study.everything());
                auto const same = [](double m) { return m; };
                passage_losses const asked =
                    on_passages(original, study, [](double) { return 1.0; });
                passage_losses const right_before = on_passages(original, study, is_right),
                                     right = on_passages(margins, study, is_right);
                before = figures_of(draws, {right_before, asked}, share);
                models.push_back({how,
                                  figures_of(draws, {losses[1], losses[0]},
                                             [](std::vector<double> const& s) {
                                                 return qtk::relative_increase(s[0], s[1]);
                                             }),
                                  figures_of(draws, {right, asked}, share),
                                  figures_of(draws, {right_before, right, asked}, drop),
                                  figures_of(draws,
                                             {on_passages(original, study, same),
                                              on_passages(margins, study, same), asked},
                                             drop)});
                task_result const& m = models.back();
                text_table table({"language", "cost in loss, % [95 %]", "float, % right",
                                  "quantized, % right", "fewer right, points [95 %]",
                                  "margin lost, nats [95 %]"});
                for (std::size_t l = 0; l < languages.size(); ++l)
                    table.add({languages[l], percent_text(m.cost.of(l)),
                               fmt::format("{:.1f}", 100.0 * before.whole[l]),
                               fmt::format("{:.1f}", 100.0 * m.accuracy.whole[l]),
                               percent_text(m.accuracy_drop.of(l)),
                               plain_text(m.margin_drop.of(l), 3)});
                fmt::print(human, "{}:\n{}", how.name(), table.str());
                for (auto const& [what, which] :
                     {std::pair("Fewer right answers", &task_result::accuracy_drop),
                      std::pair("Lost margin", &task_result::margin_drop)})
                    fmt::print(human, "{}\n",
                               verdict_on(correlation({m}, which, rank_correlation), what));
                fmt::print(human, "\n");
                std::fflush(human);
            }
        std::vector<std::string> verdicts;
        for (auto const& [what, which] :
             {std::pair("Fewer right answers", &task_result::accuracy_drop),
              std::pair("Lost margin", &task_result::margin_drop)})
            verdicts.push_back(verdict_on(correlation(models, which, rank_correlation), what));
        if (models.size() > 1)
            fmt::print(human, "All {} models and {} languages together:\n{}\n{}\n", models.size(),
                       languages.size(), verdicts[0], verdicts[1]);
        if (!options.study.output.json_target.empty()) {
            json rows = json::array();
            auto const each = [&](by_language const& f) {
                json all = json::object();
                for (std::size_t l = 0; l < languages.size(); ++l)
                    all[languages[l]] = figure_json(f.of(l));
                return all;
            };
            for (task_result const& m : models)
                rows.push_back(
                    {{"method", m.how.method},
                     {"scheme", m.how.scheme},
                     {"cost", each(m.cost)},
                     {"accuracy", each(m.accuracy)},
                     {"accuracy_drop", each(m.accuracy_drop)},
                     {"margin_drop", each(m.margin_drop)},
                     {"spearman_accuracy",
                      figure_json(correlation({m}, &task_result::accuracy_drop, rank_correlation))},
                     {"spearman_margin",
                      figure_json(correlation({m}, &task_result::margin_drop, rank_correlation))}});
            json head = report_head("qtk.fairness.task/1", study, calibration, options.study);
            head.update(
                {{"float_accuracy", each(before)},
                 {"spearman_accuracy",
                  figure_json(correlation(models, &task_result::accuracy_drop, rank_correlation))},
                 {"spearman_margin",
                  figure_json(correlation(models, &task_result::margin_drop, rank_correlation))},
                 {"rows", rows}});
            deliver(options.study.output.json_target, head);
        }
        if (options.study.report.empty()) return;
        fairness_report report("quant-fairness task", study, calibration);
        report.page().paragraph(
            "The task: which of four passages follows, by the mean likelihood of a token.");
        report.page().list(verdicts);
        for (task_result const& m : models) {
            report.page().heading(m.how.name());
            report.add_languages("Cost in loss", m.cost, languages);
            report.add_bars_of("Fewer right answers", "percentage points", m.accuracy_drop,
                               languages);
            report.page().list(
                {verdict_on(correlation({m}, &task_result::accuracy_drop, rank_correlation),
                            "Fewer right answers"),
                 verdict_on(correlation({m}, &task_result::margin_drop, rank_correlation),
                            "Lost margin")});
        }
        deliver(options.study.report, report.str());
    });
}

}  // namespace

void add_task(CLI::App& program) {
    auto const options = std::make_shared<task_options>();
    options->study.text.windows = "all";
    CLI::App* const command = program.add_subcommand(
        "task", "does the cost in perplexity predict the cost in choosing the next passage?");
    options->study.add_to(*command);
    options->grid.add_to(*command);
    command->callback([options] { run(*options); });
}

}  // namespace app
