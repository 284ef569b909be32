// SPDX-License-Identifier: Apache-2.0
//
// How does a loss change with the weights and the images of a part of a ViT? A tape runs the patches' layer, a
// block or the head, and keeps what the way back needs: about as much as the inputs of all linear layers.
//
//   r = x + proj(attention(qkv(norm1(x))))     y = r + fc2(gelu(fc1(norm2(r))))
//
// Rounding of what attention multiplies is passed through inside the grids of queries, keys and values; that of its
// maps as if it were not there. Rows are tokens, an image's one after the other: as "images" of tokens x 1 pixels with `width` channels.
#pragma once

#include <qtk/core/matrix.hpp>
#include <qtk/core/matrix_view.hpp>
#include <qtk/kernel/activation.hpp>
#include <qtk/kernel/parallel.hpp>
#include <qtk/math/blas.hpp>
#include <qtk/model/attention_heads.hpp>
#include <qtk/model/attention_rounding.hpp>
#include <qtk/model/gradient_activation.hpp>
#include <qtk/model/gradient_attention.hpp>
#include <qtk/model/gradient_convolution.hpp>
#include <qtk/model/gradient_layer.hpp>
#include <qtk/model/gradient_norm.hpp>
#include <qtk/model/image.hpp>
#include <qtk/model/norm.hpp>
#include <qtk/model/vit.hpp>

#include <algorithm>
#include <cstddef>
#include <span>
#include <utility>

namespace qtk {

/// Tapes of a ViT's parts, as those of a ResNet (resnet_gradient.hpp).
class vit_block_tape {
  public:
    vit_block_tape(vit_block const& block, pixel_rows x)
        : block_(&block), x_(detail::copy_of(x.pixels())), y_(detail::copy_of(x)) {
        std::size_t const rows = x_.rows(), width = x_.cols();
        normed_ = matrix(rows, width), attended_ = matrix(rows, width);
        qkv_ = matrix(rows, block.qkv().out()), gate_ = matrix(rows, block.fc1().out());
        block.norm1().apply(x_.view(), normed_.view());
        block.qkv().apply(normed_.view(), qkv_.view());
        block.attention().apply(qkv_.view(), attended_.view());
        block.proj().apply_add(attended_.view(), y_.pixels());
        middle_ = detail::copy_of(y_.pixels());
        mlp_normed_ = matrix(rows, width);
        block.norm2().apply(middle_.view(), mlp_normed_.view());
        block.fc1().apply(mlp_normed_.view(), gate_.view());
        inner_ = gate_;
        parallel_for(rows, 16 * inner_.view().size(),
                     [&](std::size_t r) { activate(activation::gelu_erf, inner_.view().row(r)); });
        block.fc2().apply_add(inner_.view(), y_.pixels());
    }

    [[nodiscard]] image_batch const& output() const noexcept { return y_; }

    matrix backward(matrix_view<float const> d, std::span<matrix> by_weights) const {
        using detail::weight_place;
        matrix by_stream = detail::copy_of(d);
        {
            matrix by_inner(inner_.rows(), inner_.cols()), by_normed(d.rows, d.cols);
            add_layer_gradient(block_->fc2(), inner_.view(), by_stream.view(),
                               weight_place(by_weights, 3), by_inner.view());
            parallel_for(by_inner.rows(), 16 * by_inner.view().size(), [&](std::size_t r) {
                activation_gradient(activation::gelu_erf, gate_.view().row(r),
                                    by_inner.view().row(r));
            });
            add_layer_gradient(block_->fc1(), mlp_normed_.view(), by_inner.view(),
                               weight_place(by_weights, 2), by_normed.view());
            norm_input_gradient(block_->norm2(), middle_.view(), by_normed.view(),
                                by_normed.view());
            detail::add_to(by_normed.view(), by_stream);
        }
        matrix by_attended(d.rows, d.cols), by_qkv(qkv_.rows(), qkv_.cols());
        add_layer_gradient(block_->proj(), attended_.view(), by_stream.view(),
                           weight_place(by_weights, 1), by_attended.view());
        back_attention(by_attended.view(), by_qkv);
        matrix by_normed(d.rows, d.cols);
        add_layer_gradient(block_->qkv(), normed_.view(), by_qkv.view(),
                           weight_place(by_weights, 0), by_normed.view());
        norm_input_gradient(block_->norm1(), x_.view(), by_normed.view(), by_normed.view());
        detail::add_to(by_normed.view(), by_stream);
        return by_stream;
    }

