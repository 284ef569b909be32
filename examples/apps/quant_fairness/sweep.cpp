// SPDX-License-Identifier: Apache-2.0
//
// quant-fairness sweep: what every layer costs alone, and what protecting it repairs, by language.
#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "commands.hpp"
#include "costs_output.hpp"
#include "fairness_report.hpp"
#include "search.hpp"
#include "sensitivity.hpp"
#include "study.hpp"
#include "terminal.hpp"
#include <cmath>
#include <memory>
#include <numbers>
#include <string>
#include <utility>
#include <vector>

namespace app {
namespace {

struct sweep_options {
    study_options study;
    quantization_grid grid{{"i4/g64/asym/f16"}, {"rtn"}};
    bool has_modules = false;
    std::size_t protect = 3;
};

/// Bits per byte and perplexity.
struct text_loss {
    double bits_per_byte = 0.0, perplexity = 0.0;
};
/// Of language l of the float model, or of one whose loss is higher by `cost`.
[[nodiscard]] text_loss loss_of(sensitivity const& s, study_text const& text, std::size_t l,
                                double cost = 0.0) {
    double const nll = qtk::sum(s.original[l]) * (1.0 + cost);
    qtk::passage_size const size = text.scored(l);
    return {nll / std::numbers::ln2 / static_cast<double>(size.bytes),
            std::exp(nll / static_cast<double>(size.tokens))};
}

/// Figures of costs with the losses that they stand for.
[[nodiscard]] json losses_json(sensitivity const& s, language_costs const& costs,
                               fairness_study const& study) {
    std::vector<std::string> const languages = study.language_names();
    json figures = costs_json(costs, languages);
    for (std::size_t l = 0; l < languages.size(); ++l) {
        text_loss const loss = loss_of(s, study.text(), l, costs.whole[l]);
        figures["ppl"][languages[l]] = loss.perplexity;
        figures["bits_per_byte"][languages[l]] = loss.bits_per_byte;
    }
    return figures;
}

[[nodiscard]] json parts_json(sensitivity const& s, fairness_study const& study,
                              std::vector<sensitivity::part_costs> const& parts) {
    json rows = json::array();
    for (auto const& part : parts)
        rows.push_back({{"layer", part.name},
                        {"only", losses_json(s, part.only, study)},
                        {"protected", losses_json(s, part.kept, study)},
                        {"p_above_mean_holm", part.p_above_mean}});
    return rows;
}

[[nodiscard]] json to_json(sensitivity const& s, fairness_study const& study,
                           std::vector<protected_set> const& suggested) {
    json sets = json::array();
    for (protected_set const& set : suggested)
        sets.push_back({{"layers", names_of(study.blocks(), set.parts)},
                        {"gap_left", set.figure},
                        {"mean_cost_left", set.mean},
                        {"search", set.search}});
    json before = json::object();
    for (std::size_t l = 0; l < s.original.size(); ++l) {
        text_loss const loss = loss_of(s, study.text(), l);
        before["ppl"][study.text().lines[l].language] = loss.perplexity;
        before["bits_per_byte"][study.text().lines[l].language] = loss.bits_per_byte;
    }
    return {{"method", s.how.method},
            {"scheme", s.how.scheme},
            {"bits_per_weight", s.bits},
            {"float", before},
            {"quantized", losses_json(s, s.quantized, study)},
            {"layers", parts_json(s, study, s.blocks)},
            {"module_kinds", parts_json(s, study, s.kinds)},
            {"modules", parts_json(s, study, s.modules)},
            {"protect", sets}};
}

void print_parts(std::FILE* human, std::vector<sensitivity::part_costs> const& parts,
                 std::vector<std::string> const& languages, char const* what) {
    if (parts.empty()) return;
    text_table table({what, "cost alone, % [95 %]", "p(>mean)", "worst",
                      "left when protected, % [95 %]", "gap then [95 %]"});
    for (auto const& part : parts)
        table.add({part.name, percent_text(part.only.figure(mean_cost)), p_text(part.p_above_mean),
                   languages[qtk::disparity_of(part.only.whole).worst],
                   percent_text(part.kept.figure(mean_cost)),
                   percent_text(part.kept.figure(cost_gap))});
    fmt::print(human, "{}\n", table.str());
}

void print(std::FILE* human, sensitivity const& s, fairness_study const& study,
           std::vector<protected_set> const& suggested) {
    std::vector<std::string> const languages = study.language_names();
    qtk::disparity const d = qtk::disparity_of(s.quantized.whole);
    fmt::print(human,
               "{}: {:.3f} bits a weight. The loss rises by {} % in the mean over languages.\n"
               "{} pays most, {} least: gap {} points, ratio {}, Gini {}.\n\n",
               s.how.name(), s.bits, percent_text(s.quantized.figure(mean_cost)),
               languages[d.worst], languages[d.best], percent_text(s.quantized.figure(cost_gap)),
               ratio_text(s.quantized.figure(cost_ratio)),
               plain_text(s.quantized.figure(cost_gini), 3));
    text_table table({"language", "bits/byte", "float", "perplexity", "float", "cost, % [95 %]"});
    for (std::size_t l = 0; l < languages.size(); ++l) {
        text_loss const before = loss_of(s, study.text(), l);
        text_loss const after = loss_of(s, study.text(), l, s.quantized.whole[l]);
        table.add({languages[l], fmt::format("{:.3f}", after.bits_per_byte),
                   fmt::format("{:.3f}", before.bits_per_byte),
                   fmt::format("{:.2f}", after.perplexity),
                   fmt::format("{:.2f}", before.perplexity), percent_text(s.quantized.of(l))});
    }
    fmt::print(human, "{}\n", table.str());
    print_parts(human, s.blocks, languages, "layer");
    print_parts(human, s.kinds, languages, "module");
    print_parts(human, s.modules, languages, "module");
    if (suggested.empty()) return;
    fmt::print(human, "To protect, by the gap that is left on this text (greedy):\n");
    for (protected_set const& set : suggested)
        fmt::print(human, "  {}: gap {:.2f} points, mean cost {:.2f} %\n",
                   names_of(study.blocks(), set.parts), 100.0 * set.figure, 100.0 * set.mean);
    fmt::print(human,
               "Chosen and measured on the same text: `quant-fairness recommend` searches further "
               "and verifies on held-out passages.\n\n");
}

void add_suggestion(fairness_report& report, quantization const& how, fairness_study const& study,
                    protection_search const& search, protected_set const& set) {
    report.add_recipe(
        how, study, qtk::without(study.everything(), search.mixture_of(set.parts)),
        fmt::format("Protecting {} leaves a gap of {:.2f} points and a mean cost of {:.2f} % on "
                    "this text, by which it was chosen ({}). quant-fairness recommend searches "
                    "further and verifies on held-out passages.",
                    names_of(study.blocks(), set.parts), 100.0 * set.figure, 100.0 * set.mean,
                    set.search));
}

void run(sweep_options const& options) {
    // Before anything is read.
    options.grid.require();
    run_study(options.study, text_split::whole, [&](study_list const& studies) {
        fairness_study const& study = *studies.front();
        std::FILE* const human = options.study.output.human();
        std::string const calibration = study.calibration_sentence(options.grid.methods);
        print_header(human, study, calibration);
        fmt::print(human,
                   "A protected layer takes back its float weights; calibrated methods quantize "
                   "every layer once, in order.\np(>mean): is a layer's cost above the mean "
                   "layer's? One-sided, corrected for their number (Holm). Intervals are not "
                   "corrected.\n\n");
        std::fflush(human);
        json rows = json::array();
        fairness_report report("quant-fairness sweep", study, calibration);
        for (std::string const& scheme : options.grid.schemes)
            for (std::string const& method : options.grid.methods) {
                quantization const how{method, scheme, {}, {}};
                sensitivity const s =
                    measure_sensitivity(study, how, options.has_modules, options.study.seed);
                protection_search const search(study, how, study.blocks(), cost_gap, 0, {});
                std::vector<protected_set> suggested;
                while (suggested.size() < std::min(options.protect, study.blocks().size()))
                    suggested.push_back(
                        search.grown(suggested.empty() ? protected_set{} : suggested.back()));
                print(human, s, study, suggested);
                std::fflush(human);
                // Thousands of intervals that nobody else reads.
                if (!options.study.output.json_target.empty())
                    rows.push_back(to_json(s, study, suggested));
                if (options.study.report.empty()) continue;
                report.add(s, study);
                if (!suggested.empty())
                    add_suggestion(report, how, study, search, suggested.back());
            }
        json head = report_head("qtk.fairness.sweep/2", study, calibration, options.study);
        head["rows"] = std::move(rows);
        deliver(options.study.output.json_target, head);
        if (!options.study.report.empty()) deliver(options.study.report, report.str());
    });
}

}  // namespace

void add_sweep(CLI::App& program) {
    auto const options = std::make_shared<sweep_options>();
    CLI::App* const command = program.add_subcommand(
        "sweep", "what every block costs alone, and what protecting it repairs, by language");
    options->study.add_to(*command);
    options->grid.add_to(*command);
    command->add_flag("--modules", options->has_modules,
                      "also every kind of module, and each module of each block");
    command
        ->add_option("--protect", options->protect,
                     "layers to suggest for protection at most; 0: none")
        ->capture_default_str();
    command->callback([options] { run(*options); });
}

}  // namespace app
