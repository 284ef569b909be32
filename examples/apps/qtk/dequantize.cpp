// SPDX-License-Identifier: Apache-2.0
//
// `qtk dequantize`: a quantized file in, the same tensors as floats out.
#include <qtk/core/error.hpp>

#include <CLI/CLI.hpp>

#include "commands.hpp"
#include "common_options.hpp"
#include "conversion_command.hpp"
#include "conversion_plan.hpp"
#include <memory>
#include <string>

namespace app {
namespace {

struct dequantize_options {
    std::string in, out, type = "fp32", json_target;
    bool is_dry = false;
    conversion_options work;
};

void run_dequantize(dequantize_options const& options) {
    std::filesystem::path const target = options.out;
    if (target.extension() != ".safetensors")
        throw qtk::value_error(target.string() +
                               ": the output is a .safetensors file, by its name");
    auto const type = std::get<qtk::gguf_type>(parse_scheme_action(options.type));
    model_input const input = model_input::open({options.in});
    run_conversion(input, plan_floats(input, type, target), options.work, options.is_dry,
                   options.json_target, "qtk.dequantize/1");
}

}  // namespace

void add_dequantize(CLI::App& program) {
    auto const options = std::make_shared<dequantize_options>();
    CLI::App& command =
        *program.add_subcommand("dequantize", "Write what is quantized in a file as floats");
    command.add_option("in", options->in, "a quantized .safetensors or .gguf file")
        ->required()
        ->type_name("MODEL");
    command.add_option("out", options->out, "the .safetensors file to be written")
        ->required()
        ->type_name("FILE");
    command.add_option("--type", options->type, "of what was quantized: fp32, fp16, bf16")
        ->check(CLI::IsMember({"fp32", "fp16", "bf16"}))
        ->capture_default_str();
    command.add_flag("--dry-run", options->is_dry, "show the plan and write nothing");
    options->work.add_to(command);
    command.add_flag("--json{-}", options->json_target,
                     "the figures as JSON, to standard output or --json=FILE");
    add_threads(command);
    command.callback([options] { run_dequantize(*options); });
}

}  // namespace app
