// SPDX-License-Identifier: Apache-2.0
//
// Which factors make a block easiest to round? AWQ (method/awq.hpp) at every place where factors pass
// through it (fold.hpp), in the order of computation; a candidate is judged by what the whole block makes of
// the calibration text while the layers that read the factors are rounded and the others are not.
// Then every group of the weights is clipped (method/awq_clip.hpp), but for queries and keys, whose products
// a clipped weight would bend. What is left are floats for any method to round.
//
// Differs from the publication: the judge is the block, where that takes attention, the feed-forward part or
// a single layer; where heads share values they share the factors of their mean inputs.
#pragma once

#include <qtk/core/matrix.hpp>
#include <qtk/core/matrix_view.hpp>
#include <qtk/core/scheme.hpp>
#include <qtk/method/awq.hpp>
#include <qtk/method/awq_clip.hpp>
#include <qtk/model/block_statistics.hpp>
#include <qtk/model/calibrate.hpp>
#include <qtk/model/decoder.hpp>
#include <qtk/model/fold.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace qtk {

/// In which scheme a layer will be rounded; none: it stays as it is.
using scheme_of_layer = std::function<std::optional<scheme>(linear const&)>;

enum class awq_judge : std::uint8_t {
    block,  ///< the output of the block
    layers  ///< the outputs of the rounded layers on a sample of rows: far less work
};

struct block_awq_options {
    awq_options search = {};
    awq_judge judge = awq_judge::block;
    bool clips = true;
    std::size_t kept_rows = 512;  ///< for clipping, and for awq_judge::layers
    std::uint64_t seed = 0;       ///< of these rows
    bool changes_inputs = false;  ///< Also where a layer has to divide its own input.
};

/// What was done at one place; `layer` is the first that reads the channels.
struct awq_fold {
    std::string layer;
    awq_choice choice;
};

namespace detail {

/// Gives layers their weights back, whatever happens.
class borrowed_weights {
  public:
    explicit borrowed_weights(std::vector<linear*> layers) : layers_(std::move(layers)) {
        for (linear const* const layer : layers_) weights_.push_back(layer->form());
    }
    ~borrowed_weights() {
        for (std::size_t i = 0; i < layers_.size(); ++i)
            layers_[i]->set_weight(std::move(weights_[i]));
    }
    borrowed_weights(borrowed_weights const&) = delete;
    borrowed_weights& operator=(borrowed_weights const&) = delete;

  private:
    std::vector<linear*> layers_;
    std::vector<weight_matrix> weights_;
};

class awq_pass {
  public:
    awq_pass(decoder& model, calibration_stream const& stream, scheme_of_layer scheme_of,
             block_awq_options const& options)
        : model_(model), stream_(stream), scheme_of_(std::move(scheme_of)), options_(options) {
        if (options.judge == awq_judge::block) truth_ = stream.outputs(model);
    }

    [[nodiscard]] std::vector<awq_fold> scale() {
        bool const keeps = options_.judge == awq_judge::layers;
        block_statistics const seen = statistics(keeps ? options_.kept_rows : 0);
        std::vector<awq_fold> done;
        model_.for_each_fold_of(stream_.block(), [&](fold const& at) {
            std::vector<linear*> const rounded = rounded_layers(at);
            if (rounded.empty() || (!at.is_free() && !options_.changes_inputs)) return;
            linear const& first = *at.consumers.front();
            awq_choice choice = search(at, rounded, seen.of(first));
            if (choice.error < choice.plain_error) apply_fold(at, choice.factors);
            done.push_back({first.name(), std::move(choice)});
        });
        return done;
    }

    void clip() {
        block_statistics const seen = statistics(options_.kept_rows);
        model_.for_each_linear_of(stream_.block(), [&](linear& layer) {
            std::optional<scheme> const s = scheme_of_(layer);
            if (!s || s->grain.rows != 1 || has_queries(layer.name())) return;
            awq_clip const how{.rows = seen.of(layer).rows()};
            layer.set_weight(
                how.clipped(*s, layer.form().floats().view(), {.name = layer.name().c_str()}));
        });
    }

