// SPDX-License-Identifier: Apache-2.0
//
// What does a transformer see in an image? ViT (Dosovitskiy et al. 2021) and DeiT (Touvron et al. 2021)
// with timm's names: patches as tokens, a class token before them, blocks as in a language model but
// without a mask, and a linear layer on what became of the class token.
//
//   x = [cls_token, patch_embed.proj(image)] + pos_embed
//   x += attn.proj(attention(attn.qkv(norm1(x))))     of each block blocks.B
//   x += mlp.fc2(gelu(mlp.fc1(norm2(x))))             with the exact GELU
//   logits = head(norm(x)) of the class token         layer norms with an epsilon of 1e-6
//
// Blocks, widths and patches follow from the tensors; the number of heads does not (heads_of_width()).
// Images must have the size that the positions are for: they are not interpolated.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/core/matrix.hpp>
#include <qtk/core/matrix_view.hpp>
#include <qtk/kernel/activation.hpp>
#include <qtk/kernel/parallel.hpp>
#include <qtk/model/attention_heads.hpp>
#include <qtk/model/block.hpp>
#include <qtk/model/convolution.hpp>
#include <qtk/model/image.hpp>
#include <qtk/model/linear.hpp>
#include <qtk/model/network_product.hpp>
#include <qtk/model/norm.hpp>
#include <qtk/model/vision_reader.hpp>
#include <qtk/model/vit_attention.hpp>

#include <algorithm>
#include <cstddef>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace qtk {

/// Heads of 64 values, as in every ViT of the papers; of 32 where the width is no multiple of 64; 0 where it is
/// no multiple of 32 either, and somebody has to say it.
[[nodiscard]] constexpr std::size_t heads_of_width(std::size_t width) noexcept {
    return width % 64 == 0 ? width / 64 : width % 32 == 0 ? width / 32 : 0;
}
static_assert(heads_of_width(192) == 3 && heads_of_width(384) == 6 && heads_of_width(768) == 12);
static_assert(heads_of_width(96) == 3 && heads_of_width(100) == 0);

namespace detail {

/// NAME.weight [out, in], and NAME.bias [out] where there is one.
[[nodiscard]] inline linear read_vision_linear(vision_reader& file, std::string const& name,
                                               std::size_t out, std::size_t in,
                                               bool has_bias = true) {
    return {name, file.matrix(name + ".weight", out, in),
            has_bias ? file.vector(name + ".bias", out) : std::vector<float>{}};
}
[[nodiscard]] inline norm read_vision_norm(vision_reader& file, std::string const& name,
                                           std::size_t width) {
    return {.type = norm::kind::layer,
            .weight = file.vector(name + ".weight", width),
            .bias = file.vector(name + ".bias", width),
            .epsilon = 1e-6f};
}

}  // namespace detail

class vit_block {
  public:
    /// `prefix` is what stands before "norm1": "blocks.0." for the first block; `heads` divides `width`, an
    /// image has `tokens`. Throws what the reader throws.
    [[nodiscard]] static vit_block load(vision_reader& file, std::string const& prefix,
                                        std::size_t width, std::size_t heads, std::size_t tokens) {
        auto const layer = [&](std::string const& name, std::size_t out, std::size_t in) {
            return detail::read_vision_linear(file, prefix + name, out, in);
        };
        std::size_t const inner = file.shape(prefix + "mlp.fc1.weight", 2)[0];
        vit_block block;
        block.attention_ = vit_attention(prefix + "attn", heads, tokens);
        block.norm1_ = detail::read_vision_norm(file, prefix + "norm1", width);
        block.qkv_ = detail::read_vision_linear(file, prefix + "attn.qkv", 3 * width, width,
                                                file.has(prefix + "attn.qkv.bias"));
        block.proj_ = layer("attn.proj", width, width);
        block.norm2_ = detail::read_vision_norm(file, prefix + "norm2", width);
        block.fc1_ = layer("mlp.fc1", inner, width);
        block.fc2_ = layer("mlp.fc2", width, inner);
        return block;
    }

    /// Runs the block on x [n * tokens, width] in place. An observer that has a member attention() also sees
    /// the attention and its input: observe.attention(vit_attention const&, qkv [n * tokens, 3 width]).
    template <typename Observer = no_observer>
    void forward(matrix_view<float> x, Observer const& observe = {}) const {
        matrix normed(x.rows, x.cols);
        {
            matrix qkv(x.rows, qkv_.out()), attended(x.rows, x.cols);
            norm1_.apply(x, normed.view());
            observe(qkv_, normed.view());
            qkv_.apply(normed.view(), qkv.view());
            if constexpr (requires { observe.attention(attention_, matrix_view<float const>()); })
                observe.attention(attention_, matrix_view<float const>(qkv.view()));
            attention_.apply(qkv.view(), attended.view());
            observe(proj_, attended.view());
            proj_.apply_add(attended.view(), x);
        }
        matrix inner(x.rows, fc1_.out());
        norm2_.apply(x, normed.view());
        observe(fc1_, normed.view());
        fc1_.apply(normed.view(), inner.view());
        // The exact function takes about 3 nanoseconds a value.
        parallel_for(inner.rows(), 3 * inner.view().size(),
                     [&](std::size_t r) { activate(activation::gelu_erf, inner.view().row(r)); });
        observe(fc2_, inner.view());
        fc2_.apply_add(inner.view(), x);
    }

