// SPDX-License-Identifier: Apache-2.0
//
// qtk eval: how good is a model in each format? qtk compare: is one format better than another?
#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "calibrated_model.hpp"
#include "commands.hpp"
#include "common_options.hpp"
#include "environment.hpp"
#include "eval_methods.hpp"
#include "evaluation_text.hpp"
#include "format_options.hpp"
#include "language_model.hpp"
#include "output.hpp"
#include "quality.hpp"
#include "terminal.hpp"
#include <algorithm>
#include <memory>
#include <string>
#include <vector>

namespace app {
namespace {

struct eval_options {
    std::string model = QTK_DATA_DIR "/polyglot-llama", reference = "fp32";
    head_option head;
    std::vector<std::string> formats{"fp32", "fp16", "w8a8", "llm_int8", "w4a8", "w4", "w3"};
    std::vector<std::string> kv{"fp32"};
    text_options text;
    output_options output;
    std::uint64_t seed = 0;
    bool has_simulation = false, has_passages = false;
    std::vector<std::string> methods;
    calibration_options calibration;
};

struct eval_row {
    std::string format;
    qtk::kv_format kv;
    double kv_bytes = 0.0;  ///< of a token
    double bits_per_weight = 0.0;
    quality figures;
    std::optional<double> outliers;
    /// Packed against simulated: ratio of the perplexities and largest difference of logits.
    std::optional<std::pair<double, double>> simulation;
};

json to_json(eval_row const& row) {
    json ppl = json::object();
    for (auto const& [language, estimate] : row.figures.perplexity)
        ppl[language] = interval_json(estimate);
    json out{{"format", row.format},
             {"kv", to_string(row.kv)},
             {"kv_bytes_per_token", row.kv_bytes},
             {"bits_per_weight", row.bits_per_weight},
             {"ppl", ppl},
             {"ppl_geomean", interval_json(row.figures.geomean)},
             {"ratio", interval_json(row.figures.ratio)},
             {"p_value", row.figures.p_value},
             {"kl", row.figures.divergence.kl},
             {"top1_agreement", row.figures.divergence.agreement},
             {"largest_logit_difference", row.figures.divergence.largest_difference}};
    if (row.figures.next_passage) out["next_passage_accuracy"] = *row.figures.next_passage;
    if (row.outliers) out["outlier_columns"] = *row.outliers;
    if (row.simulation)
        out["packed_over_simulated"] = {{"ppl_ratio", row.simulation->first},
                                        {"largest_logit_difference", row.simulation->second}};
    return out;
}

void print(std::FILE* human, std::vector<eval_row> const& rows, eval_options const& options) {
    std::vector<std::string> header{
        "format", "bits/weight", "perplexity [95 %]", "over " + options.reference, "p",
        "KL",     "top-1"};
    bool const has_kv = std::ranges::any_of(
        rows, [](eval_row const& row) { return row.kv.storage != qtk::kv_storage::f32; });
    if (has_kv) header.insert(header.end(), {"keys and values", "bytes/token"});
    if (options.has_passages) header.push_back("next passage");
    if (options.has_simulation) header.push_back("packed/simulated");
    text_table table(header);
    for (eval_row const& row : rows) {
        quality const& q = row.figures;
        std::vector<std::string> cells{row.format,
                                       fmt::format("{:.3f}", row.bits_per_weight),
                                       interval_text(q.geomean, 2),
                                       interval_text(q.ratio, 4),
                                       fmt::format("{:.2g}", q.p_value),
                                       fmt::format("{:.5f}", q.divergence.kl),
                                       fmt::format("{:.1f} %", 100.0 * q.divergence.agreement)};
        if (has_kv) {
            cells.push_back(to_string(row.kv));
            cells.push_back(fmt::format("{:.0f}", row.kv_bytes));
        }
        if (options.has_passages)
            cells.push_back(fmt::format("{:.1f} %", 100.0 * q.next_passage.value_or(0.0)));
        if (options.has_simulation)
            cells.push_back(row.simulation ? fmt::format("{:.5f}", row.simulation->first)
                                           : std::string("-"));
        table.add(cells);
    }
    fmt::print(human, "{}", table.str());
    for (eval_row const& row : rows)
        if (row.outliers)
            fmt::print(human, "\n{}: {:.2f} % of the columns of activations were outliers.\n",
                       row.format, 100.0 * *row.outliers);
}

/// Throws qtk::value_error for an unknown format, and for passages, which are read through floats.
std::vector<qtk::kv_format> parse_caches(eval_options const& options) {
    std::vector<qtk::kv_format> caches;
    for (std::string const& text : options.kv) caches.push_back(qtk::parse_kv_format(text));
    if (caches.empty()) throw qtk::value_error("--kv: expected at least one format");
    if (options.has_passages && (caches.size() > 1 || caches[0] != qtk::kv_format{}))
        throw qtk::value_error("--next-passage reads passages with keys and values in fp32");
    return caches;
}

void run_eval(eval_options const& options) {
    if (!options.methods.empty()) {
        if (options.has_simulation || options.has_passages || !options.head.text.empty())
            throw qtk::value_error(
                "--methods: not together with --simulate, --next-passage or --head");
        return run_methods({.model = options.model,
                            .reference = options.reference,
                            .formats = options.formats,
                            .methods = options.methods,
                            .text = options.text,
                            .calibration = options.calibration,
                            .output = options.output,
                            .seed = options.seed});
    }
    options.text.require();
    auto const formats = parse_formats(options.formats);
    auto const head = options.head.parse();
    auto const caches = parse_caches(options);
    qtk::layer_format const reference_format = parse_format(options.reference);

    language_model reference = language_model::open(options.model);
    evaluation_text const text = options.text.read(reference);
    reference.apply(reference_format);
    std::FILE* const human = options.output.human();
    fmt::print(human, "{}: {} linear layers, {} weights.\n{}\n\n", reference.name(),
               reference.layers(), with_commas(reference.weights()), text.sentence);
    std::fflush(human);
    std::vector<eval_row> rows;
    {
        progress_line const line;
        for (qtk::layer_format const& format : formats) {
            std::string const label = fmt::format("[{}/{}] {}", rows.size() / caches.size() + 1,
                                                  formats.size(), format.name);
            line.show(label + ": quantizing");
            language_model model = reference;
            model.apply(format, head);
            auto const show = [&](std::size_t done, std::size_t total) {
                line.show(fmt::format("{}: window {} of {}", label, done, total));
            };
            for (qtk::kv_format const& kv : caches) {
                eval_row row{format.name,
                             kv,
                             qtk::kv_bytes_per_token(model.network().config(), kv),
                             model.bits_per_weight(),
                             measure_quality(reference, model, text, options.seed, show, kv),
                             model.outlier_fraction(),
                             {}};
                if (options.has_passages)
                    row.figures.next_passage = next_passage_accuracy(model, options.text);
                if (options.has_simulation && format.scheme && !format.is_simulated) {
                    language_model simulated = reference;
                    simulated.apply(qtk::parse_layer_format("sim:" + format.name), head);
                    quality const q = measure_quality(simulated, model, text, options.seed, show);
                    row.simulation = {q.ratio.value, q.divergence.largest_difference};
                }
                rows.push_back(std::move(row));
            }
        }
    }
    print(human, rows, options);
    json report{{"schema", "qtk.eval/1"},         {"model", reference.name()},
                {"reference", options.reference}, {"protocol", text.sentence},
                {"seed", options.seed},           {"environment", environment::now().to_json()},
                {"rows", json::array()}};
    std::string csv =
        "format,kv,bits_per_weight,ppl_geomean,ppl_geomean_low,ppl_geomean_high,ratio,ratio_low,"
        "ratio_high,p_value,kl,top1_agreement\n";
    for (eval_row const& row : rows) {
        report["rows"].push_back(to_json(row));
        quality const& q = row.figures;
        csv += fmt::format("{},{},{},{},{},{},{},{},{},{},{},{}\n", row.format, to_string(row.kv),
                           row.bits_per_weight, q.geomean.value, q.geomean.low, q.geomean.high,
                           q.ratio.value, q.ratio.low, q.ratio.high, q.p_value, q.divergence.kl,
                           q.divergence.agreement);
    }
    if (!options.output.json_target.empty()) deliver(options.output.json_target, report);
    deliver(options.output.csv_target, csv);
}

struct compare_options {
    std::string model = QTK_DATA_DIR "/polyglot-llama", a, b;
    head_option head;
    text_options text;
    output_options output;
    std::uint64_t seed = 0;
};

void run_compare(compare_options const& options) {
    options.text.require();
    qtk::layer_format const a = parse_format(options.a), b = parse_format(options.b);
    auto const head = options.head.parse();
    language_model first = language_model::open(options.model);
    evaluation_text const text = options.text.read(first);
    language_model second = first;
    first.apply(a, head);
    second.apply(b, head);
    std::FILE* const human = options.output.human();
    quality q;
    {
        progress_line const line;
        q = measure_quality(first, second, text, options.seed, [&](std::size_t i, std::size_t n) {
            line.show(fmt::format("window {} of {}", i, n));
        });
    }
    auto const verdict = q.ratio.high < 1.0  ? options.b + " is better"
                         : q.ratio.low > 1.0 ? options.a + " is better"
                                             : std::string("no difference can be told");
    fmt::print(human,
               "{}\n\nPerplexity of {} over that of {}, paired over windows: {}; Wilcoxon's p = "
               "{:.2g}: {}.\n{} has {:.3f} bits a weight, {} {:.3f}. KL divergence from {}: {:.5f} "
               "nats a token; the most likely token is the same in {:.2f} %.\n",
               text.sentence, options.b, options.a, interval_text(q.ratio, 4), q.p_value, verdict,
               options.a, first.bits_per_weight(), options.b, second.bits_per_weight(), options.a,
               q.divergence.kl, 100.0 * q.divergence.agreement);
    if (options.output.json_target.empty()) return;
    deliver(options.output.json_target, json{{"schema", "qtk.compare/1"},
                                             {"model", first.name()},
                                             {"a", options.a},
                                             {"b", options.b},
                                             {"protocol", text.sentence},
                                             {"seed", options.seed},
                                             {"ppl_geomean_b", interval_json(q.geomean)},
                                             {"ratio_b_over_a", interval_json(q.ratio)},
                                             {"p_value", q.p_value},
                                             {"kl", q.divergence.kl},
                                             {"top1_agreement", q.divergence.agreement},
                                             {"bits_per_weight_a", first.bits_per_weight()},
                                             {"bits_per_weight_b", second.bits_per_weight()},
                                             {"verdict", verdict},
                                             {"environment", environment::now().to_json()}});
}

}  // namespace

void add_eval(CLI::App& program) {
    auto const options = std::make_shared<eval_options>();
    CLI::App& command = *program.add_subcommand(
        "eval", "Perplexity, divergence and agreement of a model in several formats");
    command.add_option("--model", options->model, "Hugging Face folder or GGUF file")
        ->capture_default_str()
        ->type_name("MODEL");
    command.add_option("--formats", options->formats, format_help)
        ->delimiter(',')
        ->capture_default_str()
        ->type_name("FORMAT");
    command.add_option("--reference", options->reference, "the format that others are measured by")
        ->capture_default_str()
        ->type_name("FORMAT");
    options->head.add_to(command);
    command
        .add_option("--kv", options->kv,
                    "keys and values: every format with each of these, read token by token")
        ->delimiter(',')
        ->capture_default_str()
        ->type_name("KV");
    options->text.add_to(command);
    command.add_option("--methods", options->methods, method_help)
        ->delimiter(',')
        ->type_name("METHOD");
    options->calibration.add_to(command);
    command.add_flag("--simulate", options->has_simulation,
                     "also run each format simulated in floats and show how far packed is from it");
    command.add_flag("--next-passage", options->has_passages,
                     "also let the model choose the next line of the embedded corpus");
    command.add_option("--seed", options->seed, "of the bootstrap")->capture_default_str();
    options->output.add_to(command);
    add_threads(command);
    command.callback([options] { run_eval(*options); });
}

void add_compare(CLI::App& program) {
    auto const options = std::make_shared<compare_options>();
    CLI::App& command = *program.add_subcommand(
        "compare", "Two formats of a model, paired over windows, with interval and p-value");
    command.add_option("a", options->a, format_help)->required()->type_name("FORMAT");
    command.add_option("b", options->b, "the other format")->required()->type_name("FORMAT");
    command.add_option("--model", options->model, "Hugging Face folder or GGUF file")
        ->capture_default_str()
        ->type_name("MODEL");
    options->head.add_to(command);
    options->text.add_to(command);
    command.add_option("--seed", options->seed, "of the bootstrap")->capture_default_str();
    options->output.add_to(command);
    add_threads(command);
    command.callback([options] { run_compare(*options); });
}

}  // namespace app
