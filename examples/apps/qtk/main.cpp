// SPDX-License-Identifier: Apache-2.0
//
// qtk: quantize language models and see what it costs.
#include <qtk/eval/corpus.hpp>
#include <qtk/version.hpp>

#include <CLI/CLI.hpp>

#include "exit_code.hpp"
#include "quickstart.hpp"

#if defined(_OPENMP)
#include <omp.h>
#endif

#include <exception>
#include <string>

int main(int argc, char** argv) {
    app::end_cleanly_on_signals();

    CLI::App program("qtk: quantize language models and see what it costs", "qtk");
    program.set_version_flag("--version", "qtk " QTK_VERSION_STRING);
    program.require_subcommand(1);
    program.footer(
        "Exit codes: 0 ok, 2 usage, 3 bad input, 4 I/O, 5 NaN or infinity, 130 interrupted.");

    app::quickstart_options options;
    options.model = QTK_DATA_DIR "/polyglot-gpt2";
    options.corpus = QTK_DATA_DIR "/corpus";
    options.languages.assign(qtk::corpus_languages.begin(), qtk::corpus_languages.end());
    options.schemes = {"fp32",        "i8/channel",  "i4/channel", "i4/g64", "i4/g64/asym",
                       "i3/g64/asym", "i2/g64/asym", "nf4/g64",    "mxfp4"};
    int threads = 0;

    CLI::App& quickstart = *program.add_subcommand(
        "quickstart", "One model under several schemes: size, error, perplexity, modelled energy");
    quickstart
        .add_option("--model", options.model, "Hugging Face folder of a GPT-2 or Llama-type model")
        ->capture_default_str();
    quickstart.add_option("--text", options.texts,
                          "LANG=FILE instead of the embedded corpus; repeatable");
    quickstart.add_option("--langs", options.languages, "languages of the embedded corpus")
        ->delimiter(',');
    quickstart
        .add_option("--schemes", options.schemes,
                    "FORMAT/GRAIN[/sym|asym][/SCALE], fp32, fp16, bf16, mxfp4, nvfp4")
        ->delimiter(',');
    quickstart.add_option("--windows", options.windows, "windows of each language, or all")
        ->capture_default_str();
    quickstart
        .add_option("--energy-table", options.energy_table,
                    "quadratic_linear_1_200, horowitz_45nm or tpu_7nm")
        ->capture_default_str();
    quickstart.add_option("--save", options.save,
                          "existing folder for the quantized models, as safetensors");
    quickstart.add_flag("--force", options.is_forced, "replace files that are already there");
    quickstart.add_flag("--json{-}", options.json,
                        "the figures as JSON, to standard output or --json=FILE");
    quickstart.add_flag("--csv{-}", options.csv,
                        "the figures as CSV, to standard output or --csv=FILE");
    quickstart.add_option("--seed", options.seed, "of the bootstrap")->capture_default_str();
    quickstart.add_option("--threads", threads, "0: as many as the machine has")
        ->check(CLI::Range(0, 1024));

    try {
        program.parse(argc, argv);
    } catch (CLI::ParseError const& e) {
        return program.exit(e) == 0 ? app::ok : app::usage;
    }
    try {
#if defined(_OPENMP)
        if (threads > 0) omp_set_num_threads(threads);
#endif
        app::run_quickstart(options);
    } catch (...) {
        return app::report(std::current_exception());
    }
    return app::ok;
}
