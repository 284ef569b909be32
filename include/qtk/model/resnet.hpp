// SPDX-License-Identifier: Apache-2.0
//
// What does a residual network see in an image? ResNet (He et al. 2016) with torchvision's names: a stem,
// stages of blocks that add to what runs through them, the mean of all pixels and a linear layer.
//
//   x = relu(bn1(conv1(x))), pooled
//   x = relu(bn2(conv2(relu(bn1(conv1(x))))) + x)     of each block layerS.B; with conv3 and bn3 in
//                                                     ResNet-50 and deeper; + downsample(x) where shapes change
//   logits = fc(mean of pixels of x)
//
// Stages, blocks, widths and windows follow from the tensors. What does not follow is torchvision's: a stem
// of 7 x 7 has stride 2 and a max pool of 3 x 3 with stride 2 after it, one of 3 x 3 (for small images) has
// neither; every stage but the first halves the image, at the first 3 x 3 convolution of its first block.
// Batch norms are folded into the convolutions.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/core/matrix.hpp>
#include <qtk/core/matrix_view.hpp>
#include <qtk/model/batch_norm.hpp>
#include <qtk/model/block.hpp>
#include <qtk/model/convolution.hpp>
#include <qtk/model/image.hpp>
#include <qtk/model/linear.hpp>
#include <qtk/model/network_product.hpp>
#include <qtk/model/pooling.hpp>
#include <qtk/model/vision_reader.hpp>

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace qtk {

namespace detail {

/// A convolution NAME without bias and the batch norm after it; square, of an odd side, and padded so that a
/// stride of 1 keeps the image's size. Throws what the reader throws, and io_error for another window.
[[nodiscard]] inline convolution read_normed_convolution(vision_reader& file,
                                                         std::string const& name,
                                                         std::string const& norm_name,
                                                         std::size_t channels, std::size_t stride) {
    std::string const tensor = name + ".weight";
    auto const shape = file.shape(tensor, 4);
    std::size_t const out = shape[0], side = shape[2];
    if (shape[1] != channels || shape[3] != side || side % 2 == 0)
        file.refuse(tensor, "[out, " + std::to_string(channels) + ", k, k] with an odd k",
                    to_string({out, shape[1], side, shape[3]}));
    matrix weight = filters_as_rows(file.floats(tensor, {out, channels, side, side}), out, channels,
                                    side, side);
    std::vector<float> bias;
    read_batch_norm(file, norm_name, out).fold_into(weight, bias);
    return {linear(name, std::move(weight), std::move(bias)),
            {.height = side, .width = side, .stride = stride, .padding = side / 2},
            channels};
}

}  // namespace detail

/// Two or three convolutions, and what the block adds to: its input, or one made to fit.
class resnet_block {
  public:
    /// `prefix` is what stands before "conv1": "layer1.0." for the first block. Throws what
    /// the reader throws, and io_error where input and output cannot be added.
    [[nodiscard]] static resnet_block load(vision_reader& file, std::string const& prefix,
                                           std::size_t channels, std::size_t stride) {
        resnet_block block;
        bool const is_bottleneck = file.has(prefix + "conv3.weight");
        // torchvision's bottlenecks stride in the 3 x 3 convolution, not in the 1 x 1 before it.
        std::size_t const strided = is_bottleneck ? 1 : 0;
        std::size_t width = channels;
        for (std::size_t i = 0; i < (is_bottleneck ? 3u : 2u); ++i) {
            std::string const number = std::to_string(i + 1);
            block.convolutions_.push_back(detail::read_normed_convolution(
                file, prefix + "conv" + number, prefix + "bn" + number, width,
                i == strided ? stride : 1));
            width = block.convolutions_.back().layer().out();
        }
        std::string const shortcut = prefix + "downsample.0";
        if (stride != 1 || width != channels || file.has(shortcut + ".weight")) {
            block.downsample_ = detail::read_normed_convolution(
                file, shortcut, prefix + "downsample.1", channels, stride);
            if (std::size_t const out = block.downsample_->layer().out(); out != width)
                file.refuse(shortcut + ".weight", std::to_string(width) + " filters",
                            std::to_string(out));
        }
        return block;
    }

    [[nodiscard]] std::size_t out() const noexcept { return convolutions_.back().layer().out(); }
    /// Two or three, one after the other; the last one adds.
    [[nodiscard]] std::span<convolution const> convolutions() const noexcept {
        return convolutions_;
    }
    /// What makes the block's input fit; null: it fits.
    [[nodiscard]] convolution const* downsample() const noexcept {
        return downsample_ ? &*downsample_ : nullptr;
    }

    template <typename Observer = no_observer>
    [[nodiscard]] image_batch forward(image_batch x, Observer const& observe = {}) const {
        image_batch inner = convolutions_[0].made_of(x, {.is_relu = true}, observe);
        for (std::size_t i = 1; i + 1 < convolutions_.size(); ++i)
            inner = convolutions_[i].made_of(inner, {.is_relu = true}, observe);
        if (downsample_) x = downsample_->made_of(x, {}, observe);
        convolutions_.back().apply(inner, x.pixels(), {.adds = true, .is_relu = true}, observe);
        return x;
    }

    /// f(product) for every convolution, in that order, of an image; gives the shape of what becomes of it.
    template <typename F>
    [[nodiscard]] image_shape for_each_product(image_shape const& image, F& f) const {
        image_shape inner = image;
        for (std::size_t i = 0; i + 1 < convolutions_.size(); ++i) {
            f(product_of(convolutions_[i], inner));
            inner = convolutions_[i].output(inner);
        }
        if (downsample_) f(product_of(*downsample_, image));
        f(product_of(convolutions_.back(), inner));
        return convolutions_.back().output(inner);
    }

    /// f(layer) for every convolution, in the order of computation: the downsampling one comes before the
    /// last, which adds to its output.
    template <typename F>
    void for_each_linear(F&& f) {
        visit(*this, f);
    }
    template <typename F>
    void for_each_linear(F&& f) const {
        visit(*this, f);
    }

  private:
    template <typename Self, typename F>
    static void visit(Self& self, F& f) {
        for (std::size_t i = 0; i + 1 < self.convolutions_.size(); ++i)
            f(self.convolutions_[i].layer());
        if (self.downsample_) f(self.downsample_->layer());
        f(self.convolutions_.back().layer());
    }

    std::vector<convolution> convolutions_;
    std::optional<convolution> downsample_;
};

class resnet {
  public:
    /// Throws io_error naming a tensor that is missing, has another shape or has no place; nonfinite_error
    /// unless the reader's policy says otherwise; value_error for a negative variance.
    [[nodiscard]] static resnet load(vision_reader& file) {
        resnet network;
        auto const stem = file.shape("conv1.weight", 4);
        network.channels_ = stem[1];
        network.pools_ = stem[2] == 7;
        if (stem[2] != 7 && stem[2] != 3)
            file.refuse("conv1.weight", "a stem of 7 x 7 or 3 x 3",
                        std::to_string(stem[2]) + " x " + std::to_string(stem[3]));
        network.stem_ = detail::read_normed_convolution(file, "conv1", "bn1", network.channels_,
                                                        network.pools_ ? 2 : 1);
        std::size_t width = network.stem_.layer().out();
        auto const prefix = [](std::size_t stage, std::size_t block) {
            return "layer" + std::to_string(stage) + "." + std::to_string(block) + ".";
        };
        // The first block is read even if it is not there, so that its absence is an error.
        for (std::size_t stage = 1; stage == 1 || file.has(prefix(stage, 0) + "conv1.weight");
             ++stage)
            for (std::size_t i = 0; i == 0 || file.has(prefix(stage, i) + "conv1.weight"); ++i) {
                network.blocks_.push_back(
                    resnet_block::load(file, prefix(stage, i), width, stage > 1 && i == 0 ? 2 : 1));
                width = network.blocks_.back().out();
            }
        std::size_t const classes = file.shape("fc.weight", 2)[0];
        network.classifier_ =
            linear("fc", file.matrix("fc.weight", classes, width), file.vector("fc.bias", classes));
        file.require_all_used("a ResNet of " + std::to_string(network.blocks_.size()) +
                              " blocks with torchvision's names");
        return network;
    }

    [[nodiscard]] std::size_t channels() const noexcept { return channels_; }
    [[nodiscard]] std::size_t classes() const noexcept { return classifier_.out(); }
    [[nodiscard]] std::size_t block_count() const noexcept { return blocks_.size(); }

    /// The logits of all images at once, [count, classes]; all activations of a block are in memory.
    /// Throws shape_error for images of another number of channels.
    template <typename Observer = no_observer>
    [[nodiscard]] matrix forward(pixel_rows images, Observer const& observe = {}) const {
        image_batch x = run_stem(images, observe);
        for (resnet_block const& block : blocks_) x = block.forward(std::move(x), observe);
        return run_head(x, observe);
    }
    /// What comes before the first block: the first convolution, pooled where the stem is large.
    template <typename Observer = no_observer>
    [[nodiscard]] image_batch run_stem(pixel_rows images, Observer const& observe = {}) const {
        image_batch x = stem_.made_of(images, {.is_relu = true}, observe);
        return pools_ ? max_pool(x, pool) : std::move(x);
    }
    /// The logits of what the last block made, [count, classes].
    template <typename Observer = no_observer>
    [[nodiscard]] matrix run_head(pixel_rows x, Observer const& observe = {}) const {
        matrix const means = mean_of_pixels(x);
        matrix logits(means.rows(), classes());
        observe(classifier_, means.view());
        classifier_.apply(means.view(), logits.view());
        return logits;
    }

    /// f(product) for every convolution and the last layer, in the order of computation, of one image. Throws
    /// like forward().
    template <typename F>
    void for_each_product(image_shape const& image, F&& f) const {
        f(product_of(stem_, image));
        image_shape shape = stem_.output(image);
        if (pools_) shape = pool.over(shape);
        for (resnet_block const& block : blocks_) shape = block.for_each_product(shape, f);
        f(product_of(classifier_, 1));
    }
    static constexpr convolution_window pool{.height = 3, .width = 3, .stride = 2, .padding = 1};
    [[nodiscard]] convolution const& stem() const noexcept { return stem_; }
    [[nodiscard]] convolution& stem() noexcept { return stem_; }
    /// Whether the stem ends with max_pool() over `pool`.
    [[nodiscard]] bool pools() const noexcept { return pools_; }
    [[nodiscard]] std::span<resnet_block const> blocks() const noexcept { return blocks_; }
    [[nodiscard]] std::span<resnet_block> blocks() noexcept { return blocks_; }
    [[nodiscard]] linear const& classifier() const noexcept { return classifier_; }
    [[nodiscard]] linear& classifier() noexcept { return classifier_; }

    /// f(layer) for every convolution and the last layer, in the order of computation.
    template <typename F>
    void for_each_linear(F&& f) {
        visit(*this, f);
    }
    template <typename F>
    void for_each_linear(F&& f) const {
        visit(*this, f);
    }

  private:
    template <typename Self, typename F>
    static void visit(Self& self, F& f) {
        f(self.stem_.layer());
        for (auto& block : self.blocks_) block.for_each_linear(f);
        f(self.classifier_);
    }

    convolution stem_;
    bool pools_ = false;
    std::size_t channels_ = 0;
    std::vector<resnet_block> blocks_;
    linear classifier_;
};

}  // namespace qtk
