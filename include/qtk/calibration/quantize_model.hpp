// SPDX-License-Identifier: Apache-2.0
//
// How is a whole model quantized with data? Block by block, from the first to the last: the calibration text
// runs through the float block, the methods of its layers see what it showed, the codes take the weights'
// place, and the quantized block makes the inputs of the next one. At any time there are the activations
// between two blocks, the statistics of one block, and the model.
#pragma once

#include <qtk/calibration/layer_task.hpp>
#include <qtk/calibration/method_chain.hpp>
#include <qtk/core/error.hpp>
#include <qtk/core/matrix.hpp>
#include <qtk/core/scheme.hpp>
#include <qtk/method/input_statistics.hpp>
#include <qtk/model/calibrate.hpp>
#include <qtk/model/decoder.hpp>
#include <qtk/model/input_transform.hpp>
#include <qtk/model/linear.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace qtk {

/// What becomes of a layer.
struct layer_plan {
    std::optional<qtk::scheme> scheme;  ///< Nothing: the layer stays as it is.
    method_chain method{};
};
/// By the layer's name.
using model_plan = std::function<layer_plan(std::string const& name)>;

struct layer_report {
    std::string name, method;
    qtk::scheme scheme;
    /// tr((W - W') H (W - W')^T) / tr(W H W^T): the error of the layer's outputs over their size, where a
    /// method had the Hessian.
    std::optional<double> output_error;
    std::string note;
    double seconds = 0.0;
};

/// Told before a layer is worked on: which of how many.
using model_progress =
    std::function<void(std::string const& layer, std::size_t at, std::size_t total)>;

namespace detail {

/// x H x^T summed over the rows of x.
[[nodiscard]] inline double quadratic_form(matrix_view<float const> x, matrix_view<float const> h) {
    matrix product(x.rows, x.cols);
    matmul(x, h, product.view());  // H is symmetric
    double sum = 0.0;
    for (std::size_t r = 0; r < x.rows; ++r)
        for (std::size_t c = 0; c < x.cols; ++c)
            sum += static_cast<double>(product(r, c)) * static_cast<double>(x(r, c));
    return sum;
}

/// Quantizes the layers of one block after the other.
class model_pass {
  public:
    model_pass(decoder& model, model_plan const& plan, model_progress const& progress)
        : model_(model), progress_(progress) {
        std::as_const(model).for_each_linear(
            [&](linear const& layer) { plans_.emplace(layer.name(), plan(layer.name())); });
    }

    void run(std::span<std::vector<std::int32_t> const> windows) {
        bool needs_text = false;
        for (auto const& [name, plan] : plans_)
            needs_text = needs_text || (plan.scheme && needs_inputs(plan.method));
        std::optional<calibration_stream> stream;
        if (needs_text) stream.emplace(model_, windows);
        for (std::size_t i = 0; i < model_.block_count(); ++i) {
            quantize_block(i, stream ? &*stream : nullptr);
            if (stream && i + 1 < model_.block_count()) stream->advance(model_);
        }
    }
    [[nodiscard]] std::vector<layer_report> reports() && { return std::move(reports_); }

  private:
    using statistics_map = std::map<std::string, std::shared_ptr<input_statistics>>;

    [[nodiscard]] layer_plan const& plan_of(linear const& layer) const {
        return plans_.at(layer.name());
    }
    /// Does the layer's method want to see the inputs that quantized layers of the same block make?
    [[nodiscard]] bool is_sequential(linear const& layer) const {
        gptq_step const* const step = plan_of(layer).method.find<gptq_step>();
        return step != nullptr && step->is_sequential;
    }

    [[nodiscard]] bool needs_statistics(linear const& layer) const {
        layer_plan const& plan = plan_of(layer);
        return plan.scheme && needs_inputs(plan.method);
    }

