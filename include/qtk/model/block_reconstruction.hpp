// SPDX-License-Identifier: Apache-2.0
//
// Which codes change the output of a whole block least? All linear layers of a block are learned
// together, so that each can make up for the others (BRECQ: Li et al. 2021, "BRECQ: Pushing the Limit of
// Post-Training Quantization by Block Reconstruction"; AutoRound and OmniQuant work by blocks, too):
//
//   L = mean of F (y' - y)^2        y  the targets: outputs of the float block
//                                   F  1, or the squared gradients of the network's loss by y (Fisher)
//
// Inputs should be those that the quantized blocks before this one make. Each step draws some windows and
// moves every layer against dL/dW'. Round to nearest is kept where nothing better is found over all windows. A
// block is whatever can be run and run back: one of a decoder (block_gradient.hpp), or a part of a vision network
// (vision_reconstruction.hpp).
//
// Differs from BRECQ: rounding alone is learned or ranges alone, as the learned quantization says; steps of
// activations are not, but the activations are rounded while the weights learn.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/core/matrix.hpp>
#include <qtk/core/matrix_view.hpp>
#include <qtk/core/random.hpp>
#include <qtk/kernel/parallel.hpp>
#include <qtk/math/blas.hpp>
#include <qtk/method/layer_reconstruction.hpp>
#include <qtk/method/learned.hpp>
#include <qtk/model/gradient_layer.hpp>
#include <qtk/model/linear.hpp>
#include <qtk/model/rounded_activations.hpp>

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace qtk {

struct block_reconstruction_options {
    std::size_t steps = 200;
    std::size_t batch = 8;  ///< Windows of a step; 0, or more than there are: all.
    std::size_t checks =
        10;  ///< How often the loss over all windows is computed, to keep the best.
    std::size_t lanes =
        4;  ///< Sums of gradients at the same time, each as large as the block's weights.
    std::uint64_t seed = 0;  ///< Of the order of windows.
};

/// What a block is shown: for each window an input [t, width], and of the shape of what the block makes of it
/// the target and, or nothing, F.
struct block_samples {
    std::span<matrix const> inputs, targets, importance = {};
};

/// for_each_linear(f)     its layers, to be changed
/// block_output(b, x)     what it makes of x
/// block_shape(b, x)      the shape of that, without running it
/// block_run(b, x)        a run with an output() and a backward(d, by_weights), as block_tape
template <typename B>
concept reconstructible_block = requires(B block, B const fixed, matrix const& x,
                                         std::span<matrix> by_weights) {
    block.for_each_linear([](linear&) {});
    fixed.for_each_linear([](linear const&) {});
    { block_output(fixed, x) } -> std::same_as<matrix>;
    { block_shape(fixed, x) } -> std::convertible_to<std::array<std::size_t, 2>>;
    { view_of(block_run(fixed, x).output()) } -> std::same_as<matrix_view<float const>>;
    { block_run(fixed, x).backward(x.view(), by_weights) } -> std::same_as<matrix>;
};

namespace detail {

/// Throws value_error or shape_error if windows do not belong together.
template <reconstructible_block B>
void require_samples(B const& block, block_samples const& samples) {
    auto const [inputs, targets, importance] = samples;
    if (inputs.empty()) throw value_error("block reconstruction: expected at least one window");
    if (targets.size() != inputs.size() ||
        (!importance.empty() && importance.size() != inputs.size()))
        throw value_error(
            "block reconstruction: expected as many targets, and weights if any, as "
            "the " +
            std::to_string(inputs.size()) + " inputs, found " + std::to_string(targets.size()) +
            " and " + std::to_string(importance.size()));
    for (std::size_t i = 0; i < inputs.size(); ++i)
        if (std::array<std::size_t, 2> const made = block_shape(block, inputs[i]);
            targets[i].shape() != made || (!importance.empty() && importance[i].shape() != made))
            throw shape_error("block reconstruction: the target and the weights of window " +
                              std::to_string(i) + " have not the shape of the block's output");
}

/// Windows in a seeded order, each as often as the others.
class window_order {
  public:
    window_order(std::size_t windows, std::uint64_t seed) : order_(windows), random_(seed) {
        std::iota(order_.begin(), order_.end(), std::size_t{0});
        next_ = windows;
    }
    [[nodiscard]] std::size_t draw() {
        if (next_ == order_.size()) {
            for (std::size_t i = order_.size(); i > 1; --i)
                std::swap(order_[i - 1], order_[uniform_index(random_, i)]);
            next_ = 0;
        }
        return order_[next_++];
    }

  private:
    std::vector<std::size_t> order_;
    splitmix64 random_;
    std::size_t next_ = 0;
};

/// The loss L of one window, not yet divided; `gradient`, unless it is empty, becomes factor * dL/dy.
inline double square_error(block_samples const& samples, std::size_t window,
                           matrix_view<float const> y, matrix_view<float> gradient,
                           double factor) noexcept {
    double loss = 0.0;
    for (std::size_t r = 0; r < y.rows; ++r)
        for (std::size_t c = 0; c < y.cols; ++c) {
            double const error =
                static_cast<double>(y(r, c)) - static_cast<double>(samples.targets[window](r, c));
            double const weight = samples.importance.empty()
                                      ? 1.0
                                      : static_cast<double>(samples.importance[window](r, c));
            loss += weight * error * error;
            if (gradient.rows > 0)
                gradient(r, c) = static_cast<float>(2.0 * factor * weight * error);
        }
    return loss;
}

/// A block in work, with a learned quantization for each layer that takes part.
template <reconstructible_block B, learned_quantization L>
class block_learner {
  public:
    /// `activations` of each layer while the weights learn, or none.
    block_learner(B& block, block_samples const& samples, std::vector<std::optional<L>> learned,
                  block_reconstruction_options const& options,
                  std::span<layer_activations const> activations)
        : block_(block),
          samples_(samples),
          learned_(std::move(learned)),
          options_(options),
          activations_(activations.begin(), activations.end()) {
        activations_.resize(learned_.size());
        for (std::optional<L> const& layer : learned_)
            if (layer) weights_ += layer->weights().size();
    }

    reconstruction_report run() {
        single_threaded_blas const one_thread;
        std::vector<any_qmatrix> nearest, codes;
        for_each_learned([&](linear&, L& l) { nearest.push_back(l.grid().nearest()); });
        try_out(nearest);
        reconstruction_report report{.nearest = loss(), .learned = 0.0, .steps = 0};
        if (!nearest.empty() && report.nearest > 0.0) {
            for (any_qmatrix const& q : nearest) schemes_.push_back(q.scheme());
            learn(static_cast<double>(weights_) / report.nearest);
            for_each_learned([&](linear&, L& l) { codes.push_back(l.finish()); });
            try_out(codes);
            report.learned = loss();
            report.steps = options_.steps;
        }
        set(report.steps > 0 && report.is_better() ? codes : nearest);
        return report;
    }

  private:
    static constexpr std::size_t always_worth_threads = std::size_t{1} << 30;

    template <typename F>
    void for_each_learned(F const& f) {
        std::size_t i = 0;
        block_.for_each_linear([&](linear& layer) {
            std::optional<L>& learned = learned_[i];
            layer_activations const& activations = activations_[i++];
            if constexpr (std::invocable<F const&, linear&, L&, layer_activations const&>) {
                if (learned) f(layer, *learned, activations);
            } else if (learned) {
                f(layer, *learned);
            }
        });
    }
    void set(std::vector<any_qmatrix> const& codes) {
        std::size_t i = 0;
        for_each_learned([&](linear& layer, L&) { layer.set_weight(codes[i++]); });
    }
    /// The codes as they will run: with rounded activations, if any are.
    void try_out(std::vector<any_qmatrix> const& codes) {
        set(codes);
        for_each_learned([](linear& layer, L&, layer_activations const& activations) {
            if (activations.type != activation_type::f32) layer.simulate(activations);
        });
    }
    /// The layers multiply by what the learned quantizations say now.
    void show() {
        std::size_t i = 0;
        for_each_learned([&](linear& layer, L& l, layer_activations const& activations) {
            matrix weights = copy_of(l.weights());
            scheme const& s = schemes_[i++];
            if (activations.type == activation_type::f32)
                layer.set_weight(std::move(weights));
            else
                layer.set_weight(simulated_weight{std::move(weights), s, activations});
        });
    }
    [[nodiscard]] double values() const {
        double count = 0.0;
        for (matrix const& y : samples_.targets) count += static_cast<double>(y.view().size());
        return count;
    }

    /// Over all windows.
    [[nodiscard]] double loss() const {
        std::vector<double> losses(samples_.inputs.size());
        parallel_for(losses.size(), always_worth_threads, [&](std::size_t i) {
            matrix const y = block_output(std::as_const(block_), samples_.inputs[i]);
            losses[i] = square_error(samples_, i, y.view(), {}, 0.0);
        });
        return std::accumulate(losses.begin(), losses.end(), 0.0) / values();
    }

    /// dL/dW' of all layers over a batch, times `scale`. Window i of the batch adds to lane i modulo their
    /// count, and lanes are added in order: the same sums for any number of threads.
    [[nodiscard]] std::vector<matrix> gradients(std::span<std::size_t const> batch, double scale) {
        double count = 0.0;
        for (std::size_t const i : batch)
            count += static_cast<double>(samples_.targets[i].view().size());
        std::size_t const lanes = std::clamp<std::size_t>(options_.lanes, 1, batch.size());
        std::vector<std::vector<matrix>> sums(lanes);
        parallel_for(lanes, always_worth_threads, [&](std::size_t lane) {
            sums[lane] = zero_gradients(block_);
            for (std::size_t i = lane; i < batch.size(); i += lanes) {
                auto const run = block_run(std::as_const(block_), samples_.inputs[batch[i]]);
                matrix_view<float const> const y = view_of(run.output());
                matrix by_output(y.rows, y.cols);
                static_cast<void>(
                    square_error(samples_, batch[i], y, by_output.view(), scale / count));
                static_cast<void>(run.backward(by_output.view(), sums[lane]));
            }
        });
        for (std::size_t lane = 1; lane < lanes; ++lane)
            for (std::size_t i = 0; i < sums[0].size(); ++i)
                add_to(sums[lane][i].view(), sums[0][i]);
        return std::move(sums[0]);
    }

    void learn(double scale) {
        std::size_t const windows = samples_.inputs.size();
        std::vector<std::size_t> batch(options_.batch == 0 ? windows
                                                           : std::min(options_.batch, windows));
        std::size_t const between =
            std::max<std::size_t>(options_.steps / std::max<std::size_t>(options_.checks, 1), 1);
        window_order order(windows, options_.seed);
        for (std::size_t step = 0; step < options_.steps; ++step) {
            show();
            if (step % between == 0) check();
            for (std::size_t& window : batch) window = order.draw();
            std::vector<matrix> const by_weights = gradients(batch, scale);
            for (std::size_t i = 0; i < learned_.size(); ++i)
                if (learned_[i])
                    learned_[i]->step(
                        by_weights[i].view(),
                        static_cast<double>(step) / static_cast<double>(options_.steps));
        }
        show();
        check();
    }
    void check() {
        if constexpr (best_keeping<L>) {
            double const now = loss();
            for_each_learned([now](linear&, L& l) { l.keep_if_best(now); });
        }
    }

    B& block_;
    block_samples samples_;
    std::vector<std::optional<L>> learned_;
    block_reconstruction_options options_;
    std::vector<layer_activations> activations_;
    std::vector<scheme> schemes_;  // of the layers that learn
    std::size_t weights_ = 0;
};

template <typename T>
inline constexpr bool is_optional_learned = false;
template <learned_quantization L>
inline constexpr bool is_optional_learned<std::optional<L>> = true;

}  // namespace detail

/// Makes the learned quantization of a layer, or none for one that stays as it is:
/// std::optional<L> make(linear const& layer, matrix_view<float const> weight).
template <typename F>
concept layer_learner = detail::is_optional_learned<
    std::invoke_result_t<F const&, linear const&, matrix_view<float const>>>;

/// Learns the codes of the block's layers together; afterwards the layers hold them, or those of round to
/// nearest if these are better over all windows. The report gives L of both. Where `activations` are given, one for
/// each layer in the order of for_each_linear(), those of layers that learn are rounded in all of this, and are
/// floats again in the end. Throws value_error or shape_error for windows that do not belong together or another
/// number of activations, and what `make` throws; the block is as before then. The same codes for any number of threads. Memory: the block's gradients options.lanes times, a tape
/// a thread, and what the learned quantizations hold.
template <reconstructible_block B, layer_learner Make>
reconstruction_report reconstruct_block(B& block, block_samples const& samples, Make const& make,
                                        block_reconstruction_options const& options = {},
                                        std::span<layer_activations const> activations = {}) {
    using learned = std::invoke_result_t<Make const&, linear const&, matrix_view<float const>>;
    detail::require_samples(std::as_const(block), samples);
    std::vector<learned> layers;
    block.for_each_linear(
        [&](linear const& layer) { layers.push_back(make(layer, layer.form().floats().view())); });
    if (!activations.empty() && activations.size() != layers.size())
        throw value_error("block reconstruction: expected the activations of " +
                          std::to_string(layers.size()) + " layers, found " +
                          std::to_string(activations.size()));
    return detail::block_learner<B, typename learned::value_type>(block, samples, std::move(layers),
                                                                  options, activations)
        .run();
}

}  // namespace qtk
