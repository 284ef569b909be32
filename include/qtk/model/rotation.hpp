// SPDX-License-Identifier: Apache-2.0
//
// How is a whole network rotated without a change of what it computes? In one of two ways, or both:
//
//   rotate_input      a layer rotates its input when it runs: works everywhere, costs n log n a row
//   rotate_residual   the stream between the blocks is rotated once and for all (Ashkboos et al. 2024,
//                     "QuaRot", section 4): RMS norms commute with rotations when their weights are
//                     moved into the layers behind them, so that
//                       embedding E R,  layers that read W R,  layers that write R^T W,  head R
//                     cost nothing when the network runs; values and what reads them, head by head
//
// Layer norms become RMS norms when everything that writes to the stream has its mean removed first
// (Ashkboos et al. 2024, "SliceGPT", section 3.2). A tied head gets floats of its own.
//
// Differs from QuaRot: queries, keys and the feed-forward input are not rotated online; rotate_input
// does the latter where it is wanted.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/core/matrix.hpp>
#include <qtk/core/matrix_view.hpp>
#include <qtk/math/hadamard.hpp>
#include <qtk/math/transpose.hpp>
#include <qtk/method/rotation.hpp>
#include <qtk/model/decoder.hpp>
#include <qtk/model/fold.hpp>
#include <qtk/model/linear.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace qtk {

/// The layer rotates its input from now on, behind factors and order that it may have already: it
/// computes the same, up to rounding. Its weight becomes floats. Throws value_error if it is quantized
/// or rotates already, shape_error for a rotation of another size.
inline void rotate_input(linear& layer, hadamard const& rotation) {
    detail::require_not_rounded(layer);
    input_transform::parts what =
        layer.input() != nullptr ? layer.input()->what() : input_transform::parts{};
    if (what.rotation) throw value_error(layer.name() + ": the layer rotates its input already");
    matrix rotated = rotated_columns(layer.form().floats().view(), rotation);
    what.rotation = rotation;
    layer.set_input(std::make_shared<input_transform const>(layer.in(), std::move(what)));
    layer.set_weight(std::move(rotated));
}
/// The same for every layer of block i, i < model.block_count(); `seed` draws the signs.
inline void rotate_inputs_of(decoder& model, std::size_t i, std::uint64_t seed) {
    model.for_each_linear_of(
        i, [&](linear& layer) { rotate_input(layer, hadamard(layer.in(), seed)); });
}

struct rotate_options {
    std::uint64_t seed = 0;     ///< of the signs
    bool rotates_heads = true;  ///< Also values, head by head, and what reads them.
};

namespace detail {

/// Its place in a layer's weight, bias and outputs.
inline void rotate_outputs(linear& layer, hadamard const& rotation) {
    layer.set_weight(rotated_outputs(layer.form().floats().view(), rotation));
    if (layer.bias().empty()) return;
    std::vector<float> bias(layer.bias().begin(), layer.bias().end());
    rotation.apply(bias);
    layer.set_bias(std::move(bias));
}

[[nodiscard]] inline float mean_of(std::span<float const> x) noexcept {
    double sum = 0.0;
    for (float const v : x) sum += static_cast<double>(v);
    return x.empty() ? 0.0f : static_cast<float>(sum / static_cast<double>(x.size()));
}
inline void centre(std::span<float> x) noexcept {
    float const mean = mean_of(x);
    for (float& v : x) v -= mean;
}
/// The layer writes rows whose mean is 0.
inline void centre_outputs(linear& layer) {
    matrix columns = transposed(layer.form().floats().view());
    for (std::size_t c = 0; c < columns.rows(); ++c) centre(columns.view().row(c));
    layer.set_weight(transposed(columns.view()));
    std::vector<float> bias(layer.bias().begin(), layer.bias().end());
    centre(bias);
    layer.set_bias(std::move(bias));
}

/// Moves the weight and bias of a norm into a layer behind it.
inline void absorb(norm const& before, linear& layer) {
    matrix const w = layer.form().floats();
    if (!before.bias.empty()) {
        std::vector<float> bias(layer.bias().begin(), layer.bias().end());
        bias.resize(layer.out());
        for (std::size_t r = 0; r < w.rows(); ++r) {
            double sum = static_cast<double>(bias[r]);
            for (std::size_t c = 0; c < w.cols(); ++c)
                sum += static_cast<double>(w(r, c)) * static_cast<double>(before.bias[c]);
            bias[r] = static_cast<float>(sum);
        }
        layer.set_bias(std::move(bias));
    }
    layer.set_weight(scaled_columns(w.view(), before.weight));
}
/// What is left of a norm whose parameters were absorbed, over rows of mean 0.
[[nodiscard]] inline norm bare(norm const& before) {
    return {.type = norm::kind::rms,
            .weight = std::vector<float>(before.weight.size(), 1.0f),
            .bias = {},
            .epsilon = before.epsilon};
}

class residual_rotation {
  public:
    residual_rotation(decoder& model, rotate_options const& options)
        : model_(model), options_(options), rotation_(model.config().width, options.seed) {}

