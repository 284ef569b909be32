// SPDX-License-Identifier: Apache-2.0
//
// What stands between the layers qkv and proj of a ViT's block? Attention of the tokens of an image to each
// other (patch_attention.hpp) with a name, so that calibration finds it, and with what it rounds.
#pragma once

#include <qtk/core/matrix.hpp>
#include <qtk/core/matrix_view.hpp>
#include <qtk/model/attention_heads.hpp>
#include <qtk/model/attention_rounding.hpp>
#include <qtk/model/network_product.hpp>
#include <qtk/model/patch_attention.hpp>

#include <cstddef>
#include <string>
#include <utility>

namespace qtk {

class vit_attention {
  public:
    vit_attention() = default;
    /// `name` is "blocks.0.attn" in the first block.
    vit_attention(std::string name, std::size_t heads, std::size_t tokens)
        : name_(std::move(name)), heads_(heads), tokens_(tokens) {}

    [[nodiscard]] std::string const& name() const noexcept { return name_; }
    [[nodiscard]] std::size_t heads() const noexcept { return heads_; }
    /// Of an image.
    [[nodiscard]] std::size_t tokens() const noexcept { return tokens_; }
    [[nodiscard]] attention_rounding const& rounding() const noexcept { return rounding_; }
    /// Throws value_error for a grid without a scale.
    void set_rounding(attention_rounding const& rounding) {
        require_scales(rounding, name_);
        rounding_ = rounding;
    }

    /// y [n * tokens, width] from queries, keys and values side by side, [n * tokens, 3 width].
    void apply(matrix_view<float const> qkv, matrix_view<float> y) const {
        patch_attention(heads_, tokens_, part(qkv, 0), part(qkv, 1), part(qkv, 2), y, rounding_);
    }
    /// The maps of the same [n * heads * tokens, tokens], rounded as apply() does.
    [[nodiscard]] matrix maps(matrix_view<float const> qkv) const {
        return attention_maps(heads_, tokens_, part(qkv, 0), part(qkv, 1), rounding_);
    }
    /// f(product) for the scores and for what the values become, once for each head. `d` is the width of one.
    template <typename F>
    void for_each_product(std::size_t d, F& f) const {
        network_product product{.name = name_ + ".scores",
                                .attention = this,
                                .is_scores = true,
                                .m = tokens_,
                                .n = tokens_,
                                .k = d,
                                .distinct_inputs = tokens_ * d,
                                .times = heads_};
        f(std::as_const(product));
        std::swap(product.n, product.k);
        product.name = name_ + ".values";
        product.is_scores = false;
        product.distinct_inputs = tokens_ * tokens_;
        f(std::as_const(product));
    }
    /// Queries (0), keys (1) or values (2) of such rows, [n * tokens, width].
    [[nodiscard]] static matrix_view<float const> part(matrix_view<float const> qkv,
                                                       std::size_t i) {
        return detail::columns(qkv, i * (qkv.cols / 3), qkv.cols / 3);
    }

  private:
    std::string name_;
    std::size_t heads_ = 1, tokens_ = 1;
    attention_rounding rounding_;
};

}  // namespace qtk
