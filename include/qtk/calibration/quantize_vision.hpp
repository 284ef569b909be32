// SPDX-License-Identifier: Apache-2.0
//
// How is a vision network quantized with images? Layer by layer with what the layers of the float network
// see: first what changes inputs (smooth, awq, rotate; each layer for itself, its factors stay at its
// input), then the codes by the layer's method, its biases, and the grid of its activations.
//
//   quantize_vision(model, [](std::string const& layer) { return layer_plan{...}; }, images);
//   pack_layers(model, outcomes);
//
// As published, GPTQ and AdaRound show a layer what the quantized layers before it make; here all see the
// float network, so that one pass over the images serves every scheme. Methods that learn a block as a whole
// (brecq, autoround, omniquant) go through the network from block to block and see what is quantized already.
#pragma once

#include <qtk/calibration/activation_range.hpp>
#include <qtk/calibration/layer_plan.hpp>
#include <qtk/calibration/layer_task.hpp>
#include <qtk/calibration/method_chain.hpp>
#include <qtk/calibration/vision_statistics.hpp>
#include <qtk/core/error.hpp>
#include <qtk/core/matrix.hpp>
#include <qtk/core/matrix_view.hpp>
#include <qtk/format/ordered_qmatrix.hpp>
#include <qtk/method/awq.hpp>
#include <qtk/method/column_scaling.hpp>
#include <qtk/method/smooth_quant.hpp>
#include <qtk/model/image.hpp>
#include <qtk/model/input_transform.hpp>
#include <qtk/model/linear.hpp>
#include <qtk/model/rotation.hpp>
#include <qtk/model/vision_model.hpp>
#include <qtk/model/vision_reconstruction.hpp>

#include <chrono>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace qtk {

/// By the layer's name.
using vision_plan = std::function<layer_plan(std::string const& name)>;

/// The plan with the scheme `edges` in the first and the last layer, and static activations of 8 bits where
/// they are static: networks lose most there, and gain least.
[[nodiscard]] inline vision_plan with_edges(vision_plan plan, vision_model const& model,
                                            std::optional<scheme> edges) {
    std::string first, last;
    model.for_each_linear([&](linear const& layer) {
        if (first.empty()) first = layer.name();
        last = layer.name();
    });
    return [=](std::string const& name) {
        layer_plan made = plan(name);
        if (name != first && name != last) return made;
        made.scheme = edges;
        if (made.activations.type == activation_type::a8_static)
            made.activations.grid = activation_codes(8, made.activations.grid.is_symmetric());
        return made;
    };
}

namespace detail {

class vision_pass {
  public:
    vision_pass(vision_model& model, vision_plan const& plan, activation_range const& range)
        : model_(model), range_(range) {
        std::as_const(model).for_each_linear([&](linear const& layer) {
            layer_plan const p = plan(layer.name());
            plans_.emplace(layer.name(), p);
            if (!p.scheme) return;
            if (p.method.find<outlier_step>() != nullptr)
                throw value_error(layer.name() + ": " + p.method.name +
                                  " has no meaning for images. Hint: rtn");
            if (!by_block_) by_block_ = p.method.is_by_block();
            if (*by_block_ != p.method.is_by_block())
                throw value_error(layer.name() + ": " + p.method.name +
                                  " cannot be mixed: either all layers are learned by blocks or "
                                  "none is");
            if (*by_block_ && !p.method.transforms.empty())
                throw value_error(layer.name() + ": " + p.method.name +
                                  ": blocks of images are learned without changes of inputs");
        });
    }

