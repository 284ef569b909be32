// SPDX-License-Identifier: Apache-2.0
#include "quantize_method.hpp"

#include <qtk/calibration/method_spelling.hpp>
#include <qtk/core/error.hpp>
#include <qtk/core/spelling.hpp>
#include <qtk/io/layer_layout.hpp>
#include <qtk/io/quantized_folder.hpp>
#include <qtk/model/fold.hpp>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "calibrated_model.hpp"
#include "conversion.hpp"
#include "environment.hpp"
#include "output.hpp"
#include "quantize_gguf.hpp"
#include "recipe.hpp"
#include "terminal.hpp"
#include <map>
#include <optional>
#include <utility>
#include <variant>

namespace app {
namespace {

/// The configuration of a layout by its name on the command line.
[[nodiscard]] qtk::quantization_config config_of(std::string const& layout,
                                                 qtk::scheme const& scheme) {
    using enum qtk::weight_layout;
    std::string const base = layout.substr(0, layout.find('_'));
    bool const is_nested = layout == "bitsandbytes_nested";
    auto config = qtk::quantization_config_for(base == "gptq"           ? gptq
                                               : base == "awq"          ? awq
                                               : base == "bitsandbytes" ? bitsandbytes
                                                                        : compressed_tensors,
                                               scheme);
    if (layout == "gptq_v2") config.version = qtk::gptq_version::v2;
    config.is_nested = is_nested;
    return config;
}

/// A scheme, a method that finds its codes, or both; what is not said holds as for other layers.
struct method_action {
    std::optional<qtk::scheme> scheme;
    std::string method;  ///< as it is spelled; empty: not said
};
using layer_action = std::variant<keep_action, method_action>;

[[nodiscard]] std::string to_string(layer_action const& action) {
    auto const* const by = std::get_if<method_action>(&action);
    if (by == nullptr) return "keep";
    std::string const scheme = by->scheme ? qtk::to_string(*by->scheme) : "";
    return scheme + (scheme.empty() || by->method.empty() ? "" : ",") + by->method;
}
[[nodiscard]] bool is_for_matrices(layer_action const& action) noexcept {
    return std::holds_alternative<method_action>(action);
}

/// keep, a scheme, a method, or SCHEME,METHOD. Throws qtk::value_error with what is expected.
[[nodiscard]] layer_action parse_layer_action(std::string const& text) {
    auto const scheme_of = [&](std::string const& word) {
        tensor_action const action = parse_scheme_action(word);
        if (auto const* const scheme = std::get_if<qtk::scheme>(&action)) return *scheme;
        throw qtk::value_error(qtk::quoted(word) +
                               ": a folder holds codes. Hint: keep leaves a layer as it is");
    };
    if (text == "keep") return keep_action{};
    if (std::size_t const comma = text.find(','); comma != text.npos) {
        std::string const method = text.substr(comma + 1);
        static_cast<void>(qtk::parse_method(method));
        return method_action{scheme_of(text.substr(0, comma)), method};
    }
    try {
        static_cast<void>(qtk::parse_method(text));
    } catch (qtk::value_error const&) {
        return method_action{scheme_of(text), {}};
    }
    return method_action{{}, text};
}

/// What becomes of the layers of the blocks.
struct folder_plan {
    qtk::quantization_config config;
    std::map<std::string, qtk::layer_shape> shapes;  ///< of layers that become codes
    std::map<std::string, qtk::method_chain> methods;
};

/// Does the method leave columns of a group apart?
[[nodiscard]] bool moves_columns(qtk::method_chain const& method, qtk::scheme const& scheme) {
    auto const* const gptq = method.find<qtk::gptq_step>();
    return gptq != nullptr && gptq->options.order == qtk::gptq_order::activation &&
           gptq->options.groups == qtk::gptq_groups::running && scheme.grain.cols > 0;
}

/// The name of the norm before a layer that reads one.
[[nodiscard]] std::string norm_name(std::string const& consumer) {
    auto const before = [&](char const* part) -> std::optional<std::string> {
        std::size_t const at = consumer.rfind(part);
        if (at == consumer.npos) return std::nullopt;
        return consumer.substr(0, at);
    };
    if (auto const block = before("attn.c_attn")) return *block + "ln_1";
    if (auto const block = before("mlp.c_fc")) return *block + "ln_2";
    if (auto const block = before("mlp.")) return *block + "post_attention_layernorm";
    if (auto const block = before("fc1")) return *block + "final_layer_norm";
    auto const block = before("self_attn.");
    bool const is_opt = block && block->find("decoder.") != std::string::npos;
    return block.value_or("") + (is_opt ? "self_attn_layer_norm" : "input_layernorm");
}

/// Calls f(name, values, size) for the floats of a block that a method changes, by their names in the source;
/// values that do not exist yet are empty.
template <typename F>
void for_each_changed(qtk::decoder& model, std::size_t block, qtk::method_chain const& method,
                      std::map<std::string, qtk::method_chain> const& methods, F const& f) {
    bool const has_transforms = !method.transforms.empty();
    model.for_each_linear_of(block, [&](qtk::linear const& layer) {
        auto const own = methods.find(layer.name());
        if ((own != methods.end() && own->second.corrects_bias) ||
            (has_transforms && !layer.bias().empty()))
            f(layer.name() + ".bias", layer.bias(), layer.out());
    });
    if (!has_transforms) return;
    model.for_each_fold_of(block, [&](qtk::fold const& at) {
        if (at.before == nullptr) return;
        std::string const name = norm_name(at.consumers.front()->name());
        f(name + ".weight", std::span<float const>(at.before->weight), at.before->weight.size());
        if (!at.before->bias.empty())
            f(name + ".bias", std::span<float const>(at.before->bias), at.before->bias.size());
    });
}

void require_layout_holds(qtk::linear const& layer) {
    if (layer.input() != nullptr &&
        (!layer.input()->what().factors.empty() || layer.input()->what().rotation))
        throw qtk::value_error(layer.name() +
                               ": the method changes the layer's input when it runs, which no "
                               "published layout holds. Hint: without rotate and :inputs");
}

/// What the layer holds, as files do; it is left without.
[[nodiscard]] qtk::ordered_qmatrix take_codes(qtk::linear& layer) {
    require_layout_holds(layer);
    return {layer.take_codes(),
            layer.input() != nullptr ? layer.input()->what().order : std::vector<std::uint32_t>{}};
}

/// The scheme and method of every layer, by the rules.
[[nodiscard]] folder_plan plan_layers(qtk::decoder const& model,
                                      method_output_options const& options,
                                      qtk::method_chain const& method, qtk::scheme const& scheme,
                                      recipe<layer_action> const& rules) {
    folder_plan plan;
    plan.config = config_of(options.layout, scheme);
    plan.config.has_order = moves_columns(method, scheme);
    bool const has_groups = plan.config.layout == qtk::weight_layout::gptq ||
                            plan.config.layout == qtk::weight_layout::compressed_tensors;
    struct exception {
        qtk::scheme_group group;  // without its targets
        std::vector<std::string> layers;
    };
    std::map<std::string, exception> exceptions;
    model.for_each_linear([&](qtk::linear const& layer) {
        layer_action const* const action = rules.find(layer.name() + ".weight", true);
        if (action != nullptr && std::holds_alternative<keep_action>(*action)) {
            plan.config.ignored.push_back(layer.name());
            return;
        }
        method_action const said =
            action != nullptr ? std::get<method_action>(*action) : method_action{};
        qtk::method_chain own = said.method.empty() ? method : qtk::parse_method(said.method);
        if (!said.method.empty() && !own.transforms.empty())
            throw qtk::value_error(
                "--recipe " + to_string(*action) +
                ": smooth, awq and rotate change whole blocks. Hint: say them in "
                "--method");
        // What changes a block changes all of its layers.
        own.transforms = method.transforms;
        qtk::scheme const its = said.scheme.value_or(scheme);
        qtk::quantization_config one = config_of(options.layout, its);
        one.has_order = moves_columns(own, its);
        if (one.scheme != plan.config.scheme || one.has_order != plan.config.has_order) {
            if (!has_groups)
                throw qtk::value_error(
                    "--recipe " + to_string(*action) + ": the layout " + options.layout +
                    " has one scheme for all layers. Hint: --layout compressed_tensors or gptq");
            exception& found =
                exceptions[qtk::to_string(one.scheme) + (one.has_order ? " in an order" : "")];
            found.group = {{}, one.scheme, one.has_order, one.is_packed};
            found.layers.push_back(layer.name());
        }
        plan.shapes[layer.name()] = {layer.out(), layer.in()};
        plan.methods.emplace(layer.name(), std::move(own));
    });
    for (auto& [name, e] : exceptions) {
        e.group.targets = qtk::layer_targets(std::move(e.layers));
        plan.config.groups.push_back(std::move(e.group));
    }
    return plan;
}

/// A layer that is not among those to be quantized while others of its block are; empty if there is none.
[[nodiscard]] std::string layer_beside_quantized(qtk::decoder const& model, auto const& shapes) {
    std::string found;
    for (std::size_t i = 0; i < model.block_count(); ++i) {
        std::string kept;
        bool has_quantized = false;
        model.for_each_linear_of(i, [&](qtk::linear const& layer) {
            if (shapes.contains(layer.name()))
                has_quantized = true;
            else
                kept = layer.name();
        });
        if (has_quantized && found.empty()) found = kept;
    }
    return found;
}

}  // namespace

void method_output_options::add_to(CLI::App& command) {
    command
        .add_option("--method", method,
                    std::string("calibrate, and write a folder, or a file with --layout gguf: ") +
                        method_help)
        ->type_name("METHOD");
    command.add_option("--layout", layout, "of the folder that --method writes; gguf: of the file")
        ->check(CLI::IsMember({"gptq", "gptq_v2", "awq", "bitsandbytes", "bitsandbytes_nested",
                               "compressed_tensors", "gguf"}))
        ->capture_default_str();
    calibration.add_to(command);
}

void quantize_with_method(std::filesystem::path const& source, std::filesystem::path const& target,
                          method_output_options const& options) {
    bool const is_gguf = options.layout == "gguf";
    if (is_gguf != (target.extension() == ".gguf"))
        throw qtk::value_error(target.string() +
                               ": --layout gguf and the ending .gguf go together; other layouts "
                               "are folders");
    if (is_gguf) return quantize_to_gguf(source, target, options);
    options.calibration.require();
    qtk::method_chain const method = qtk::parse_method(options.method);
    qtk::scheme const scheme =
        qtk::parse_scheme(options.scheme.empty() ? "i4/g64/asym/f16" : options.scheme);
    recipe<layer_action> const rules(options.rules, options.recipe_file, parse_layer_action);
    language_model model = language_model::open(source.string());
    folder_plan const plan = plan_layers(model.network(), options, method, scheme, rules);
    for (std::string const& rule : rules.unused())
        fmt::print(stderr, "warning: the rule {} fits no tensor\n", rule);
    qtk::quantized_folder_writer writer(source, target, plan.config);
    for (auto const& [name, shape] : plan.shapes) writer.plan_layer(name, shape);
    if (options.is_dry) {
        fmt::print("{} layers would be {} by {}, {} kept as they are. Nothing was written.\n",
                   plan.shapes.size(), qtk::to_string(plan.config.scheme), method.name,
                   plan.config.ignored.size());
        for (qtk::scheme_group const& group : plan.config.groups)
            fmt::print("of these {} would be {}\n", group.targets.texts().size(),
                       qtk::to_string(group.scheme));
        return;
    }
    if (std::string const kept = layer_beside_quantized(model.network(), plan.shapes);
        !method.transforms.empty() && !kept.empty())
        throw qtk::value_error(kept +
                               ": a layer that is kept in a quantized block does not go "
                               "together with " +
                               method.name +
                               ", which changes the block's floats. Hint: keep whole blocks, or "
                               "a method without smooth and awq");
    calibration_text const text = options.calibration.read(model);
    qtk::decoder& network = model.network();
    for (std::size_t i = 0; i < network.block_count(); ++i)
        for_each_changed(network, i, method, plan.methods,
                         [&](std::string const& name, auto const&, std::size_t size) {
                             writer.plan_floats(name, {size});
                         });
    writer.start();
    reset_peak_memory();
    std::vector<qtk::layer_outcome> outcomes;
    {
        progress_line const line;
        outcomes = qtk::quantize_model(
            network,
            [&](std::string const& name) {
                auto const found = plan.methods.find(name);
                if (found == plan.methods.end()) return qtk::layer_plan{};
                return qtk::layer_plan{
                    qtk::config_for(plan.config, name).scheme, found->second, {}};
            },
            text.windows,
            [&](std::string const& layer, std::size_t at, std::size_t total) {
                line.show(fmt::format("layer {} of {}, {}", at + 1, total, layer));
            },
            [&](std::size_t block) {
                network.for_each_linear_of(block, [&](qtk::linear& layer) {
                    if (plan.shapes.contains(layer.name()))
                        writer.write_layer(layer.name(), take_codes(layer));
                });
                for_each_changed(network, block, method, plan.methods,
                                 [&](std::string const& name, std::span<float const> values,
                                     std::size_t) { writer.write_floats(name, values); });
            });
    }
    auto const report = writer.finish();
    std::FILE* const human = options.json_target == "-" ? stderr : stdout;
    for (qtk::layer_outcome const& layer : outcomes)
        if (!layer.note.empty()) fmt::print(human, "{}: {}\n", layer.name, layer.note);
    fmt::print(human,
               "{}\n{} layers written to {}, {} of them with every scale as it was{}. {} in all; "
               "at most {} in memory.\n",
               text.sentence, report.layers, target.string(), report.exact,
               report.worst.empty() ? std::string()
                                    : fmt::format(" (largest relative change {:.2g}, {})",
                                                  report.largest_scale_change, report.worst),
               size_text(report.file_bytes), size_text(peak_memory()));
    if (options.json_target.empty()) return;
    deliver(options.json_target, json{{"schema", "qtk.quantize/1"},
                                      {"method", method.name},
                                      {"layout", options.layout},
                                      {"calibration", text.sentence},
                                      {"exact_layers", report.exact},
                                      {"largest_scale_change", report.largest_scale_change},
                                      {"file_bytes", report.file_bytes},
                                      {"peak_memory_bytes", peak_memory()},
                                      {"rows", rows_of_outcomes(outcomes)}});
}

}  // namespace app
