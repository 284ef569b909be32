// SPDX-License-Identifier: Apache-2.0
//
// One block of GPT-2 (Radford et al. 2019), normalized before each part; queries, keys and values
// come from one matrix. Names and layout of Hugging Face's files, whose matrices are [in, out]:
// they are transposed when they are read.
//
//   x += c_proj(attention(c_attn(ln_1(x))))
//   x += c_proj(gelu(c_fc(ln_2(x))))
#pragma once

#include <qtk/core/matrix.hpp>
#include <qtk/kernel/activation.hpp>
#include <qtk/kernel/parallel.hpp>
#include <qtk/model/attention.hpp>
#include <qtk/model/block.hpp>
#include <qtk/model/block_weights.hpp>
#include <qtk/model/fold.hpp>
#include <qtk/model/norm.hpp>

#include <cstddef>
#include <string>

namespace qtk {

class gpt2_block {
  public:
    /// `prefix` is what stands before "ln_1": "transformer.h.0." for the first block.
    [[nodiscard]] static gpt2_block load(weight_reader& file, decoder_config const& config,
                                         std::string const& prefix) {
        std::size_t const width = config.width;
        auto const normalization = [&](std::string const& name) {
            return read_norm(file, prefix + name, norm::kind::layer, config);
        };
        auto const layer = [&](std::string const& name, std::size_t out, std::size_t in) {
            return read_linear(file, prefix + name, out, in, true, weight_order::in_out);
        };
        gpt2_block block;
        block.shape_ = {config.heads, config.kv_heads, config.head_dim};
        block.act_ = config.act;
        block.ln_1_ = normalization("ln_1");
        block.c_attn_ = layer("attn.c_attn", 3 * width, width);
        block.attn_proj_ = layer("attn.c_proj", width, width);
        block.ln_2_ = normalization("ln_2");
        block.c_fc_ = layer("mlp.c_fc", config.inner, width);
        block.mlp_proj_ = layer("mlp.c_proj", width, config.inner);
        // Older exports store the causal mask beside the weights.
        file.ignore(prefix + "attn.bias");
        file.ignore(prefix + "attn.masked_bias");
        return block;
    }

    /// Runs the block on x [t, width] in place, after the tokens of `past` if there is one.
    template <typename Observer = no_observer>
    void forward(matrix_view<float> x, Observer const& observe = {},
                 layer_past* past = nullptr) const {
        matrix normed(x.rows, x.cols), attended(x.rows, x.cols);
        {
            matrix qkv(x.rows, c_attn_.out());
            ln_1_.apply(x, normed.view());
            observe(c_attn_, normed.view());
            c_attn_.apply(normed.view(), qkv.view());
            auto const part = [&](std::size_t i) {
                return detail::columns(qkv.view(), i * x.cols, x.cols);
            };
            attend(shape_, past, part(0), part(1), part(2), attended.view());
        }
        observe(attn_proj_, attended.view());
        attn_proj_.apply_add(attended.view(), x);

        matrix inner(x.rows, c_fc_.out());
        ln_2_.apply(x, normed.view());
        observe(c_fc_, normed.view());
        c_fc_.apply(normed.view(), inner.view());
        parallel_for(inner.rows(), 2 * inner.view().size(),
                     [&](std::size_t r) { activate(act_, inner.view().row(r)); });
        observe(mlp_proj_, inner.view());
        mlp_proj_.apply_add(inner.view(), x);
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

    /// f(fold) for each place where factors pass to layers (fold.hpp), in the order of computation.
    template <typename F>
    void for_each_fold(F&& f) {
        f(fold_after(ln_1_, {&c_attn_}));
        f(fold_after(c_attn_, attn_proj_, 2 * attn_proj_.in())
              .of_heads(shape_));  // after queries, keys
        f(fold_after(ln_2_, {&c_fc_}));
        f(act_ == activation::relu ? fold_after(c_fc_, mlp_proj_) : fold_inside(mlp_proj_));
    }

  private:
    friend struct detail::block_parts;

    template <typename Self, typename F>
    static void visit(Self& self, F& f) {
        f(self.c_attn_), f(self.attn_proj_), f(self.c_fc_), f(self.mlp_proj_);
    }

    attention_shape shape_;
    activation act_ = activation::gelu_tanh;
    norm ln_1_, ln_2_;
    linear c_attn_, attn_proj_, c_fc_, mlp_proj_;
};
static_assert(decoder_block<gpt2_block> && foldable_block<gpt2_block>);

}  // namespace qtk