  private:
    [[nodiscard]] static bool has_queries(std::string_view name) noexcept {
        return name.ends_with("q_proj") || name.ends_with("k_proj") || name.ends_with("c_attn");
    }
    [[nodiscard]] block_statistics statistics(std::size_t rows) const {
        return {model_, stream_, {.has_hessian = false, .kept_rows = rows, .seed = options_.seed}};
    }
    [[nodiscard]] std::vector<linear*> rounded_layers(fold const& at) const {
        std::vector<linear*> rounded;
        for (linear* const layer : at.consumers)
            if (scheme_of_(*layer)) rounded.push_back(layer);
        return rounded;
    }

    [[nodiscard]] awq_choice search(fold const& at, std::vector<linear*> const& rounded,
                                    input_statistics const& seen) {
        borrowed_weights const restored(rounded);
        std::vector<matrix> weights;
        for (linear const* const layer : rounded) weights.push_back(layer->form().floats());
        auto const error = [&](std::span<float const> t) {
            std::vector<float> const factors = column_factors(at, t);
            double sum = 0.0;
            for (std::size_t i = 0; i < rounded.size(); ++i) {
                matrix_view<float const> const w = std::as_const(weights[i]).view();
                matrix left = rounded_behind(factors, *scheme_of_(*rounded[i]), w);
                if (options_.judge == awq_judge::layers)
                    sum += mean_square_difference(layer_output(seen.rows(), w).view(),
                                                  layer_output(seen.rows(), left.view()).view());
                else
                    rounded[i]->set_weight(std::move(left));
            }
            return options_.judge == awq_judge::layers ? sum : block_error();
        };
        return search_awq(channel_means(at, seen.abs_mean()), magnitudes(at, rounded, weights),
                          options_.search, error);
    }
    /// w_j of duo scaling for each channel: the mean over the layers, weighted by their rows.
    [[nodiscard]] std::vector<float> magnitudes(fold const& at, std::vector<linear*> const& rounded,
                                                std::vector<matrix> const& weights) const {
        if (!options_.search.is_duo) return {};
        std::vector<float> columns(at.columns());
        std::size_t rows = 0;
        for (matrix const& w : weights) rows += w.rows();
        for (std::size_t i = 0; i < weights.size(); ++i) {
            auto const group = static_cast<std::size_t>(scheme_of_(*rounded[i])->grain.cols);
            std::vector<float> const of = relative_magnitudes(weights[i].view(), group);
            float const share = static_cast<float>(weights[i].rows()) / static_cast<float>(rows);
            for (std::size_t c = 0; c < columns.size(); ++c) columns[c] += share * of[c];
        }
        return channel_means(at, columns);
    }
    [[nodiscard]] double block_error() const {
        std::vector<matrix> const made = stream_.outputs(model_);
        double sum = 0.0, values = 0.0;
        for (std::size_t i = 0; i < made.size(); ++i) {
            auto const size = static_cast<double>(made[i].view().size());
            sum += size * mean_square_difference(made[i].view(), truth_[i].view());
            values += size;
        }
        return sum / values;
    }

    decoder& model_;
    calibration_stream const& stream_;
    scheme_of_layer scheme_of_;
    block_awq_options options_;
    std::vector<matrix> truth_;  // what the block makes of each window
};

}  // namespace detail

/// Scales and clips the weights of the block that comes next in the stream for schemes that `scheme_of`
/// names. They stay floats: round them with any method. Throws value_error if no block is left,
/// for layers that are quantized or change their input, and what round to nearest throws.
inline std::vector<awq_fold> awq_block(decoder& model, calibration_stream const& stream,
                                       scheme_of_layer const& scheme_of,
                                       block_awq_options const& options = {}) {
    detail::awq_pass pass(model, stream, scheme_of, options);
    std::vector<awq_fold> done = pass.scale();
    if (options.clips) pass.clip();
    return done;
}

}  // namespace qtk
