// SPDX-License-Identifier: Apache-2.0
//
// How are the layers of one block quantized? First what makes weights easier to round (smooth, awq, rotate),
// then the codes, layer by layer or all together, then the biases. Every step sees the calibration text as
// the quantized blocks before this one leave it.
#pragma once

#include <qtk/calibration/layer_plan.hpp>
#include <qtk/calibration/layer_task.hpp>
#include <qtk/calibration/method_chain.hpp>
#include <qtk/core/matrix.hpp>
#include <qtk/math/hadamard.hpp>
#include <qtk/method/llm_int8.hpp>
#include <qtk/model/block_gradient.hpp>
#include <qtk/model/block_reconstruction.hpp>
#include <qtk/model/block_statistics.hpp>
#include <qtk/model/calibrate.hpp>
#include <qtk/model/decoder.hpp>
#include <qtk/model/input_transform.hpp>
#include <qtk/model/linear.hpp>
#include <qtk/model/rotation.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace qtk {

/// Told of a layer when its transforms are done and its codes are not found yet: what it would be if it alone
/// stayed float.
using layer_ready = std::function<void(linear const& layer)>;

/// Weights of the errors of a block's outputs, on some of the windows.
struct block_importance {
    std::vector<std::size_t> windows;
    std::vector<matrix> weights;
};

namespace detail {

class block_pass {
  public:
    /// `stream` is before the block, or nothing where no method needs text.
    block_pass(decoder& model, std::size_t block, std::map<std::string, layer_plan> const& plans,
               calibration_stream const* stream, std::vector<layer_outcome>& outcomes,
               model_progress const& progress, layer_ready const& ready)
        : model_(model),
          block_(block),
          plans_(plans),
          stream_(stream),
          outcomes_(outcomes),
          progress_(progress),
          ready_(ready) {
        model.for_each_linear_of(block, [&](linear& layer) {
            if (plan_of(layer).scheme) layers_.push_back(&layer);
        });
    }

    /// `targets` are the float block's outputs; only blocks that are learned as a whole read them.
    void run(std::vector<matrix> const& targets, block_importance const& importance) {
        if (layers_.empty()) return;
        for (transform_step const& step : plan_of(*layers_.front()).method.transforms)
            std::visit([&](auto const& s) { transform(s); }, step);
        first_ = outcomes_.size();
        if (needs_statistics())
            seen_.emplace(model_, *stream_, [&](linear const& layer) {
                return is_sequential(layer) ? std::nullopt : needs_of(layer);
            });
        find_outliers();
        for (linear* const layer : layers_) quantize(*layer);
        reconstruct<adaround_options>(targets, importance);
        reconstruct<auto_round_options>(targets, importance);
        reconstruct<omniquant_options>(targets, importance);
        for (std::size_t i = 0; i < layers_.size(); ++i) finish(*layers_[i], i);
    }

  private:
    using clock = std::chrono::steady_clock;

    [[nodiscard]] layer_plan const& plan_of(linear const& layer) const {
        return plans_.at(layer.name());
    }
    [[nodiscard]] static double seconds_since(clock::time_point start) {
        return std::chrono::duration<double>(clock::now() - start).count();
    }

    void transform(smooth_step const& step) {
        static_cast<void>(smooth_block(model_, *stream_, step.options));
    }
    void transform(awq_step const& step) {
        static_cast<void>(awq_block(
            model_, *stream_, [&](linear const& layer) { return plan_of(layer).scheme; },
            step.options));
    }
    void transform(rotate_step const& step) {
        std::map<std::size_t, std::shared_ptr<input_transform const>> by_size;
        for (linear* const layer : layers_) {
            bool const is_plain = layer->input() == nullptr;
            rotate_input(*layer, hadamard(layer->in(), step.seed));
            if (!is_plain) continue;
            // One size and one seed are one rotation: layers with one input may share its statistics.
            auto const [first, is_new] = by_size.try_emplace(layer->in(), layer->input());
            if (!is_new) layer->set_input(first->second);
        }
    }

    [[nodiscard]] bool is_sequential(linear const& layer) const {
        gptq_step const* const step = plan_of(layer).method.find<gptq_step>();
        return step != nullptr && step->is_sequential;
    }
    /// Layers without a scheme are not asked.
    [[nodiscard]] std::optional<statistics_options> needs_of(linear const& layer) const {
        layer_plan const& plan = plan_of(layer);
        bool const has_statics = plan.activations.type == activation_type::a8_static;
        if (!plan.scheme || !(plan.method.needs_statistics() || has_statics)) return std::nullopt;
        return statistics_options{.has_hessian = plan.method.needs_hessian()};
    }
    [[nodiscard]] bool needs_statistics() const {
        return std::ranges::any_of(layers_, [&](linear const* layer) {
            return !is_sequential(*layer) && needs_of(*layer).has_value();
        });
    }
    /// Of the layer as it is now; a sequential method looks again for every layer.
    [[nodiscard]] input_statistics const* inputs_of(linear const& layer) {
        if (!needs_of(layer)) return nullptr;
        if (seen_ && seen_->has(layer)) return &seen_->of(layer);
        if (!fresh_ || !fresh_->has(layer))
            fresh_.emplace(model_, *stream_, [&](linear const& other) {
                return &other == &layer ? needs_of(other) : std::nullopt;
            });
        return &fresh_->of(layer);
    }