  private:
    /// Queries, keys and values side by side.
    template <typename T>
    [[nodiscard]] static attention_operands<T> parts_of(matrix_view<T> qkv) {
        std::size_t const width = qkv.cols / 3;
        return {detail::columns(qkv, 0, width), detail::columns(qkv, width, width),
                detail::columns(qkv, 2 * width, width)};
    }
    /// Queries, keys and values as attention multiplies them.
    [[nodiscard]] matrix rounded_operands() const {
        matrix left = qkv_;
        attention_rounding const& how = block_->attention().rounding();
        auto const [q, k, v] = parts_of(left.view());
        for (auto const& [grid, part] : {std::pair{how.q, q}, {how.k, k}, {how.v, v}})
            for (std::size_t r = 0; grid && r < part.rows; ++r)
                for (float& x : part.row(r)) x = grid->round_trip(x);
        return left;
    }
    void back_attention(matrix_view<float const> d, matrix& by_qkv) const {
        vit_attention const& attention = block_->attention();
        attention_shape const shape{.heads = attention.heads(),
                                    .kv_heads = attention.heads(),
                                    .head_dim = d.cols / attention.heads()};
        std::size_t const t = attention.tokens();
        matrix const left = rounded_operands();
        {
            single_threaded_blas const one_thread;
            parallel_for(d.rows / t, d.size() * t, [&](std::size_t n) {
                full_attention_gradient(shape, parts_of(detail::rows(left.view(), n * t, t)),
                                        detail::rows(d, n * t, t),
                                        parts_of(detail::rows(by_qkv.view(), n * t, t)));
            });
        }
        attention_rounding const& how = attention.rounding();
        auto const before = parts_of(qkv_.view()), after = parts_of(left.view());
        auto const by = parts_of(by_qkv.view());
        if (how.q) detail::stop_outside(before.q, after.q, how.q->scale, by.q);
        if (how.k) detail::stop_outside(before.k, after.k, how.k->scale, by.k);
        if (how.v) detail::stop_outside(before.v, after.v, how.v->scale, by.v);
    }

    vit_block const* block_;
    matrix x_, normed_, qkv_, attended_, middle_, mlp_normed_, gate_, inner_;
    image_batch y_;
};

/// The patches' layer, the class token and the positions.
class vit_stem_tape {
  public:
    vit_stem_tape(vision_transformer const& network, pixel_rows images)
        : network_(&network),
          x_(detail::copy_of(images)),
          y_(network.run_stem(images), {network.tokens(), 1, network.embedding().layer().out()}) {}

    [[nodiscard]] image_batch const& output() const noexcept { return y_; }

    matrix backward(matrix_view<float const> d, std::span<matrix> by_weights) const {
        std::size_t const tokens = network_->tokens();
        matrix by_patches(d.rows / tokens * (tokens - 1), d.cols);
        for (std::size_t r = 0; r < by_patches.rows(); ++r)
            std::ranges::copy(d.row(r / (tokens - 1) * tokens + r % (tokens - 1) + 1),
                              by_patches.view().row(r).begin());
        matrix by_images(x_.pixels().rows, x_.pixels().cols);
        add_convolution_gradient(network_->embedding(), x_, by_patches.view(),
                                 detail::weight_place(by_weights, 0), by_images.view());
        return by_images;
    }

  private:
    vision_transformer const* network_;
    image_batch x_, y_;
};

/// The last norm and the head, of the class tokens. The output has one pixel an image, with the logits as
/// channels.
class vit_head_tape {
  public:
    vit_head_tape(vision_transformer const& network, pixel_rows x)
        : network_(&network),
          rows_(x.pixels().rows),
          last_(network.class_tokens(x.pixels())),
          normed_(last_.rows(), last_.cols()),
          y_(network.run_head(x.pixels()), {1, 1, network.classes()}) {
        network.last_norm().apply(last_.view(), normed_.view());
    }

    [[nodiscard]] image_batch const& output() const noexcept { return y_; }

    matrix backward(matrix_view<float const> d, std::span<matrix> by_weights) const {
        matrix by_last(last_.rows(), last_.cols()), by_input(rows_, last_.cols());
        add_layer_gradient(network_->head(), normed_.view(), d, detail::weight_place(by_weights, 0),
                           by_last.view());
        norm_input_gradient(network_->last_norm(), last_.view(), by_last.view(), by_last.view());
        for (std::size_t n = 0; n < by_last.rows(); ++n)
            std::ranges::copy(std::as_const(by_last).view().row(n),
                              by_input.view().row(n * network_->tokens()).begin());
        return by_input;
    }

  private:
    vision_transformer const* network_;
    std::size_t rows_;
    matrix last_, normed_;
    image_batch y_;
};

}  // namespace qtk
