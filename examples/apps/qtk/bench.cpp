// SPDX-License-Identifier: Apache-2.0
//
// qtk bench: how fast does a model run in each format? Formats take turns, so that a machine that slows
// down slows them all; every figure has its standard deviation beside it.
#include "bench.hpp"

#include <qtk/core/random.hpp>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "commands.hpp"
#include "common_options.hpp"
#include "environment.hpp"
#include "format_options.hpp"
#include "generation.hpp"
#include "language_model.hpp"
#include "output.hpp"
#include "terminal.hpp"
#include <memory>
#include <string>
#include <vector>

namespace app {
namespace {

struct bench_row {
    qtk::layer_format format;
    language_model model;
    std::vector<double> prefill, first_token_ms, decode;  // one value a run
    std::size_t kv_bytes = 0;
};

/// Bytes that one new token reads at least: weights and, in the middle of the text, the cache.
double bytes_of_token(bench_row const& row, bench_options const& options) {
    double const capacity = static_cast<double>(options.prompt_tokens + options.new_tokens);
    double const seen =
        static_cast<double>(options.prompt_tokens) + 0.5 * static_cast<double>(options.new_tokens);
    return static_cast<double>(row.model.bytes_per_token()) +
           static_cast<double>(row.kv_bytes) * seen / capacity;
}

void measure(bench_row& row, std::vector<std::int32_t> const& prompt, bench_options const& options,
             qtk::kv_format const& kv, bool counts) {
    generation_options const how{
        .tokens = options.new_tokens, .sampling = {}, .kv = kv, .stop = {}};
    generation const made = generate(row.model.network(), prompt, how);
    row.kv_bytes = made.kv_bytes;
    if (!counts) return;
    row.prefill.push_back(made.prefill_rate());
    row.first_token_ms.push_back(1e3 * made.prefill_seconds);
    if (made.decoded > 0) row.decode.push_back(made.decode_rate());
}

void run(bench_options const& options) {
    if (options.runs == 0 || options.prompt_tokens == 0 || options.new_tokens < 2)
        throw qtk::value_error("bench: expected a run, a prompt token and 2 new tokens");
    if (options.device == "cuda") return run_on_device(options);
    auto const formats = parse_formats(options.formats);
    auto const head = options.head.parse();
    qtk::kv_format const kv = options.kv.parse();

    progress_line const line;
    line.show("loading");
    language_model const base = options.synthetic.empty()
                                    ? language_model::open(options.model)
                                    : language_model::synthetic(options.synthetic);
    std::vector<bench_row> rows;
    for (qtk::layer_format const& format : formats) {
        line.show("quantizing to " + format.name);
        rows.push_back({format, base, {}, {}, {}});
        rows.back().model.apply(format, head);
    }
    std::vector<std::int32_t> prompt(options.prompt_tokens);
    qtk::splitmix64 random(7);
    for (std::int32_t& token : prompt)
        token = static_cast<std::int32_t>(random() % base.network().config().vocabulary);
    line.show("measuring the bandwidth of the memory");
    environment const where = environment::now();
    double const bandwidth = read_bandwidth(where.threads);
    for (std::size_t i = 0; i < options.warmup + options.runs; ++i)
        for (bench_row& row : rows) {
            line.show(fmt::format("run {} of {}: {}", i + 1, options.warmup + options.runs,
                                  row.format.name));
            measure(row, prompt, options, kv, i >= options.warmup);
        }
    line.clear();

    double const token_bytes = qtk::kv_bytes_per_token(base.network().config(), kv);
    std::FILE* const human = options.output.human();
    fmt::print(human,
               "{}: {} parameters, prompt of {} tokens, {} new tokens, {} runs after {}, batch 1, "
               "cache {} ({:.0f} bytes a token).\n{}\nMemory is read at {:.1f} GB/s; \"of limit\" "
               "is the time that the bytes "
               "of a token take at that rate over the time it took.\n\n",
               base.name(), with_commas(base.parameters()), options.prompt_tokens,
               options.new_tokens, options.runs, options.warmup, to_string(kv), token_bytes,
               where.describe(), bandwidth * 1e-9);
    text_table table({"format", "bits/weight", "layers MB", "MB/token", "prefill tokens/s",
                      "first token ms", "decode tokens/s", "of limit"});
    json report{{"schema", "qtk.bench/1"},           {"model", base.name()},
                {"parameters", base.parameters()},   {"prompt_tokens", options.prompt_tokens},
                {"new_tokens", options.new_tokens},  {"kv", to_string(kv)},
                {"kv_bytes_per_token", token_bytes}, {"read_bandwidth", bandwidth},
                {"environment", where.to_json()},    {"rows", json::array()}};
    std::string csv =
        "format,bits_per_weight,layer_bytes,bytes_per_token,prefill_mean,prefill_sd,"
        "first_token_ms_mean,first_token_ms_sd,decode_mean,decode_sd,of_limit\n";
    for (bench_row const& row : rows) {
        spread const prefill(row.prefill), first(row.first_token_ms), decode(row.decode);
        double const bytes = bytes_of_token(row, options);
        double const of_limit = decode.mean * bytes / bandwidth;
        table.add({row.format.name, fmt::format("{:.3f}", row.model.bits_per_weight()),
                   fmt::format("{:.1f}", 1e-6 * static_cast<double>(row.model.layer_bytes())),
                   fmt::format("{:.1f}", 1e-6 * bytes), prefill.text(0), first.text(1),
                   decode.text(1), fmt::format("{:.0f} %", 100.0 * of_limit)});
        json figures{{"format", row.format.name},
                     {"bits_per_weight", row.model.bits_per_weight()},
                     {"layer_bytes", row.model.layer_bytes()},
                     {"model_bytes", row.model.model_bytes()},
                     {"kv_bytes", row.kv_bytes},
                     {"bytes_per_token", bytes},
                     {"prefill_tokens_per_second", prefill.to_json(row.prefill)},
                     {"first_token_ms", first.to_json(row.first_token_ms)},
                     {"decode_tokens_per_second", decode.to_json(row.decode)},
                     {"of_limit", of_limit}};
        if (auto const fraction = row.model.outlier_fraction())
            figures["outlier_columns"] = *fraction;
        report["rows"].push_back(std::move(figures));
        csv +=
            fmt::format("{},{},{},{},{},{},{},{},{},{},{}\n", row.format.name,
                        row.model.bits_per_weight(), row.model.layer_bytes(), bytes, prefill.mean,
                        prefill.sd, first.mean, first.sd, decode.mean, decode.sd, of_limit);
    }
    report["peak_memory_bytes"] = peak_memory();
    fmt::print(human, "{}", table.str());
    for (bench_row const& row : rows)
        if (auto const fraction = row.model.outlier_fraction())
            fmt::print(human, "\n{}: {:.2f} % of the columns of activations were outliers.\n",
                       row.format.name, 100.0 * *fraction);
    fmt::print(human, "\nPeak memory of the process, all formats together: {:.0f} MB.\n",
               1e-6 * static_cast<double>(peak_memory()));
    deliver(options.output.json_target, options.output.json_target.empty() ? json() : report);
    deliver(options.output.csv_target, csv);
}

}  // namespace

void add_bench(CLI::App& program) {
    auto const options = std::make_shared<bench_options>();
    CLI::App& command =
        *program.add_subcommand("bench", "Speed and memory of a model in several formats");
    auto* const model =
        command.add_option("--model", options->model, "Hugging Face folder or GGUF file")
            ->capture_default_str()
            ->type_name("MODEL");
    command
        .add_option("--synthetic", options->synthetic,
                    "random weights in a shape instead: 15M, 124M, 350M or 1B")
        ->excludes(model)
        ->type_name("{15M,124M,350M,1B}");
    auto* const formats = command.add_option("--formats", options->formats, format_help)
                              ->delimiter(',')
                              ->capture_default_str()
                              ->type_name("FORMAT");
    options->head.add_to(command);
    command.add_option("--prompt-tokens", options->prompt_tokens)->capture_default_str();
    command.add_option("--new-tokens", options->new_tokens)->capture_default_str();
    command.add_option("--runs", options->runs)->capture_default_str();
    command.add_option("--warmup", options->warmup)->capture_default_str();
    options->kv.add_to(command);
    command
        .add_option("--device", options->device,
                    "cpu: whole models; cuda: the linear layers, on the first GPU")
        ->check(CLI::IsMember({"cpu", "cuda"}))
        ->capture_default_str();
    options->output.add_to(command);
    add_threads(command);
    command.callback([options, formats] {
        // fp32 and fp16 have no kernel there.
        if (options->device == "cuda" && formats->empty())
            options->formats = {"w8a8", "llm_int8", "w4a8", "w4", "nf4"};
        run(*options);
    });
}

}  // namespace app