    void quantize(linear& layer) {
        layer_plan const& plan = plan_of(layer);
        if (progress_) progress_(layer.name(), outcomes_.size(), plans_.size());
        auto const start = clock::now();
        outcomes_.push_back(
            {layer.name(), plan.method.name, *plan.scheme, plan.activations, {}, {}});
        weights_.push_back(layer.form().floats());
        if (ready_) ready_(layer);
        if (plan.method.is_by_block()) return;
        input_statistics const* const inputs = inputs_of(layer);
        matrix_view<float const> const weight = std::as_const(weights_.back()).view();
        layer_codes codes = run_method(plan.method, {layer.name(), *plan.scheme, weight, inputs});
        if (inputs != nullptr) {
            matrix const left = decode_in_order(codes.weight);
            if (plan.method.needs_hessian())
                outcomes_.back().output_error =
                    relative_output_error(weight, left.view(), inputs->hessian().view());
            if (plan.method.corrects_bias) correct_bias(layer, weight, left.view(), *inputs);
        }
        outcomes_.back().note = std::move(codes.note);
        layer.set_weight(std::move(codes.weight.matrix));
        if (!codes.weight.order.empty()) sort_input(layer, codes.weight.order);
        outcomes_.back().seconds = seconds_since(start);
    }
    /// The layers of the block whose step is of this kind, together.
    template <typename Options>
    void reconstruct(std::vector<matrix> const& targets, block_importance const& importance) {
        learned_step<Options> const* step = nullptr;
        auto const step_of = [&](linear const& layer) -> learned_step<Options> const* {
            layer_plan const& plan = plan_of(layer);
            return plan.scheme && plan.method.is_by_block()
                       ? plan.method.template find<learned_step<Options>>()
                       : nullptr;
        };
        for (linear const* const layer : layers_)
            if (step == nullptr) step = step_of(*layer);
        if (step == nullptr) return;
        auto const start = clock::now();
        std::vector<matrix> inputs(stream_->inputs().begin(), stream_->inputs().end());
        std::vector<matrix> wanted = targets;
        bool const has_importance = step->fisher_windows > 0;
        if (has_importance) {
            inputs.clear(), wanted.clear();
            for (std::size_t const w : importance.windows) {
                inputs.push_back(stream_->inputs()[w]);
                wanted.push_back(targets[w]);
            }
        }
        block_samples samples{inputs, wanted, {}};
        if (has_importance) samples.importance = importance.weights;
        using quantization = typename learned_of<Options>::quantization;
        auto const make = [&](linear const& layer,
                              matrix_view<float const> w) -> std::optional<quantization> {
            if (step_of(layer) == nullptr) return std::nullopt;
            return std::optional<quantization>(std::in_place, *plan_of(layer).scheme, w,
                                               quantize_options{.name = layer.name().c_str()},
                                               step_of(layer)->options);
        };
        reconstruction_report report;
        model_.visit_block(block_, [&](auto& block) {
            report = reconstruct_block(block, samples, make, step->block);
        });
        double const seconds = seconds_since(start);
        for (std::size_t i = 0; i < layers_.size(); ++i) {
            if (step_of(*layers_[i]) == nullptr) continue;
            outcomes_[first_ + i].seconds = seconds / static_cast<double>(layers_.size());
            if (!report.is_better())
                outcomes_[first_ + i].note = "round to nearest: nothing better was learned";
        }
    }

    /// The columns in which the inputs of layers with such a step have outliers.
    void find_outliers() {
        auto const step_of = [&](linear const& layer) {
            return plan_of(layer).method.find<outlier_step>();
        };
        if (std::ranges::none_of(layers_, [&](linear const* l) { return step_of(*l) != nullptr; }))
            return;
        std::map<linear const*, outlier_statistics> seen;
        stream_->observe(model_, [&](layer_group group, matrix_view<float const> x) {
            for (linear const* const layer : group) {
                if (!plan_of(*layer).scheme || step_of(*layer) == nullptr) continue;
                auto const at =
                    seen.try_emplace(layer, layer->in(), plan_of(*layer).activations.threshold);
                at.first->second.add(layer->changed_input(x).view());
            }
        });
        for (auto const& [layer, statistics] : seen)
            outliers_[layer] = std::make_shared<std::vector<std::uint32_t> const>(
                statistics.outliers(step_of(*layer)->share).columns);
    }

    /// What is left to do when all codes are there: biases of layers that were learned together, and what
    /// is static in the activations.
    void finish(linear& layer, std::size_t i) {
        layer_plan const& plan = plan_of(layer);
        layer_activations& how = outcomes_[first_ + i].activations;
        if (plan.method.corrects_bias && plan.method.is_by_block())
            correct_bias(layer, weights_[i].view(), layer.form().floats().view(),
                         *inputs_of(layer));
        if (how.type == activation_type::a8_static)
            how.grid = fit_activation_grid(inputs_of(layer)->range(), how.grid);
        if (auto const found = outliers_.find(&layer); found != outliers_.end())
            how.has_outliers = true, how.type = activation_type::a8_row,
            how.columns = found->second;
    }

    decoder& model_;
    std::size_t block_, first_ = 0;
    std::map<std::string, layer_plan> const& plans_;
    calibration_stream const* stream_;
    std::vector<layer_outcome>& outcomes_;
    model_progress const& progress_;
    layer_ready const& ready_;
    std::vector<linear*> layers_;
    std::vector<matrix> weights_;  // before they were rounded
    std::optional<block_statistics> seen_, fresh_;
    std::map<linear const*, std::shared_ptr<std::vector<std::uint32_t> const>> outliers_;
};

}  // namespace detail
}  // namespace qtk