    /// f(layer) for the four linear layers, in the order of computation.
    template <typename F>
    void for_each_linear(F&& f) {
        visit(*this, f);
    }
    template <typename F>
    void for_each_linear(F&& f) const {
        visit(*this, f);
    }
    [[nodiscard]] linear const& qkv() const noexcept { return qkv_; }
    [[nodiscard]] linear const& proj() const noexcept { return proj_; }
    [[nodiscard]] linear const& fc1() const noexcept { return fc1_; }
    [[nodiscard]] linear const& fc2() const noexcept { return fc2_; }
    /// f(product) for the layers and the attention between the first two.
    template <typename F>
    void for_each_product(F& f) const {
        std::size_t const tokens = attention_.tokens();
        f(product_of(qkv_, tokens));
        attention_.for_each_product(proj_.in() / attention_.heads(), f);
        f(product_of(proj_, tokens)), f(product_of(fc1_, tokens)), f(product_of(fc2_, tokens));
    }
    [[nodiscard]] norm const& norm1() const noexcept { return norm1_; }
    [[nodiscard]] norm const& norm2() const noexcept { return norm2_; }
    [[nodiscard]] vit_attention& attention() noexcept { return attention_; }
    [[nodiscard]] vit_attention const& attention() const noexcept { return attention_; }

  private:
    template <typename Self, typename F>
    static void visit(Self& self, F& f) {
        f(self.qkv_), f(self.proj_), f(self.fc1_), f(self.fc2_);
    }

    vit_attention attention_;
    norm norm1_, norm2_;
    linear qkv_, proj_, fc1_, fc2_;
};

class vision_transformer {
  public:
    /// `heads` of each block; 0: heads_of_width(). Throws io_error naming a tensor that is missing, has another
    /// shape or has no place; nonfinite_error unless the reader's policy says otherwise; value_error if the
    /// heads do not divide the width or nobody knows their number.
    [[nodiscard]] static vision_transformer load(vision_reader& file, std::size_t heads = 0) {
        vision_transformer network;
        std::string const patches = "patch_embed.proj.weight";
        auto const shape = file.shape(patches, 4);
        std::size_t const width = shape[0], channels = shape[1], side = shape[2];
        if (shape[3] != side)
            file.refuse(patches, "square patches",
                        std::to_string(side) + " x " + std::to_string(shape[3]));
        network.heads_ = heads == 0 ? heads_of_width(width) : heads;
        if (network.heads_ == 0 || width % network.heads_ != 0)
            throw value_error(file.path() + ": expected a number of heads that divides the width " +
                              std::to_string(width) + ", found " +
                              (heads == 0 ? "none" : std::to_string(heads)) +
                              ". Hint: state it in the options");
        network.channels_ = channels;
        network.embed_ =
            convolution(linear("patch_embed.proj",
                               filters_as_rows(file.floats(patches, {width, channels, side, side}),
                                               width, channels, side, side),
                               file.vector("patch_embed.proj.bias", width)),
                        {.height = side, .width = side, .stride = side, .padding = 0}, channels);
        network.class_token_ = file.floats("cls_token", {1, 1, width});
        network.tokens_ = file.shape("pos_embed", 3)[1];
        network.positions_ = file.floats("pos_embed", {1, network.tokens_, width});
        // The first block is read even if it is not there, so that its absence is an error.
        for (std::size_t i = 0; i == 0 || file.has("blocks." + std::to_string(i) + ".norm1.weight");
             ++i)
            network.blocks_.push_back(vit_block::load(file, "blocks." + std::to_string(i) + ".",
                                                      width, network.heads_, network.tokens_));
        network.last_norm_ = detail::read_vision_norm(file, "norm", width);
        network.head_ =
            detail::read_vision_linear(file, "head", file.shape("head.weight", 2)[0], width);
        file.require_all_used("a ViT of " + std::to_string(network.blocks_.size()) +
                              " blocks with timm's names");
        return network;
    }

    [[nodiscard]] std::size_t channels() const noexcept { return channels_; }
    [[nodiscard]] std::size_t classes() const noexcept { return head_.out(); }
    [[nodiscard]] std::size_t heads() const noexcept { return heads_; }
    [[nodiscard]] std::size_t block_count() const noexcept { return blocks_.size(); }
    [[nodiscard]] std::span<vit_block const> blocks() const noexcept { return blocks_; }

