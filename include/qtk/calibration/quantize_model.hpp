// SPDX-License-Identifier: Apache-2.0
//
// How is a whole model quantized with data? Block by block, from the first to the last: the calibration text
// runs through the float block, the methods of its layers see what it showed, the codes take the weights'
// place, and the quantized block makes the inputs of the next one. At any time there are the activations
// between two blocks (twice where blocks are learned: also those of the float model), the statistics of one
// block, and the model.
#pragma once

#include <qtk/calibration/block_pass.hpp>
#include <qtk/calibration/method_chain.hpp>
#include <qtk/core/error.hpp>
#include <qtk/model/calibrate.hpp>
#include <qtk/model/decoder.hpp>
#include <qtk/model/linear.hpp>
#include <qtk/model/loss_gradient.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace qtk {

/// By the layer's name.
using model_plan = std::function<layer_plan(std::string const& name)>;

/// Told when a block is quantized and no longer needed: its codes may be written and taken away
/// (linear::take_codes()), so that a model larger than memory can be quantized.
using block_done = std::function<void(std::size_t block)>;

namespace detail {

class model_pass {
  public:
    model_pass(decoder& model, model_plan const& plan, model_progress const& progress,
               block_done const& done, layer_ready const& ready)
        : model_(model), progress_(progress), done_(done), ready_(ready) {
        std::as_const(model).for_each_linear([&](linear const& layer) {
            layer_plan const p = plan(layer.name());
            if (p.scheme && p.method.needs_text()) needs_text_ = true;
            if (p.scheme && p.activations.type == activation_type::a8_static) needs_text_ = true;
            if (p.scheme && p.method.is_by_block()) is_by_block_ = true;
            if (p.scheme) fisher_windows_ = std::max(fisher_windows_, fisher_windows(p.method));
            plans_.emplace(layer.name(), p);
        });
    }

    void run(std::span<std::vector<std::int32_t> const> windows) {
        if (needs_text_) quantized_.emplace(model_, windows);
        if (is_by_block_) original_.emplace(model_, windows);
        if (fisher_windows_ > 0) find_importance(windows);
        for (std::size_t i = 0; i < model_.block_count(); ++i) {
            std::vector<stored_weight> const stored = stored_weights_of(i);
            quantize_block(i);
            if (quantized_ && i + 1 < model_.block_count()) quantized_->advance(model_);
            for (stored_weight const& weight : stored) weight.release_pages();
            if (done_) done_(i);
        }
    }
    [[nodiscard]] std::vector<layer_outcome> outcomes() && { return std::move(outcomes_); }

  private:
    void quantize_block(std::size_t i) {
        block_pass pass(model_, i, plans_, quantized_ ? &*quantized_ : nullptr, outcomes_,
                        progress_, ready_);
        if (!original_) return pass.run({}, {});
        std::vector<matrix> targets = original_->outputs(model_);
        pass.run(targets, importance_of(i));
        original_->advance_to(std::move(targets));
    }
    /// Weights of a block that lie in a file.
    [[nodiscard]] std::vector<stored_weight> stored_weights_of(std::size_t block) {
        std::vector<stored_weight> found;
        model_.for_each_linear_of(block, [&](linear& layer) {
            if (auto const* const stored = layer.form().find<stored_weight>())
                found.push_back(*stored);
        });
        return found;
    }
    [[nodiscard]] static std::size_t fisher_windows(method_chain const& method) {
        return std::visit(
            [](auto const& step) -> std::size_t {
                if constexpr (requires { step.fisher_windows; })
                    return step.fisher_windows;
                else
                    return 0;
            },
            method.rounding);
    }
    /// Squared gradients of the loss by what each block puts out, on windows spread over the text.
    void find_importance(std::span<std::vector<std::int32_t> const> windows) {
        std::size_t const count = std::min(fisher_windows_, windows.size());
        for (std::size_t i = 0; i < count; ++i)
            importance_windows_.push_back(i * windows.size() / count);
        by_window_.resize(count);
        constexpr std::size_t always_worth_threads = std::size_t{1} << 30;
        parallel_for(count, always_worth_threads, [&](std::size_t i) {
            by_window_[i] = loss_gradients(model_, windows[importance_windows_[i]]).by_stream;
            for (matrix& gradient : by_window_[i])
                for (std::size_t k = 0; k < gradient.view().size(); ++k)
                    gradient.data()[k] *= gradient.data()[k];
        });
    }
    [[nodiscard]] block_importance importance_of(std::size_t block) {
        block_importance found{.windows = importance_windows_, .weights = {}};
        for (std::vector<matrix>& streams : by_window_)
            found.weights.push_back(std::move(streams[block + 1]));
        return found;
    }

    decoder& model_;
    model_progress const& progress_;
    block_done const& done_;
    layer_ready const& ready_;
    std::map<std::string, layer_plan> plans_;
    bool needs_text_ = false, is_by_block_ = false;
    std::size_t fisher_windows_ = 0;
    std::optional<calibration_stream> quantized_, original_;
    std::vector<std::size_t> importance_windows_;
    std::vector<std::vector<matrix>> by_window_;
    std::vector<layer_outcome> outcomes_;
};

}  // namespace detail

/// Quantizes the layers of the blocks as `plan` says, with `windows` of tokens as calibration text, and gives
/// one outcome a layer. Layers then hold codes (linear::quantized_weight()), to be packed or written. Throws
/// what the methods throw; value_error if a method needs text and there is none.
inline std::vector<layer_outcome> quantize_model(decoder& model, model_plan const& plan,
                                                 std::span<std::vector<std::int32_t> const> windows,
                                                 model_progress const& progress = {},
                                                 block_done const& done = {},
                                                 layer_ready const& ready = {}) {
    detail::model_pass pass(model, plan, progress, done, ready);
    pass.run(windows);
    return std::move(pass).outcomes();
}

/// Packs the layers that have an outcome, for the activations that it names. Throws like linear::pack().
inline void pack_layers(decoder& model, std::span<layer_outcome const> outcomes) {
    std::map<std::string, layer_activations> activations;
    for (layer_outcome const& o : outcomes) activations[o.name] = o.activations;
    model.for_each_linear([&](linear& layer) {
        if (auto const found = activations.find(layer.name()); found != activations.end())
            layer.pack(found->second);
    });
}

}  // namespace qtk
