// SPDX-License-Identifier: Apache-2.0
#include "quickstart.hpp"

#include <qtk/core/spelling.hpp>
#include <qtk/energy/joules.hpp>
#include <qtk/io/atomic_file.hpp>
#include <qtk/io/tokenizer.hpp>
#include <qtk/version.hpp>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "commands.hpp"
#include "common_options.hpp"
#include "energy_table_option.hpp"
#include "environment.hpp"
#include "evaluation_text.hpp"
#include "output.hpp"
#include "quickstart_model.hpp"
#include "terminal.hpp"
#include <cstdio>
#include <filesystem>
#include <memory>

namespace app {
namespace {

namespace fs = std::filesystem;

std::vector<qtk::language_text> read_texts(quickstart_options const& options,
                                           qtk::line_range lines) {
    if (options.texts.empty()) {
        std::vector<std::string_view> const languages(options.languages.begin(),
                                                      options.languages.end());
        return qtk::read_corpus(options.corpus, lines, languages);
    }
    std::vector<qtk::language_text> texts;
    for (std::string const& text : options.texts) {
        std::size_t const equals = text.find('=');
        bool const has_name = equals != text.npos && equals > 0;
        texts.push_back({has_name ? text.substr(0, equals) : "text",
                         qtk::read_lines(has_name ? text.substr(equals + 1) : text, lines)});
    }
    return texts;
}

json to_json(quickstart_row const& row, std::string const& energy_table) {
    json ppl = json::object();
    for (auto const& [language, estimate] : row.perplexity) ppl[language] = interval_json(estimate);
    auto const optional = [](std::optional<double> value) {
        return value ? json(*value) : json(nullptr);
    };
    return {{"scheme", row.scheme.name},
            {"bits_per_weight", row.bits_per_weight},
            {"bytes", row.bytes},
            {"model_bytes", row.model_bytes},
            {"sqnr_db_mean", optional(row.sqnr_db_mean)},
            {"sqnr_db_min", optional(row.sqnr_db_min)},
            {"worst_layer", row.worst_layer.empty() ? json(nullptr) : json(row.worst_layer)},
            {"ppl", ppl},
            {"ppl_geomean", interval_json(row.geomean)},
            {"joules_per_token", row.joules_per_token},
            {"energy_table", energy_table}};
}

std::string csv_of(std::vector<quickstart_row> const& rows, std::string energy_table) {
    // The name in a user's file may be anything.
    std::ranges::replace_if(
        energy_table, [](char c) { return c == ',' || c == '"' || c == '\n'; }, '_');
    std::string text =
        "scheme,bits_per_weight,bytes,model_bytes,sqnr_db_mean,sqnr_db_min,ppl_geomean,ppl_geomean_"
        "low,"
        "ppl_geomean_high,joules_per_token,energy_table";
    for (auto const& [language, estimate] : rows.front().perplexity) text += ",ppl_" + language;
    text += '\n';
    for (auto const& row : rows) {
        auto const optional = [](std::optional<double> v) {
            return v ? fmt::format("{}", *v) : std::string();
        };
        text +=
            fmt::format("{},{},{},{},{},{},{},{},{},{},{}", row.scheme.name, row.bits_per_weight,
                        row.bytes, row.model_bytes, optional(row.sqnr_db_mean),
                        optional(row.sqnr_db_min), row.geomean.value, row.geomean.low,
                        row.geomean.high, row.joules_per_token, energy_table);
        for (auto const& [language, estimate] : row.perplexity)
            text += fmt::format(",{}", estimate.value);
        text += '\n';
    }
    return text;
}

std::string table_of(std::vector<quickstart_row> const& rows) {
    std::string const first = rows.front().perplexity.front().first;
    text_table table({"scheme", "bits/weight", "layers KiB", "file KiB", "SQNR dB", "worst",
                      "perplexity " + first,
                      fmt::format("geomean of {} [95 %]", rows.front().perplexity.size()),
                      "energy/token", "saved"});
    for (auto const& row : rows) {
        auto const db = [](std::optional<double> v) {
            return v ? fmt::format("{:.1f}", *v) : std::string("-");
        };
        table.add({row.scheme.name, fmt::format("{:.3f}", row.bits_per_weight),
                   with_commas(row.bytes / 1024), with_commas(row.model_bytes / 1024),
                   db(row.sqnr_db_mean), db(row.sqnr_db_min),
                   interval_text(row.perplexity.front().second, 1), interval_text(row.geomean, 1),
                   qtk::to_string(qtk::joules(row.joules_per_token)),
                   fmt::format("{:.1f} %", 100.0 * (1.0 - row.joules_per_token /
                                                              rows.front().joules_per_token))});
    }
    return table.str();
}

/// File names keep the spelling readable: i4-g64-asym-f32.safetensors.
fs::path file_for(std::string const& folder, std::string name) {
    std::ranges::replace(name, '/', '-');
    return fs::path(folder) / (name + ".safetensors");
}

void require_free(quickstart_options const& options, std::vector<row_scheme> const& schemes) {
    if (options.save.empty()) return;
    if (!fs::is_directory(options.save))
        throw qtk::value_error("--save: \"" + options.save + "\" is no folder");
    for (row_scheme const& scheme : schemes)
        if (fs::path const target = file_for(options.save, scheme.name);
            fs::exists(target) && !options.is_forced)
            throw qtk::value_error("--save: " + target.string() +
                                   " is already there. Hint: --force replaces it");
}

}  // namespace

void run_quickstart(quickstart_options const& options) {
    // Everything that a wrong flag can break is tried before the model is loaded.
    std::vector<row_scheme> schemes;
    for (std::string const& text : options.schemes) schemes.push_back(parse_row_scheme(text));
    if (schemes.empty()) throw qtk::value_error("--schemes: expected at least one scheme");
    any_energy_table const table = find_energy_table(options.energy_table);
    require_free(options, schemes);
    qtk::perplexity_protocol protocol{.windows = parse_windows(options.windows)};
    qtk::line_range const lines = options.texts.empty() ? qtk::evaluation_lines : qtk::all_lines;

    auto const tokenizer = qtk::tokenizer::open(options.model);
    std::vector<qtk::language_text> const texts = read_texts(options, lines);
    quickstart_model work(options.model);
    auto const bos = work.model().config().bos;
    protocol.window = protocol.stride = std::min<std::size_t>(256, work.model().config().context);
    std::vector<qtk::language_tokens> const corpus = qtk::tokenize(texts, tokenizer, bos);
    std::string const sentence = qtk::describe(
        protocol, {.data = options.texts.empty() ? fs::path(options.corpus).filename().string()
                                                 : "the given text",
                   .lines = lines,
                   .languages = corpus.size(),
                   .bos = bos,
                   .tokenizer_hash = tokenizer.hash()});
    std::string const name = fs::path(options.model).lexically_normal().filename().string();

    std::FILE* const human = options.json == "-" || options.csv == "-" ? stderr : stdout;
    fmt::print(
        human,
        "{}: {} linear layers, {} weights are quantized and run from their packed codes.\n{}\n",
        name, work.layers(), with_commas(work.weights()), sentence);
    fmt::print(human, "Energy is modelled, for the quantized layers, one token at batch 1: {}.\n\n",
               qtk::report_line(table));
    std::fflush(human);

    std::vector<quickstart_row> rows;
    {
        progress_line const line;
        for (row_scheme const& scheme : schemes) {
            std::string const label =
                fmt::format("[{}/{}] {}", rows.size() + 1, schemes.size(), scheme.name);
            line.show(label + ": quantizing");
            quickstart_row row = work.apply(scheme, table);
            work.measure(row, corpus, protocol, options.seed,
                         [&](std::size_t done, std::size_t total) {
                             line.show(fmt::format("{}: window {} of {}", label, done, total));
                         });
            if (!options.save.empty()) work.save(scheme, file_for(options.save, scheme.name));
            rows.push_back(std::move(row));
        }
    }
    fmt::print(human, "{}", table_of(rows));

    if (!options.json.empty()) {
        json report{{"schema", "qtk.quickstart/1"}, {"model", name},
                    {"protocol", sentence},         {"environment", environment::now().to_json()},
                    {"seed", options.seed},         {"energy_note", qtk::report_line(table)},
                    {"rows", json::array()}};
        for (auto const& row : rows) report["rows"].push_back(to_json(row, table.name));
        deliver(options.json, report);
    }
    if (!options.csv.empty()) deliver(options.csv, csv_of(rows, table.name));
}

void add_quickstart(CLI::App& program) {
    auto const shared = std::make_shared<quickstart_options>();
    quickstart_options& options = *shared;
    options.model = QTK_DATA_DIR "/polyglot-gpt2";
    options.corpus = QTK_DATA_DIR "/corpus";
    options.languages.assign(qtk::corpus_languages.begin(), qtk::corpus_languages.end());
    options.schemes = {"fp32",        "i8/channel",  "i4/channel", "i4/g64", "i4/g64/asym",
                       "i3/g64/asym", "i2/g64/asym", "nf4/g64",    "mxfp4"};

    CLI::App& quickstart = *program.add_subcommand(
        "quickstart", "One model under several schemes: size, error, perplexity, modelled energy");
    quickstart
        .add_option("--model", options.model, "Hugging Face folder of a GPT-2 or Llama-type model")
        ->capture_default_str()
        ->type_name("MODEL");
    quickstart
        .add_option("--text", options.texts, "LANG=FILE instead of the embedded corpus; repeatable")
        ->type_name("LANG=FILE");
    quickstart.add_option("--langs", options.languages, "languages of the embedded corpus")
        ->delimiter(',')
        ->type_name("LANG");
    quickstart
        .add_option("--schemes", options.schemes,
                    "FORMAT/GRAIN[/sym|asym][/SCALE], fp32, fp16, bf16, mxfp4, nvfp4")
        ->delimiter(',')
        ->type_name("FORMAT");
    quickstart.add_option("--windows", options.windows, "windows of each language, or all")
        ->capture_default_str()
        ->type_name("N|all");
    add_energy_table(quickstart, options.energy_table);
    quickstart
        .add_option("--save", options.save,
                    "existing folder for the quantized models, as safetensors")
        ->type_name("DIR");
    quickstart.add_flag("--force", options.is_forced, "replace files that are already there");
    quickstart.add_flag("--json{-}", options.json,
                        "the figures as JSON, to standard output or --json=FILE");
    quickstart.add_flag("--csv{-}", options.csv,
                        "the figures as CSV, to standard output or --csv=FILE");
    quickstart.add_option("--seed", options.seed, "of the bootstrap")->capture_default_str();
    add_threads(quickstart);
    quickstart.callback([shared] { run_quickstart(*shared); });
}

}  // namespace app
