// SPDX-License-Identifier: Apache-2.0
//
// qtk study: the whole comparison as one command, with a log that grows and a page to look at.
#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "commands.hpp"
#include "common_options.hpp"
#include "energy_table_option.hpp"
#include "environment.hpp"
#include "format_options.hpp"
#include "language_model.hpp"
#include "output.hpp"
#include "study_report.hpp"
#include "study_run.hpp"
#include "terminal.hpp"
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace app {
namespace {

namespace fs = std::filesystem;

struct study_command {
    std::vector<std::string> models, synthetic;
    std::string folder = "qtk-study";
    study_options how{.formats = {"fp32", "fp16", "w8a8", "llm_int8", "w4a8", "w4", "w3", "nf4"},
                      .head = {},
                      .prompt = "In the beginning",
                      .text = {}};
    output_options output;
};

/// The old log with an entry at its end, written whole.
void append(fs::path const& log, std::string const& start, std::string const& entry) {
    std::string text = start;
    if (fs::exists(log)) text = qtk::mapped_file::open(log, qtk::io_mode::read).text();
    deliver(log.string(), text + entry);
}

void run(study_command const& command) {
    study_options const& how = command.how;
    how.text.require();
    if (how.runs == 0 || how.new_tokens < 2)
        throw qtk::value_error("study: expected at least 1 run of at least 2 new tokens");
    // A slip of the pen must show before hours of work.
    static_cast<void>(parse_formats(how.formats, "--schemes"));
    static_cast<void>(how.head.parse());
    static_cast<void>(find_energy_table(how.energy_table));
    make_folders(command.folder);

    std::vector<std::string> models = command.models;
    if (models.empty() && command.synthetic.empty()) models = {QTK_DATA_DIR "/polyglot-llama"};
    std::FILE* const human = command.output.human();
    std::vector<study_result> studies;
    auto const study = [&](language_model const& model) {
        {
            progress_line const line;
            studies.push_back(run_study(model, how, [&](std::string const& what) {
                line.show(model.name() + ": " + what);
            }));
        }
        fmt::print(human, "{}, {} parameters\n{}\n", model.name(), with_commas(model.parameters()),
                   study_table(studies.back()));
        std::fflush(human);
    };
    for (std::string const& path : models) study(language_model::open(path));
    for (std::string const& shape : command.synthetic) study(language_model::synthetic(shape));

    environment const where = environment::now();
    json const report = study_json(studies, how, where);
    fs::path const folder = command.folder;
    deliver((folder / "report.html").string(), study_html(studies, how, where));
    append(folder / "log.md", "# Experiment log\n\n", study_markdown(studies, how, where));
    append(folder / "log.jsonl", "",
           report.dump(-1, ' ', false, json::error_handler_t::replace) + "\n");
    if (!command.output.json_target.empty()) deliver(command.output.json_target, report);
    fmt::print(human, "Report: {0}/report.html; log: {0}/log.md, {0}/log.jsonl\n", command.folder);
}

}  // namespace

void add_study(CLI::App& program) {
    auto const options = std::make_shared<study_command>();
    study_options& how = options->how;
    CLI::App& command = *program.add_subcommand(
        "study", "Every format of a model in one process: speed, memory, quality, energy, report");
    command.add_option("--model", options->models, "Hugging Face folder or GGUF file; repeatable")
        ->type_name("MODEL");
    command
        .add_option("--synthetic", options->synthetic,
                    "also random weights in these shapes: 15M, 124M, 350M, 1B")
        ->delimiter(',')
        ->type_name("{15M,124M,350M,1B}");
    command
        .add_option("--schemes,--formats", how.formats,
                    std::string("the first is the baseline: ") + format_help)
        ->delimiter(',')
        ->capture_default_str()
        ->type_name("FORMAT");
    how.head.add_to(command);
    command.add_option("--runs", how.runs, "timed runs of each format")->capture_default_str();
    command.add_option("--warmup", how.warmup, "runs before them")->capture_default_str();
    command.add_option("--prompt", how.prompt, "the text to go on with")->capture_default_str();
    command.add_option("--prompt-tokens", how.prompt_tokens, "of a synthetic model")
        ->capture_default_str();
    command.add_option("--new-tokens", how.new_tokens, "of a run")->capture_default_str();
    add_energy_table(command, how.energy_table);
    command
        .add_option("--powercap", how.powercap,
                    "where Linux shows the RAPL counters that measure the energy")
        ->capture_default_str()
        ->type_name("DIR");
    command.add_flag("!--no-quality", how.has_quality, "speed, memory and energy alone");
    how.text.add_to(command);
    command.add_option("--seed", how.seed, "of the bootstrap")->capture_default_str();
    command.add_option("--out", options->folder, "folder of report and log")
        ->capture_default_str()
        ->type_name("DIR");
    command.add_flag("--json{-}", options->output.json_target,
                     "the figures as JSON, to standard output or --json=FILE");
    add_threads(command);
    command.callback([options] { run(*options); });
}

}  // namespace app
