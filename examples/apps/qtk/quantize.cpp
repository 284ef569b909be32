// SPDX-License-Identifier: Apache-2.0
//
// `qtk quantize`: a model folder, safetensors or a GGUF file in, one quantized file out.
#include <qtk/core/error.hpp>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "commands.hpp"
#include "common_options.hpp"
#include "conversion_command.hpp"
#include "conversion_plan.hpp"
#include "exit_code.hpp"
#include "quantize_method.hpp"
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace app {
namespace {

struct quantize_options {
    std::vector<std::string> paths, rules;
    std::string scheme, type, recipe_file, imatrix_file, json_target;
    bool is_dry = false, refuses_fallback = false;
    conversion_options work;
    method_output_options by_method;
};

/// Matrices that become blocks although calibration has not seen them.
void warn_of_missing(conversion const& plan) {
    std::size_t missing = 0;
    std::string first;
    for (conversion_step const& step : plan.steps)
        if (is_for_matrices(step.action) && step.importance.empty() && ++missing == 1)
            first = step.name;
    if (missing > 0)
        fmt::print(stderr, "warning: {} matrices have no importance, the first is {}\n", missing,
                   shown(first));
}

[[nodiscard]] conversion plan_of(quantize_options const& options, model_input const& input,
                                 std::filesystem::path const& target) {
    bool const is_gguf = target.extension() == ".gguf";
    if (!is_gguf && target.extension() != ".safetensors")
        throw qtk::value_error(target.string() +
                               ": the output is a .safetensors or a .gguf file, by its name");
    if (is_gguf && !options.scheme.empty())
        throw qtk::value_error("--scheme is for .safetensors; a .gguf file takes --type");
    if (!is_gguf && !options.type.empty())
        throw qtk::value_error("--type is for .gguf; a .safetensors file takes --scheme");
    if (!is_gguf && !options.imatrix_file.empty())
        throw qtk::value_error("--imatrix is for .gguf: it weighs the errors of GGUF's blocks");
    std::optional<imatrix_input> importance;
    if (!options.imatrix_file.empty())
        importance = {options.imatrix_file, qtk::imatrix_file::open(options.imatrix_file)};
    tensor_recipe const rules(options.rules, options.recipe_file,
                              is_gguf ? parse_type_action : parse_scheme_action);
    conversion plan =
        is_gguf ? plan_gguf(input, rules,
                            parse_type_action(options.type.empty() ? "q8_0" : options.type), target,
                            importance ? &*importance : nullptr)
                : plan_safetensors(input, rules,
                                   parse_scheme_action(options.scheme.empty() ? "i4/g64/asym/f16"
                                                                              : options.scheme),
                                   target);
    for (std::string const& rule : rules.unused())
        fmt::print(stderr, "warning: the rule {} fits no tensor\n", shown(rule));
    if (importance) warn_of_missing(plan);
    return plan;
}

void run_quantize(quantize_options const& options) {
    std::filesystem::path const target = options.paths.back();
    if (!options.by_method.method.empty()) {
        if (options.paths.size() != 2 || !options.type.empty())
            throw qtk::value_error(
                "--method: expected one model folder and the folder or file to be written, without "
                "--type");
        method_output_options how = options.by_method;
        how.scheme = options.scheme, how.rules = options.rules;
        how.recipe_file = options.recipe_file, how.json_target = options.json_target;
        how.is_dry = options.is_dry, how.work = options.work;
        return quantize_with_method(options.paths.front(), target, how);
    }
    model_input const input = model_input::open({options.paths.begin(), options.paths.end() - 1});
    conversion const plan = plan_of(options, input, target);
    conversion_figures const f = figures_of(input, plan);
    if (options.refuses_fallback && f.fallback_tensors > 0) {
        for (conversion_step const& step : plan.steps)
            if (!step.wanted.empty())
                throw qtk::value_error(fmt::format(
                    "--no-fallback: {} tensor(s) cannot be {}, the first is {} with rows of {}, "
                    "which are no whole blocks. Hint: a type with blocks of 32, or a rule",
                    f.fallback_tensors, step.wanted, qtk::quoted(step.name), step.rows->cols()));
    }
    run_conversion(input, plan, options.work, options.is_dry, options.json_target,
                   "qtk.quantize/1");
}

}  // namespace

void add_quantize(CLI::App& program) {
    auto const options = std::make_shared<quantize_options>();
    CLI::App& command = *program.add_subcommand(
        "quantize", "Write a model in a quantized format, tensor by tensor");
    command
        .add_option(
            "files", options->paths,
            "IN... OUT: a Hugging Face folder, .safetensors files or a .gguf file; then the "
            ".safetensors or .gguf file to be written")
        ->required()
        ->expected(2, 4096)
        ->type_name("MODEL");
    command
        .add_option("--scheme", options->scheme,
                    "of the layers in blocks, for .safetensors: e.g. i4/g64/asym/f16 (the default)")
        ->type_name("FORMAT");
    command
        .add_option("--type", options->type,
                    "of the layers in blocks, for .gguf: q8_0 (the default), q4_0, q4_K, f16, ...")
        ->type_name("TYPE");
    command
        .add_option(
            "--recipe", options->rules,
            "PATTERN=WHAT, the first that fits a tensor's name holds; WHAT as above or keep")
        ->expected(1)
        ->take_all()
        ->type_name("PATTERN=WHAT");
    command.add_option("--recipe-file", options->recipe_file, "more such rules, one a line")
        ->type_name("FILE");
    command
        .add_option("--imatrix", options->imatrix_file,
                    "importance matrix of llama.cpp (.dat or .gguf), for .gguf: errors of columns "
                    "with larger inputs count more")
        ->type_name("FILE");
    command.add_flag("--no-fallback", options->refuses_fallback,
                     "an error where a tensor cannot have the type, instead of the next best one");
    command.add_flag("--dry-run", options->is_dry, "show the plan and write nothing");
    options->work.add_to(command);
    options->by_method.add_to(command);
    command.add_flag("--json{-}", options->json_target,
                     "the figures as JSON, to standard output or --json=FILE");
    add_threads(command);
    command.callback([options] { run_quantize(*options); });
}

}  // namespace app
