// SPDX-License-Identifier: Apache-2.0
#include "quantize_gguf.hpp"

#include <qtk/calibration/method_spelling.hpp>
#include <qtk/core/error.hpp>
#include <qtk/core/spelling.hpp>
#include <qtk/format/gguf_codes.hpp>

#include <fmt/format.h>

#include "calibrated_model.hpp"
#include "conversion_plan.hpp"
#include "environment.hpp"
#include "output.hpp"
#include "terminal.hpp"
#include <cstring>
#include <map>
#include <optional>
#include <utility>

namespace app {
namespace {

/// What the layers have lost, as a folder's report says it.
struct coded_layers {
    std::size_t layers = 0, exact = 0;
    double largest_change = 0.0;
    std::string worst;
};

/// Blocks hold codes in the order of the inputs, and nothing else of the file changes.
void require_codes_alone(qtk::method_chain const& method) {
    auto const refuse = [&](char const* what, char const* hint) {
        throw qtk::value_error("--layout gguf: " + method.name + " " + what +
                               ", which this layout does not write. Hint: " + hint);
    };
    if (!method.transforms.empty())
        refuse("changes norms or inputs of layers", "without smooth, awq and rotate");
    if (method.corrects_bias) refuse("changes biases", "without bias");
    auto const* const gptq = method.find<qtk::gptq_step>();
    if (gptq != nullptr && gptq->options.order == qtk::gptq_order::activation &&
        gptq->options.groups == qtk::gptq_groups::running)
        refuse("leaves columns of a group apart", "gptq:act:fixed");
}

[[nodiscard]] qtk::gguf_type type_of(qtk::scheme const& scheme) {
    if (auto const type = qtk::gguf_type_for(scheme)) return *type;
    throw qtk::value_error("--layout gguf: no block type has the grid of " +
                           qtk::to_string(scheme) + "; expected " + qtk::gguf_code_schemes);
}

/// The step of every layer that becomes codes, by the layer's name; those with a rule of their own do not.
[[nodiscard]] std::map<std::string, conversion_step*> layers_of(conversion& plan,
                                                                tensor_recipe const& rules,
                                                                language_model const& model) {
    std::map<std::string, conversion_step*> by_origin, layers;
    for (conversion_step& step : plan.steps) by_origin[step.origin] = &step;
    model.network().for_each_linear([&](qtk::linear const& layer) {
        conversion_step* const step = by_origin.at(layer.name() + ".weight");
        if (rules.find(step->origin, true) || rules.find(step->name, true)) return;
        if (!step->wanted.empty())
            throw qtk::value_error(fmt::format(
                "layer {}: rows of {} are no whole blocks of {}, {}. Hint: --recipe '{}=keep'",
                qtk::quoted(layer.name()), layer.in(), qtk::gguf_code_columns, step->wanted,
                step->origin));
        layers[layer.name()] = step;
    });
    return layers;
}

/// Gives the step the layer's codes, rows in GGUF's order, and leaves the layer without.
void move_codes(qtk::linear& layer, conversion_step& step, coded_layers& sums) {
    if (layer.input() != nullptr)
        throw qtk::value_error(layer.name() + ": the method changes the layer's input");
    qtk::gguf_codes codes = [&] {
        try {
            return qtk::encode_gguf_codes(layer.take_codes());
        } catch (qtk::value_error const& fault) {
            throw qtk::value_error("layer " + qtk::quoted(layer.name()) + ": " + fault.what());
        }
    }();
    std::size_t const row = codes.blocks.size() / layer.out();
    std::vector<std::uint8_t> ordered(codes.blocks.size());
    for (std::size_t r = 0; r < layer.out(); ++r)
        std::memcpy(ordered.data() + r * row, codes.blocks.data() + step.rows->source_row(r) * row,
                    row);
    step.rows = rows_of(codes.type, std::move(ordered), layer.out(), layer.in());
    step.action = keep_action{};
    ++sums.layers;
    sums.exact += codes.is_exact ? 1 : 0;
    if (codes.largest_change > sums.largest_change) {
        sums.largest_change = codes.largest_change;
        sums.worst = layer.name();
    }
}

}  // namespace

void quantize_to_gguf(std::filesystem::path const& source, std::filesystem::path const& target,
                      method_output_options const& options) {
    options.calibration.require();
    qtk::method_chain const method = qtk::parse_method(options.method);
    require_codes_alone(method);
    qtk::scheme const scheme =
        qtk::parse_scheme(options.scheme.empty() ? "i4/g32/sym/f16" : options.scheme);
    qtk::gguf_type const type = type_of(scheme);
    if (options.work.resumes || options.work.max_memory)
        throw qtk::value_error(
            "--method: what is calibrated is held in memory and begun anew; without --resume and "
            "--max-memory");
    tensor_recipe const rules(options.rules, options.recipe_file, parse_type_action);
    model_input const input = model_input::open({source});
    if (!input.is_folder())
        throw qtk::value_error(source.string() + ": --method: expected a Hugging Face folder");
    std::string const how = method.name + " " + qtk::to_string(scheme);
    conversion plan = plan_gguf(input, rules, type, target, nullptr, how);
    plan.is_resumable = false;
    language_model model = language_model::open(source.string());
    auto const layers = layers_of(plan, rules, model);
    for (std::string const& rule : rules.unused())
        fmt::print(stderr, "warning: the rule {} fits no tensor\n", rule);
    require_startable(plan, options.work);
    if (options.is_dry) {
        for (std::string const& note : plan.notes) fmt::print("Note: {}.\n", note);
        fmt::print(
            "{} layers would be {} in blocks of {} by {}; {} would have {}. Nothing was "
            "written.\n",
            layers.size(), qtk::to_string(scheme), qtk::name_of(type), method.name, target.string(),
            size_text(plan.size));
        return;
    }
    calibration_text const text = options.calibration.read(model);
    qtk::decoder& network = model.network();
    reset_peak_memory();
    std::vector<qtk::layer_outcome> outcomes;
    coded_layers sums;
    {
        progress_line const line;
        outcomes = qtk::quantize_model(
            network,
            [&](std::string const& name) {
                return qtk::layer_plan{
                    layers.contains(name) ? std::optional(scheme) : std::nullopt, method, {}};
            },
            text.windows,
            [&](std::string const& layer, std::size_t at, std::size_t total) {
                line.show(fmt::format("layer {} of {}, {}", at + 1, total, layer));
            },
            [&](std::size_t block) {
                network.for_each_linear_of(block, [&](qtk::linear& layer) {
                    if (auto const found = layers.find(layer.name()); found != layers.end())
                        move_codes(layer, *found->second, sums);
                });
            });
        convert(plan, options.work, [&](std::string const& name, std::size_t i, std::size_t n) {
            line.show(fmt::format("{} of {}  {}", i + 1, n, name));
        });
    }
    std::FILE* const human = options.json_target == "-" ? stderr : stdout;
    for (std::string const& note : plan.notes) fmt::print(human, "Note: {}.\n", note);
    for (qtk::layer_outcome const& layer : outcomes)
        if (!layer.note.empty()) fmt::print(human, "{}: {}\n", layer.name, layer.note);
    fmt::print(
        human,
        "{}\n{} layers written to {} as {}, {} of them exactly as they were{}. {} in all; at "
        "most {} in memory.\n",
        text.sentence, sums.layers, target.string(), qtk::name_of(type), sums.exact,
        sums.worst.empty() ? std::string()
                           : fmt::format(" (largest relative change of a scale or lowest "
                                         "value {:.2g}, {})",
                                         sums.largest_change, sums.worst),
        size_text(plan.size), size_text(peak_memory()));
    if (options.json_target.empty()) return;
    deliver(options.json_target, json{{"schema", "qtk.quantize/1"},
                                      {"method", method.name},
                                      {"layout", options.layout},
                                      {"type", qtk::name_of(type)},
                                      {"calibration", text.sentence},
                                      {"exact_layers", sums.exact},
                                      {"largest_scale_change", sums.largest_change},
                                      {"file_bytes", plan.size},
                                      {"peak_memory_bytes", peak_memory()},
                                      {"notes", plan.notes},
                                      {"rows", rows_of_outcomes(outcomes)}});
}

}  // namespace app
