// SPDX-License-Identifier: Apache-2.0
#include "sweep.hpp"

#include <qtk/calibration/method_spelling.hpp>
#include <qtk/calibration/quantize_model.hpp>
#include <qtk/eval/layer_sweep.hpp>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "calibrated_model.hpp"
#include "calibration_text.hpp"
#include "common_options.hpp"
#include "costs.hpp"
#include "environment.hpp"
#include "evaluation_text.hpp"
#include "format_options.hpp"
#include "language_model.hpp"
#include "output.hpp"
#include "terminal.hpp"
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace app {
namespace {

struct sweep_options {
    std::string model = QTK_DATA_DIR "/polyglot-llama";
    std::vector<std::string> schemes{"i4/g64/asym/f16"}, methods{"rtn"};
    std::uint64_t seed = 0;
    text_options text;
    calibration_options calibration;
    output_options output;
};

/// One method in one format.
struct sweep_result {
    std::string method, scheme;
    qtk::layer_sweep losses;
};

[[nodiscard]] json losses_json(losses of, losses original, std::uint64_t seed) {
    json out{{"ppl", json::object()},
             {"ppl_geomean", qtk::geomean_perplexity(of)},
             {"cost", json::object()}};
    std::vector<double> const costs = costs_of(of, original);
    for (std::size_t s = 0; s < of.size(); ++s) {
        out["ppl"][of[s].language] = of[s].perplexity();
        out["cost"][of[s].language] = costs[s];
    }
    qtk::disparity const d = qtk::disparity_of(costs);
    out["mean_cost"] = interval_json(estimate_of(of, original, seed, mean_cost{}));
    out["gap"] = interval_json(estimate_of(of, original, seed, cost_gap{}));
    out["gini"] = interval_json(estimate_of(of, original, seed, cost_gini{}));
    out["ratio"] = d.ratio ? json(*d.ratio) : json();
    out["worst"] = of[d.worst].language;
    out["best"] = of[d.best].language;
    return out;
}

[[nodiscard]] json to_json(sweep_result const& r, std::uint64_t seed) {
    json layers = json::array();
    for (std::size_t i = 0; i < r.losses.only.size(); ++i)
        layers.push_back({{"layer", i},
                          {"only", losses_json(r.losses.only[i], r.losses.original, seed)},
                          {"protected", losses_json(r.losses.kept[i], r.losses.original, seed)}});
    return {{"method", r.method},
            {"scheme", r.scheme},
            {"quantized", losses_json(r.losses.quantized, r.losses.original, seed)},
            {"layers", layers}};
}

[[nodiscard]] std::string percent_text(qtk::interval_estimate const& e) {
    return fmt::format("{:.2f} [{:.2f}, {:.2f}]", 100.0 * e.value, 100.0 * e.low, 100.0 * e.high);
}

void print(std::FILE* human, sweep_result const& r, std::uint64_t seed) {
    losses const original = r.losses.original, all = r.losses.quantized;
    std::vector<double> const costs = costs_of(all, original);
    qtk::disparity const d = qtk::disparity_of(costs);
    fmt::print(human, "{}, {}: the loss rises by {} % in the mean over languages.\n", r.method,
               r.scheme, percent_text(estimate_of(all, original, seed, mean_cost{})));
    fmt::print(human, "{} pays most ({:.2f} %), {} least ({:.2f} %): gap {} points, Gini {}.\n\n",
               all[d.worst].language, 100.0 * costs[d.worst], all[d.best].language,
               100.0 * costs[d.best], percent_text(estimate_of(all, original, seed, cost_gap{})),
               interval_text(estimate_of(all, original, seed, cost_gini{}), 3));
    text_table table({"layer", "cost alone, % [95 %]", "worst", "left when protected, % [95 %]",
                      "gap then [95 %]"});
    for (std::size_t i = 0; i < r.losses.only.size(); ++i) {
        losses const only = r.losses.only[i], kept = r.losses.kept[i];
        table.add({fmt::format("L{}", i),
                   percent_text(estimate_of(only, original, seed, mean_cost{})),
                   only[qtk::disparity_of(costs_of(only, original)).worst].language,
                   percent_text(estimate_of(kept, original, seed, mean_cost{})),
                   percent_text(estimate_of(kept, original, seed, cost_gap{}))});
    }
    fmt::print(human, "{}\n", table.str());
}

void run(sweep_options const& options) {
    options.text.require();
    options.calibration.require();
    std::vector<qtk::layer_format> const formats = parse_formats(options.schemes);
    std::vector<qtk::method_chain> methods;
    for (std::string const& name : options.methods) methods.push_back(qtk::parse_method(name));
    language_model original = language_model::open(options.model);
    evaluation_text const text = options.text.read(original);
    calibration_text const seen = options.calibration.read(original);
    original.apply(parse_format("fp32"));
    std::FILE* const human = options.output.human();
    fmt::print(human,
               "{}: {} blocks, {} linear layers.\n{}\n{}\nCosts are increases of the loss "
               "relative to the float model's. Intervals draw windows within each language, "
               "and are not corrected for the number of layers.\n\n",
               original.name(), original.network().block_count(), original.layers(), text.sentence,
               seen.sentence);
    std::fflush(human);
    json rows = json::array();
    for (qtk::layer_format const& format : formats)
        for (qtk::method_chain const& method : methods) {
            sweep_result result{
                method.name, qtk::to_string(format.scheme.value_or(qtk::scheme{})), {}};
            {
                progress_line const line;
                std::string const label = method.name + ", " + format.name;
                language_model quantized = original;
                auto const outcome =
                    calibrate(quantized, format, method, seen,
                              [&](std::string const& layer, std::size_t at, std::size_t total) {
                                  line.show(fmt::format("{}: layer {} of {}, {}", label, at + 1,
                                                        total, layer));
                              });
                qtk::pack_layers(quantized.network(), outcome.layers);
                result.losses = qtk::sweep_layers(
                    original.network(), quantized.network(), text.corpus, text.protocol,
                    [&](std::size_t done, std::size_t total) {
                        line.show(fmt::format("{}: window {} of {}", label, done, total));
                    });
            }
            print(human, result, options.seed);
            std::fflush(human);
            // Hundreds of intervals that nobody else reads.
            if (!options.output.json_target.empty()) rows.push_back(to_json(result, options.seed));
        }
    deliver(options.output.json_target, json{{"schema", "qtk.fairness.sweep/1"},
                                             {"model", original.name()},
                                             {"protocol", text.sentence},
                                             {"calibration", seen.sentence},
                                             {"seed", options.seed},
                                             {"environment", environment::now().to_json()},
                                             {"rows", rows}});
}

}  // namespace

void add_sweep(CLI::App& program) {
    auto const options = std::make_shared<sweep_options>();
    CLI::App* const command = program.add_subcommand(
        "sweep", "what every block costs alone, and what protecting it repairs, by language");
    command->add_option("--model", options->model, "folder or GGUF file")->capture_default_str();
    command->add_option("--schemes", options->schemes, "formats with codes")
        ->delimiter(',')
        ->capture_default_str();
    command->add_option("--methods", options->methods, method_help)
        ->delimiter(',')
        ->capture_default_str();
    command->add_option("--seed", options->seed, "of the intervals")->capture_default_str();
    options->text.add_to(*command);
    options->calibration.add_to(*command);
    command->add_flag("--json{-}", options->output.json_target,
                      "every figure as JSON, to standard output or --json=FILE");
    add_threads(*command);
    command->callback([options] { run(*options); });
}

}  // namespace app