    void run() {
        require_stream();
        is_centred_ = model_.last_norm().type == norm::kind::layer;
        for (std::size_t i = 0; i < model_.block_count(); ++i)
            model_.for_each_fold_of(i, [&](fold const& at) { rotate(at); });
        rotate_ends();
    }

  private:
    /// Every block must read the stream through norms alone, and the head, too.
    void require_stream() {
        if (model_.last_norm().type == norm::kind::none)
            throw value_error("rotate_residual: there is no norm before the head");
        for (std::size_t i = 0; i < model_.block_count(); ++i) {
            std::size_t norms = 0;
            model_.for_each_fold_of(i, [&](fold const& at) {
                if (at.before != nullptr && at.before->type == model_.last_norm().type) ++norms;
                if (at.producer != nullptr) require_floats(*at.producer);
                for (linear const* const layer : at.consumers) require_floats(*layer);
            });
            if (norms != 2)
                throw value_error("rotate_residual: block " + std::to_string(i) +
                                  " does not read its stream through two norms like the last one. "
                                  "Hint: rotate_input");
        }
    }

    /// Layers behind a norm read the stream, the others of a block are its ends and write to it.
    void rotate(fold const& at) {
        for (linear* const layer : at.consumers) {
            if (at.before != nullptr) {
                absorb(*at.before, *layer);
                layer->set_weight(rotated_columns(layer->form().floats().view(), rotation_));
            } else {
                if (is_centred_) centre_outputs(*layer);
                rotate_outputs(*layer, rotation_);
            }
        }
        if (at.before != nullptr) *at.before = bare(*at.before);
        if (options_.rotates_heads && at.head_dim > 1 && at.producer != nullptr) rotate_heads(at);
    }

    /// Channels of one head are summed with the same weights: any rotation of them passes.
    void rotate_heads(fold const& at) const {
        hadamard_shape shape = hadamard_shape_of(at.head_dim);
        auto const of = [&](std::size_t size) {
            hadamard_shape all = shape;
            all.blocks *= size / at.head_dim;
            return hadamard(all);
        };
        linear& reader = *at.consumers.front();
        reader.set_weight(rotated_columns(reader.form().floats().view(), of(at.columns())));
        linear& writer = *at.producer;
        matrix w = transposed(writer.form().floats().view());
        std::vector<float> bias(writer.bias().begin(), writer.bias().end());
        hadamard const channels = of(at.channels());
        for (std::size_t c = 0; c < w.rows(); ++c)
            channels.apply(w.view().row(c).subspan(at.first_row, at.channels()));
        if (!bias.empty())
            channels.apply(std::span<float>(bias).subspan(at.first_row, at.channels()));
        writer.set_weight(transposed(w.view()));
        writer.set_bias(std::move(bias));
    }

    /// Embedding, last norm and head.
    void rotate_ends() {
        norm const& last = model_.last_norm();
        linear head("lm_head", model_.head().floats());
        absorb(last, head);
        head.set_weight(rotated_columns(head.weight().view(), rotation_));
        embedding table = model_.table();
        matrix tokens = table.tokens.floats();
        for (matrix* const rows : {&tokens, &table.positions})
            for (std::size_t r = 0; r < rows->rows(); ++r) {
                if (is_centred_) centre(rows->view().row(r));
                rotation_.apply(rows->view().row(r));
            }
        table.tokens = std::move(tokens);
        model_.set_last_norm(bare(last));
        model_.set_table(std::move(table));
        model_.set_head(std::move(head));
    }

    decoder& model_;
    rotate_options options_;
    hadamard rotation_;
    bool is_centred_ = false;
};

}  // namespace detail

/// Rotates the stream between the blocks: the network computes the same, up to rounding, and weights become
/// floats. Throws value_error, before anything is changed, for layers that are quantized or change their
/// input, and for networks that read their stream without a norm.
inline void rotate_residual(decoder& model, rotate_options const& options = {}) {
    detail::residual_rotation(model, options).run();
}

}  // namespace qtk
