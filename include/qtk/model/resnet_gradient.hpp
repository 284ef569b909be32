// SPDX-License-Identifier: Apache-2.0
//
// How does a loss change with the weights and the images of a part of a ResNet? A tape runs the stem, a block
// or the last layer and keeps the images between its convolutions; their windows are laid out again on the
// way back. With y = relu(z), dL/dz = d where y > 0, so that the sums z need not be kept:
//
//   block   y = relu(conv_n(... relu(conv_1(x))) + x, or + downsample(x))
//   stem    y = relu(conv1(x)), pooled         head    logits = fc(mean of pixels of x)
#pragma once

#include <qtk/core/contract.hpp>
#include <qtk/core/matrix.hpp>
#include <qtk/core/matrix_view.hpp>
#include <qtk/model/convolution.hpp>
#include <qtk/model/gradient_convolution.hpp>
#include <qtk/model/gradient_layer.hpp>
#include <qtk/model/gradient_pooling.hpp>
#include <qtk/model/image.hpp>
#include <qtk/model/pooling.hpp>
#include <qtk/model/resnet.hpp>

#include <cstddef>
#include <span>
#include <utility>
#include <vector>

namespace qtk {

namespace detail {

/// d becomes zero where what a ReLU made is not positive.
inline void back_through_relu(matrix_view<float const> made, matrix& d) noexcept {
    for (std::size_t r = 0; r < d.rows(); ++r)
        for (std::size_t c = 0; c < d.cols(); ++c)
            if (!(made(r, c) > 0.0f)) d(r, c) = 0.0f;
}

}  // namespace detail

/// Each tape is one run of a part of a network, which must live on and stay as it is until the last backward().
/// output() is what the part made. backward(d, by_weights), for d = dL by the output, gives dL by the input;
/// `by_weights`, one for each linear layer in the order of computation, grow by dL/dW, unless the span is empty.
class resnet_block_tape {
  public:
    resnet_block_tape(resnet_block const& block, pixel_rows x) : block_(&block) {
        inner_.push_back(detail::copy_of(x));
        auto const layers = block.convolutions();
        for (std::size_t i = 0; i + 1 < layers.size(); ++i)
            inner_.push_back(layers[i].made_of(inner_.back(), {.is_relu = true}));
        image_batch y = block.downsample() != nullptr ? block.downsample()->made_of(x) : inner_[0];
        layers.back().apply(inner_.back(), y.pixels(), {.adds = true, .is_relu = true});
        inner_.push_back(std::move(y));
    }

    [[nodiscard]] image_batch const& output() const noexcept { return inner_.back(); }

    matrix backward(matrix_view<float const> d, std::span<matrix> by_weights) const {
        auto const layers = block_->convolutions();
        bool const has_downsample = block_->downsample() != nullptr;
        matrix by_sum = detail::copy_of(d), by_inner;
        detail::back_through_relu(output().pixels(), by_sum);
        for (std::size_t i = layers.size(); i-- > 0;) {
            bool const is_last = i + 1 == layers.size();
            matrix_view<float const> by_sums = by_sum.view();
            if (!is_last) {
                detail::back_through_relu(inner_[i + 1].pixels(), by_inner);
                by_sums = by_inner.view();
            }
            matrix by_read(inner_[i].pixels().rows, inner_[i].pixels().cols);
            // The downsampling layer is the last but one in the order of computation.
            std::size_t const place = i + (is_last && has_downsample ? 1 : 0);
            add_convolution_gradient(layers[i], inner_[i], by_sums,
                                     detail::weight_place(by_weights, place), by_read.view());
            by_inner = std::move(by_read);
        }
        if (has_downsample)
            add_convolution_gradient(*block_->downsample(), inner_[0], by_sum.view(),
                                     detail::weight_place(by_weights, layers.size() - 1),
                                     by_inner.view());
        else
            detail::add_to(by_sum.view(), by_inner);
        return by_inner;
    }

  private:
    resnet_block const* block_;
    std::vector<image_batch> inner_;  // the input, what each convolution made, and the output
};

class resnet_stem_tape {
  public:
    resnet_stem_tape(resnet const& network, pixel_rows images)
        : network_(&network),
          x_(detail::copy_of(images)),
          wide_(network.stem().made_of(images, {.is_relu = true})),
          y_(network.pools() ? max_pool(wide_, resnet::pool) : wide_) {}

    [[nodiscard]] image_batch const& output() const noexcept { return y_; }

    matrix backward(matrix_view<float const> d, std::span<matrix> by_weights) const {
        matrix by_wide =
            network_->pools() ? max_pool_gradient(wide_, resnet::pool, d) : detail::copy_of(d);
        detail::back_through_relu(wide_.pixels(), by_wide);
        matrix by_images(x_.pixels().rows, x_.pixels().cols);
        add_convolution_gradient(network_->stem(), x_, by_wide.view(),
                                 detail::weight_place(by_weights, 0), by_images.view());
        return by_images;
    }

  private:
    resnet const* network_;
    image_batch x_, wide_, y_;
};

/// The output has one pixel an image, with the logits as channels.
class resnet_head_tape {
  public:
    resnet_head_tape(resnet const& network, pixel_rows x)
        : network_(&network),
          shape_(x.shape()),
          means_(mean_of_pixels(x)),
          y_(network.run_head(x), {1, 1, network.classes()}) {}

    [[nodiscard]] image_batch const& output() const noexcept { return y_; }

    matrix backward(matrix_view<float const> d, std::span<matrix> by_weights) const {
        matrix by_means(means_.rows(), means_.cols());
        add_layer_gradient(network_->classifier(), means_.view(), d,
                           detail::weight_place(by_weights, 0), by_means.view());
        return mean_of_pixels_gradient(shape_, by_means.view());
    }

  private:
    resnet const* network_;
    image_shape shape_;
    matrix means_;
    image_batch y_;
};

}  // namespace qtk