    /// Does any layer change its input, so that its statistics have to be taken again?
    [[nodiscard]] bool has_transforms() const {
        for (auto const& [name, plan] : plans_)
            if (plan.scheme && !plan.method.transforms.empty()) return true;
        return false;
    }
    void transform(vision_statistics const& seen) {
        for_each_planned([&](linear& layer, layer_plan const& plan) {
            for (transform_step const& step : plan.method.transforms)
                std::visit([&](auto const& s) { change(layer, plan, s, seen.of(layer.name())); },
                           step);
        });
    }
    std::vector<layer_outcome> quantize(vision_statistics const& seen, pixel_rows images) {
        std::vector<layer_outcome> outcomes;
        bool const is_by_block = by_block_.value_or(false);
        for_each_planned([&](linear& layer, layer_plan const& plan) {
            input_statistics const& inputs = seen.of(layer.name());
            layer_outcome outcome{
                layer.name(), plan.method.name, *plan.scheme, plan.activations, {}, {}};
            if (outcome.activations.type == activation_type::a8_static)
                outcome.activations.grid = calibrated_grid(inputs, range_, plan.activations.grid);
            if (!is_by_block) round(layer, plan, inputs, outcome);
            outcomes.push_back(std::move(outcome));
        });
        if (!is_by_block || outcomes.empty()) return outcomes;
        // Of several methods the first one's kind counts: plans of images have one.
        std::visit(
            [&](auto const& step) {
                if constexpr (requires { step.is_by_block; })
                    reconstruct(step, seen, images, outcomes);
            },
            plans_.at(outcomes.front().name).method.rounding);
        return outcomes;
    }

  private:
    template <typename F>
    void for_each_planned(F const& f) {
        model_.for_each_linear([&](linear& layer) {
            layer_plan const& plan = plans_.at(layer.name());
            if (plan.scheme) f(layer, plan);
        });
    }

    /// The layer divides its input by t from now on. The weights of both sides meet as before.
    static void divide_input(linear& layer, std::vector<float> const& t) {
        auto const by = std::make_shared<input_transform const>(
            layer.in(), input_transform::parts{.factors = reciprocals(t)});
        matrix changed = by->weight_for(layer.form().floats().view());
        layer.set_weight(std::move(changed));
        layer.set_input(by);
    }
    static void require_plain(linear const& layer) {
        if (layer.input() != nullptr)
            throw value_error(layer.name() +
                              ": of smooth and awq only one can change the input of a layer, and "
                              "before rotate");
    }
    static void change(linear& layer, layer_plan const& plan, smooth_step const& step,
                       input_statistics const& seen) {
        require_plain(layer);
        matrix const w = layer.form().floats();
        matrix_view<float const> const weights[] = {w.view()};
        std::vector<float> const largest = column_maxima(weights);
        if (step.options.alpha)
            return divide_input(layer,
                                smoothing_factors(seen.abs_max(), largest, *step.options.alpha));
        smoothed_schemes schemes{.weights = *plan.scheme};
        if (plan.activations.type == activation_type::a8_static)
            schemes.activations = {.element = format{.bits = bits_of(plan.activations.grid)},
                                   .grain = per_tensor};
        divide_input(layer,
                     search_smoothing(seen.abs_max(), largest, 20, [&](std::span<float const> t) {
                         return smoothed_error(schemes, seen.rows(), weights, t);
                     }).factors);
    }
    static void change(linear& layer, layer_plan const& plan, awq_step const& step,
                       input_statistics const& seen) {
        require_plain(layer);
        matrix const w = layer.form().floats();
        divide_input(layer, awq(seen, {.steps = 20, .is_duo = step.options.search.is_duo})
                                .run(*plan.scheme, w.view())
                                .choice.factors);
    }
    static void change(linear& layer, layer_plan const&, rotate_step const& step,
                       input_statistics const&) {
        rotate_input(layer, hadamard(layer.in(), step.seed));
    }

    static void round(linear& layer, layer_plan const& plan, input_statistics const& seen,
                      layer_outcome& outcome) {
        auto const start = std::chrono::steady_clock::now();
        matrix const weight = layer.form().floats();
        layer_codes codes =
            run_method(plan.method, {layer.name(), *plan.scheme, weight.view(), &seen});
        matrix const left = decode_in_order(codes.weight);
        if (plan.method.needs_hessian())
            outcome.output_error =
                relative_output_error(weight.view(), left.view(), seen.hessian().view());
        if (plan.method.corrects_bias) correct_bias(layer, weight.view(), left.view(), seen);
        outcome.note = std::move(codes.note);
        layer.set_weight(std::move(codes.weight.matrix));
        if (!codes.weight.order.empty()) sort_input(layer, codes.weight.order);
        std::chrono::duration<double> const taken = std::chrono::steady_clock::now() - start;
        outcome.seconds = taken.count();
    }