    /// The logits of all images at once, [count, classes]; all activations of a block are in memory.
    /// Throws shape_error for images of another size or number of channels.
    template <typename Observer = no_observer>
    [[nodiscard]] matrix forward(pixel_rows images, Observer const& observe = {}) const {
        matrix x = run_stem(images, observe);
        for (vit_block const& block : blocks_) block.forward(x.view(), observe);
        return run_head(x.view(), observe);
    }
    /// What comes before the first block, [count * tokens, width]: the class token and the patches of each
    /// image, with their positions. Throws like forward().
    template <typename Observer = no_observer>
    [[nodiscard]] matrix run_stem(pixel_rows images, Observer const& observe = {}) const {
        require_size(images.shape());
        image_batch const patches = embed_.made_of(images, {}, observe);
        matrix x(images.count() * tokens_, embed_.layer().out());
        parallel_for(x.rows(), x.view().size(), [&](std::size_t r) {
            std::size_t const n = r / tokens_, t = r % tokens_;
            std::span<float const> const token =
                t == 0 ? std::span<float const>(class_token_)
                       : patches.pixels().row(n * (tokens_ - 1) + t - 1);
            std::span<float> const row = x.view().row(r);
            for (std::size_t i = 0; i < row.size(); ++i)
                row[i] = token[i] + positions_[t * row.size() + i];
        });
        return x;
    }
    /// The logits of what the last block made, [count, classes].
    template <typename Observer = no_observer>
    [[nodiscard]] matrix run_head(matrix_view<float const> x, Observer const& observe = {}) const {
        matrix last = class_tokens(x);
        last_norm_.apply(last.view(), last.view());
        matrix logits(last.rows(), classes());
        observe(head_, last.view());
        head_.apply(last.view(), logits.view());
        return logits;
    }
    /// The first row of each image, [count, width].
    [[nodiscard]] matrix class_tokens(matrix_view<float const> x) const {
        matrix first(x.rows / tokens_, x.cols);
        for (std::size_t n = 0; n < first.rows(); ++n)
            std::ranges::copy(x.row(n * tokens_), first.view().row(n).begin());
        return first;
    }

    /// Rows of an image, the class token among them.
    [[nodiscard]] std::size_t tokens() const noexcept { return tokens_; }
    [[nodiscard]] convolution const& embedding() const noexcept { return embed_; }
    [[nodiscard]] convolution& embedding() noexcept { return embed_; }
    [[nodiscard]] std::span<vit_block> blocks() noexcept { return blocks_; }
    [[nodiscard]] norm const& last_norm() const noexcept { return last_norm_; }
    [[nodiscard]] linear const& head() const noexcept { return head_; }
    [[nodiscard]] linear& head() noexcept { return head_; }

    /// f(layer) for the patches' layer, all layers of the blocks and the head, in the order of computation.
    template <typename F>
    void for_each_linear(F&& f) {
        visit(*this, f);
    }
    template <typename F>
    void for_each_linear(F&& f) const {
        visit(*this, f);
    }
    /// f(product) for every layer and attention, in the order of computation, of one image. Throws like
    /// forward(). The head sees the class token alone.
    template <typename F>
    void for_each_product(image_shape const& image, F&& f) const {
        require_size(image);
        f(product_of(embed_, image));
        for (vit_block const& block : blocks_) block.for_each_product(f);
        f(product_of(head_, 1));
    }
    /// f(attention) for the attention of every block, first to last.
    template <typename F>
    void for_each_attention(F&& f) {
        for (vit_block& block : blocks_) f(block.attention());
    }
    template <typename F>
    void for_each_attention(F&& f) const {
        for (vit_block const& block : blocks_) f(block.attention());
    }

  private:
    template <typename Self, typename F>
    static void visit(Self& self, F& f) {
        f(self.embed_.layer());
        for (auto& block : self.blocks_) block.for_each_linear(f);
        f(self.head_);
    }

    /// Positions of a square grid are those of a square image: another one would be read in the wrong order.
    void require_size(image_shape const& image) const {
        image_shape const grid = embed_.output(image);
        std::size_t const side = embed_.window().height, patches = tokens_ - 1;
        std::size_t root = 0;
        while (root * root < patches) ++root;
        bool const is_square = root * root == patches;
        if (image.height % side == 0 && image.width % side == 0 && grid.pixels() == patches &&
            (!is_square || grid.width == root))
            return;
        std::string const expected =
            is_square
                ? std::to_string(root * side) + " x " + std::to_string(root * side) + " pixels"
                : std::to_string(patches) + " patches of " + std::to_string(side) + " x " +
                      std::to_string(side);
        throw shape_error("the network's positions are for images of " + expected + ", found " +
                          to_string(image) + ". Hint: scale the images");
    }

    std::size_t channels_ = 0, heads_ = 0, tokens_ = 1;
    convolution embed_;
    std::vector<float> class_token_, positions_;
    std::vector<vit_block> blocks_;
    norm last_norm_;
    linear head_;
};

}  // namespace qtk
