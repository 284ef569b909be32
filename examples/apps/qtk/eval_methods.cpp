// SPDX-License-Identifier: Apache-2.0
#include "eval_methods.hpp"

#include <qtk/calibration/method_spelling.hpp>
#include <qtk/stats/bootstrap.hpp>
#include <qtk/stats/rank_test.hpp>

#include <fmt/format.h>

#include "calibrated_model.hpp"
#include "environment.hpp"
#include "format_options.hpp"
#include "quality.hpp"
#include "terminal.hpp"
#include <functional>
#include <map>

namespace app {
namespace {

struct method_row {
    std::string method, format, scheme{};
    double bits_per_weight = 0.0;
    quality figures{};
    calibration_result calibration{};
    /// Over round to nearest in the same format, on the same windows.
    qtk::interval_estimate over_rtn{1.0, 1.0, 1.0};
    double p_value = 1.0;
};

/// The table that this program makes needs round to nearest first.
[[nodiscard]] std::vector<qtk::method_chain> parse_methods(std::vector<std::string> const& names) {
    std::vector<qtk::method_chain> methods{qtk::parse_method("rtn")};
    for (std::string const& name : names)
        if (name != "rtn") methods.push_back(qtk::parse_method(name));
    return methods;
}

void pair_with(method_row& row, method_row const& rtn, std::uint64_t seed) {
    auto const& a = row.figures.window_losses;
    auto const& b = rtn.figures.window_losses;
    row.over_rtn = qtk::paired_bootstrap(a, b, qtk::geometric_mean_perplexity{},
                                         std::divides<double>{}, {.seed = seed});
    std::vector<double> x, y;
    for (auto const& language : a) x.insert(x.end(), language.begin(), language.end());
    for (auto const& language : b) y.insert(y.end(), language.begin(), language.end());
    row.p_value = qtk::wilcoxon_signed_rank(x, y).p;
}

json to_json(method_row const& row) {
    json ppl = json::object();
    for (auto const& [language, estimate] : row.figures.perplexity)
        ppl[language] = interval_json(estimate);
    json notes = json::array();
    for (qtk::layer_outcome const& layer : row.calibration.layers)
        if (!layer.note.empty()) notes.push_back(layer.name + ": " + layer.note);
    json out{{"method", row.method},
             {"format", row.format},
             {"scheme", row.scheme},
             {"bits_per_weight", row.bits_per_weight},
             {"ppl", ppl},
             {"ppl_geomean", interval_json(row.figures.geomean)},
             {"over_rtn", interval_json(row.over_rtn)},
             {"p_value", row.p_value},
             {"kl", row.figures.divergence.kl},
             {"top1_agreement", row.figures.divergence.agreement},
             {"seconds", row.calibration.seconds},
             {"peak_memory_bytes", row.calibration.peak_bytes},
             {"notes", notes}};
    if (auto const error = row.calibration.output_error()) out["output_error"] = *error;
    return out;
}

void print(std::FILE* human, std::vector<method_row> const& rows) {
    text_table table({"method", "scheme", "bits/weight", "perplexity [95 %]", "over rtn [95 %]",
                      "p", "KL", "seconds", "peak MB"});
    for (method_row const& row : rows)
        table.add({row.method, row.scheme, fmt::format("{:.3f}", row.bits_per_weight),
                   interval_text(row.figures.geomean, 2), interval_text(row.over_rtn, 4),
                   fmt::format("{:.2g}", row.p_value),
                   fmt::format("{:.4f}", row.figures.divergence.kl),
                   fmt::format("{:.1f}", row.calibration.seconds),
                   fmt::format("{:.0f}", 1e-6 * static_cast<double>(row.calibration.peak_bytes))});
    fmt::print(human, "{}", table.str());
    for (method_row const& row : rows)
        for (qtk::layer_outcome const& layer : row.calibration.layers)
            if (!layer.note.empty())
                fmt::print(human, "{}, {}: {}\n", row.method, layer.name, layer.note);
}

}  // namespace

void run_methods(methods_options const& options) {
    options.text.require();
    options.calibration.require();
    std::vector<qtk::layer_format> const formats = parse_formats(options.formats);
    std::vector<qtk::method_chain> const methods = parse_methods(options.methods);
    qtk::layer_format const reference_format = parse_format(options.reference);
    language_model reference = language_model::open(options.model);
    evaluation_text const text = options.text.read(reference);
    calibration_text const seen = options.calibration.read(reference);
    reference.apply(reference_format);
    std::FILE* const human = options.output.human();
    fmt::print(human, "{}: {} linear layers, {} weights.\n{}\n{}\n\n", reference.name(),
               reference.layers(), with_commas(reference.weights()), text.sentence, seen.sentence);
    std::fflush(human);
    std::vector<method_row> rows;
    {
        progress_line const line;
        for (qtk::layer_format const& format : formats) {
            std::size_t const rtn = rows.size();
            for (qtk::method_chain const& method : methods) {
                std::string const label = method.name + ", " + format.name;
                language_model model = reference;
                method_row row{.method = method.name, .format = format.name};
                row.calibration =
                    calibrate(model, format, method, seen,
                              [&](std::string const& layer, std::size_t at, std::size_t total) {
                                  line.show(fmt::format("{}: layer {} of {}, {}", label, at + 1,
                                                        total, layer));
                              });
                row.scheme = qtk::to_string(*format.scheme);
                row.bits_per_weight = model.bits_per_weight();
                qtk::pack_layers(model.network(), row.calibration.layers);
                row.figures = measure_quality(
                    reference, model, text, options.seed, [&](std::size_t done, std::size_t total) {
                        line.show(fmt::format("{}: window {} of {}", label, done, total));
                    });
                if (rows.size() > rtn) pair_with(row, rows[rtn], options.seed);
                rows.push_back(std::move(row));
            }
        }
    }
    print(human, rows);
    json report{{"schema", "qtk.eval/1"},
                {"model", reference.name()},
                {"reference", options.reference},
                {"protocol", text.sentence},
                {"calibration", seen.sentence},
                {"seed", options.seed},
                {"environment", environment::now().to_json()},
                {"rows", json::array()}};
    std::string csv =
        "method,scheme,bits_per_weight,ppl_geomean,ppl_geomean_low,ppl_geomean_high,over_rtn,"
        "over_rtn_low,over_rtn_high,p_value,kl,seconds,peak_memory_bytes\n";
    for (method_row const& row : rows) {
        report["rows"].push_back(to_json(row));
        auto const& g = row.figures.geomean;
        csv +=
            fmt::format("{},{},{},{},{},{},{},{},{},{},{},{},{}\n", row.method, row.scheme,
                        row.bits_per_weight, g.value, g.low, g.high, row.over_rtn.value,
                        row.over_rtn.low, row.over_rtn.high, row.p_value, row.figures.divergence.kl,
                        row.calibration.seconds, row.calibration.peak_bytes);
    }
    if (!options.output.json_target.empty()) deliver(options.output.json_target, report);
    deliver(options.output.csv_target, csv);
}

}  // namespace app