    /// All layers, block by block.
    template <typename Options>
    void reconstruct(learned_step<Options> const& step, vision_statistics const& seen,
                     pixel_rows images, std::vector<layer_outcome>& outcomes) {
        auto const start = std::chrono::steady_clock::now();
        using quantization = typename learned_of<Options>::quantization;
        auto const make = [&](linear const& layer,
                              matrix_view<float const> w) -> std::optional<quantization> {
            layer_plan const& plan = plans_.at(layer.name());
            if (!plan.scheme) return std::nullopt;
            return std::optional<quantization>(std::in_place, *plan.scheme, w,
                                               quantize_options{.name = layer.name().c_str()},
                                               step.options);
        };
        std::vector<layer_activations> activations;
        std::size_t next = 0;
        std::as_const(model_).for_each_linear([&](linear const& layer) {
            bool const is_planned = plans_.at(layer.name()).scheme.has_value();
            activations.push_back(is_planned ? outcomes[next++].activations : layer_activations{});
        });
        reconstructed_network made = reconstruct_vision_model(
            model_, images, make, {.block = step.block, .is_fisher = step.fisher_windows > 0},
            activations);
        std::chrono::duration<double> const taken = std::chrono::steady_clock::now() - start;
        std::size_t at = 0;
        next = 0;
        model_.for_each_linear([&](linear& layer) {
            std::optional<any_qmatrix>& codes = made.weights[at++];
            if (!codes) return;
            layer_outcome& outcome = outcomes[next++];
            outcome.seconds = taken.count() / static_cast<double>(outcomes.size());
            matrix const weight = layer.form().floats();
            layer.set_weight(*std::move(codes));
            if (plans_.at(layer.name()).method.corrects_bias)
                correct_bias(layer, weight.view(), layer.form().floats().view(),
                             seen.of(layer.name()));
        });
    }

    vision_model& model_;
    activation_range const& range_;
    std::map<std::string, layer_plan> plans_;
    std::optional<bool> by_block_;
};

}  // namespace detail

/// Quantizes the layers that have a scheme in `plan`, with the statistics of the float model, and gives one
/// outcome a layer. Layers then hold codes, to be packed. `seen` must have the Hessian of layers whose
/// method reads one; `images` are seen again where inputs change or blocks are learned. Throws what the
/// methods throw; value_error for plans that mix methods by layers and by blocks, and for methods for text.
inline std::vector<layer_outcome> quantize_vision(vision_model& model, vision_plan const& plan,
                                                  vision_statistics const& seen, pixel_rows images,
                                                  activation_range const& range = {}) {
    detail::vision_pass pass(model, plan, range);
    if (!pass.has_transforms()) return pass.quantize(seen, images);
    pass.transform(seen);
    return pass.quantize(vision_statistics(model, images, seen.options()), images);
}
/// The same with statistics of its own.
inline std::vector<layer_outcome> quantize_vision(vision_model& model, vision_plan const& plan,
                                                  pixel_rows images,
                                                  activation_range const& range = {}) {
    auto const needs = [&](linear const& layer) {
        return plan(layer.name()).method.needs_hessian();
    };
    return quantize_vision(model, plan, vision_statistics(model, images, {.has_hessian = needs}),
                           images, range);
}

/// Packs the layers that have an outcome, for the activations that it names; `is_simulated`: rounds them in
/// floats instead (linear::simulate). Throws like linear::pack().
inline void pack_layers(vision_model& model, std::span<layer_outcome const> outcomes,
                        bool is_simulated = false) {
    std::map<std::string, layer_activations const*> activations;
    for (layer_outcome const& o : outcomes) activations[o.name] = &o.activations;
    model.for_each_linear([&](linear& layer) {
        auto const found = activations.find(layer.name());
        if (found == activations.end()) return;
        if (is_simulated)
            layer.simulate(*found->second);
        else
            layer.pack(*found->second);
    });
}

}  // namespace qtk
