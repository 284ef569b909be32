// SPDX-License-Identifier: Apache-2.0
//
// Where can a vision network be cut? Between its stem (0), its blocks (1 to n) and its head (n + 1): what runs
// through is a batch of images at every cut, whatever the network. A ViT's tokens are images of tokens x 1 pixels
// with `width` channels, logits are images of one pixel with the classes as channels.
//
//   image_batch x = ...;
//   for (std::size_t i = 0; i < part_count(model); ++i) x = run_part(model, i, x);    // the logits
#pragma once

#include <qtk/core/contract.hpp>
#include <qtk/core/matrix.hpp>
#include <qtk/core/matrix_view.hpp>
#include <qtk/model/gradient_convolution.hpp>
#include <qtk/model/image.hpp>
#include <qtk/model/linear.hpp>
#include <qtk/model/resnet.hpp>
#include <qtk/model/resnet_gradient.hpp>
#include <qtk/model/vision_model.hpp>
#include <qtk/model/vit.hpp>
#include <qtk/model/vit_gradient.hpp>

#include <cstddef>
#include <span>
#include <string>
#include <variant>

namespace qtk {

[[nodiscard]] inline std::size_t part_count(vision_model const& model) {
    return std::visit([](auto const& n) { return n.block_count() + 2; }, model.what());
}

namespace detail {

[[nodiscard]] inline image_batch run_part(resnet const& n, std::size_t i, pixel_rows x) {
    if (i == 0) return n.run_stem(x);
    if (i > n.block_count()) return {n.run_head(x), {1, 1, n.classes()}};
    return n.blocks()[i - 1].forward(copy_of(x));
}
[[nodiscard]] inline image_batch run_part(vision_transformer const& n, std::size_t i,
                                          pixel_rows x) {
    if (i == 0) return {n.run_stem(x), {n.tokens(), 1, n.embedding().layer().out()}};
    if (i > n.block_count()) return {n.run_head(x.pixels()), {1, 1, n.classes()}};
    image_batch y = copy_of(x);
    n.blocks()[i - 1].forward(y.pixels());
    return y;
}

template <typename N, typename F>
void visit_part(N& n, std::size_t i, F& f) {
    if (i > 0 && i <= n.block_count()) return n.blocks()[i - 1].for_each_linear(f);
    if constexpr (requires { n.stem(); })
        f(i == 0 ? n.stem().layer() : n.classifier());
    else
        f(i == 0 ? n.embedding().layer() : n.head());
}

}  // namespace detail

/// What part i < part_count() makes of x. Throws like vision_model::logits().
[[nodiscard]] inline image_batch run_part(vision_model const& model, std::size_t i, pixel_rows x) {
    QTK_EXPECTS(i < part_count(model));
    return std::visit([&](auto const& n) { return detail::run_part(n, i, x); }, model.what());
}

/// f(layer) for every linear layer of part i, in the order of computation: part after part, that of
/// vision_model::for_each_linear().
template <typename F>
void for_each_linear_of_part(vision_model const& model, std::size_t i, F&& f) {
    std::visit([&](auto const& n) { detail::visit_part(n, i, f); }, model.what());
}
template <typename F>
void for_each_linear_of_part(vision_model& model, std::size_t i, F&& f) {
    std::visit([&](auto& n) { detail::visit_part(n, i, f); }, model.what());
}

/// "stem", "block 1", ..., "head".
[[nodiscard]] inline std::string part_name(vision_model const& model, std::size_t i) {
    if (i == 0) return "stem";
    return i + 1 < part_count(model) ? "block " + std::to_string(i) : "head";
}

/// One run of a part of a network, which must live on and stay as it is until the last backward().
class part_tape {
  public:
    /// Throws like run_part().
    part_tape(vision_model const& model, std::size_t i, pixel_rows x)
        : tape_(std::visit([&](auto const& n) { return tape_of(n, i, x); }, model.what())) {}

    /// What the part makes of x.
    [[nodiscard]] image_batch const& output() const {
        return std::visit([](auto const& t) -> image_batch const& { return t.output(); }, tape_);
    }
    /// For d = dL by the pixels of the output: `by_weights`, one for each linear layer of the part, grow by
    /// dL/dW; none is computed if the span is empty. dL by the pixels of x.
    matrix backward(matrix_view<float const> d, std::span<matrix> by_weights) const {
        QTK_EXPECTS(d.rows == output().pixels().rows && d.cols == output().pixels().cols);
        return std::visit([&](auto const& t) { return t.backward(d, by_weights); }, tape_);
    }

  private:
    using any_tape = std::variant<resnet_stem_tape, resnet_block_tape, resnet_head_tape,
                                  vit_stem_tape, vit_block_tape, vit_head_tape>;

    [[nodiscard]] static any_tape tape_of(resnet const& n, std::size_t i, pixel_rows x) {
        if (i == 0) return resnet_stem_tape(n, x);
        if (i > n.block_count()) return resnet_head_tape(n, x);
        return resnet_block_tape(n.blocks()[i - 1], x);
    }
    [[nodiscard]] static any_tape tape_of(vision_transformer const& n, std::size_t i,
                                          pixel_rows x) {
        if (i == 0) return vit_stem_tape(n, x);
        if (i > n.block_count()) return vit_head_tape(n, x);
        return vit_block_tape(n.blocks()[i - 1], x);
    }

    any_tape tape_;
};

}  // namespace qtk