    void quantize_block(std::size_t i, calibration_stream const* stream) {
        statistics_map seen;
        if (stream != nullptr)
            observe(*stream, seen, [&](linear const& layer) { return !is_sequential(layer); });
        model_.for_each_linear_of(i, [&](linear& layer) {
            layer_plan const& plan = plan_of(layer);
            if (!plan.scheme) return;
            if (progress_) progress_(layer.name(), reports_.size(), plans_.size());
            if (needs_statistics(layer) && !seen.contains(layer.name()))
                observe(*stream, seen, [&](linear const& l) { return l.name() == layer.name(); });
            auto const found = seen.find(layer.name());
            quantize_layer(layer, plan, found == seen.end() ? nullptr : found->second.get());
            if (found != seen.end()) seen.erase(found);  // the last layer frees what they share
        });
    }

    /// Adds the statistics of every input that a layer of the wanted kind reads; layers that read one input
    /// share them.
    template <typename Wanted>
    void observe(calibration_stream const& stream, statistics_map& seen, Wanted const& wanted) {
        statistics_map found;
        stream.observe(model_, [&](layer_group layers, matrix_view<float const> x) {
            if (std::ranges::none_of(layers, [&](linear const* layer) {
                    return needs_statistics(*layer) && wanted(*layer);
                }))
                return;
            auto& statistics = found[layers.front()->name()];
            if (!statistics)
                statistics = std::make_shared<input_statistics>(x.cols, needs_of(layers));
            statistics->add(x);
            for (linear const* const layer : layers) found[layer->name()] = statistics;
        });
        seen.merge(found);
    }
    [[nodiscard]] statistics_options needs_of(layer_group layers) const {
        statistics_options all{.has_hessian = false};
        for (linear const* const layer : layers) {
            if (!needs_statistics(*layer)) continue;
            statistics_options const more = qtk::needs_of(plan_of(*layer).method);
            all.has_hessian = all.has_hessian || more.has_hessian;
            all.kept_rows = std::max(all.kept_rows, more.kept_rows);
        }
        return all;
    }

    void quantize_layer(linear& layer, layer_plan const& plan, input_statistics const* inputs) {
        auto const start = std::chrono::steady_clock::now();
        matrix const weight = layer.form().floats();
        layer_codes codes =
            run_method(plan.method, {layer.name(), *plan.scheme, weight.view(), inputs});
        layer_report report{layer.name(), plan.method.name, *plan.scheme, {}, codes.note};
        if (inputs != nullptr && qtk::needs_of(plan.method).has_hessian) {
            matrix const h = inputs->hessian();
            matrix error = decode_in_order(codes.weight);
            for (std::size_t k = 0; k < error.view().size(); ++k)
                error.data()[k] = weight.data()[k] - error.data()[k];
            double const size = quadratic_form(weight.view(), h.view());
            report.output_error = size > 0.0 ? quadratic_form(error.view(), h.view()) / size : 0.0;
        }
        layer.set_weight(std::move(codes.weight.matrix));
        if (!codes.weight.order.empty())
            layer.set_input(std::make_shared<input_transform const>(
                layer.in(), input_transform::parts{.order = std::move(codes.weight.order)}));
        report.seconds =
            std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
        reports_.push_back(std::move(report));
    }

    decoder& model_;
    model_progress const& progress_;
    std::map<std::string, layer_plan> plans_;
    std::vector<layer_report> reports_;
};

}  // namespace detail

/// Quantizes the layers of the blocks as `plan` says, with `windows` of tokens as calibration text, and gives
/// one report a layer. Layers then hold codes (linear::quantized_weight()), to be packed or written. Throws
/// what the methods throw; value_error if a method needs text and there is none.
inline std::vector<layer_report> quantize_model(decoder& model, model_plan const& plan,
                                                std::span<std::vector<std::int32_t> const> windows,
                                                model_progress const& progress = {}) {
    detail::model_pass pass(model, plan, progress);
    pass.run(windows);
    return std::move(pass).reports();
}

}  // namespace qtk
