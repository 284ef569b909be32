// SPDX-License-Identifier: Apache-2.0
//
// One block of Llama (Touvron et al. 2023): RMS norm before each part, rotary positions, query
// heads that share keys and values, a gated feed-forward part (Shazeer 2020). Mistral and Qwen2 have
// the same block with a window and with biases. Names of Hugging Face's files.
//
//   x += o_proj(attention(rotate(q_proj n), rotate(k_proj n), v_proj n))   n = input_layernorm(x)
//   x += down_proj(silu(gate_proj n) * up_proj n)                n = post_attention_layernorm(x)
#pragma once

#include <qtk/core/matrix.hpp>
#include <qtk/kernel/activation.hpp>
#include <qtk/kernel/parallel.hpp>
#include <qtk/model/attention.hpp>
#include <qtk/model/block.hpp>
#include <qtk/model/block_weights.hpp>
#include <qtk/model/fold.hpp>
#include <qtk/model/norm.hpp>
#include <qtk/model/rotary.hpp>

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <utility>

namespace qtk {

class llama_block {
  public:
    /// `prefix` is what stands before "input_layernorm": "model.layers.0." for the first block,
    /// which sees back as far as `config.window`, whatever its number.
    [[nodiscard]] static llama_block load(weight_reader& file, decoder_config const& config,
                                          std::string const& prefix) {
        std::size_t const width = config.width, inner = config.inner;
        std::size_t const queries = config.heads * config.head_dim;
        std::size_t const keys = config.kv_heads * config.head_dim;
        auto const normalization = [&](std::string const& name) {
            return read_norm(file, prefix + name, norm::kind::rms, config);
        };
        auto const layer = [&](std::string const& name, std::size_t out, std::size_t in,
                               bool has_bias) {
            return read_linear(file, prefix + name, out, in, has_bias);
        };
        bool const attention_bias = config.has_attention_bias, mlp_bias = config.has_mlp_bias;
        llama_block block;
        block.shape_ = {config.heads, config.kv_heads, config.head_dim, config.window};
        block.act_ = config.act;
        block.input_norm_ = normalization("input_layernorm");
        block.q_proj_ = layer("self_attn.q_proj", queries, width, attention_bias);
        block.k_proj_ = layer("self_attn.k_proj", keys, width, attention_bias);
        block.v_proj_ = layer("self_attn.v_proj", keys, width, attention_bias);
        block.o_proj_ = layer("self_attn.o_proj", width, queries, config.has_output_bias);
        block.mlp_norm_ = normalization("post_attention_layernorm");
        block.gate_proj_ = layer("mlp.gate_proj", inner, width, mlp_bias);
        block.up_proj_ = layer("mlp.up_proj", inner, width, mlp_bias);
        block.down_proj_ = layer("mlp.down_proj", width, inner, mlp_bias);
        // Older exports store the angles beside the weights.
        file.ignore(prefix + "self_attn.rotary_emb.inv_freq");
        return block;
    }

    /// The angles, which all blocks of a network share. Must be set before forward().
    void set_rotary(std::shared_ptr<rotary const> angles) { rotary_ = std::move(angles); }

    /// Runs the block on x [t, width] in place, after the tokens of `past` if there is one.
    template <typename Observer = no_observer>
    void forward(matrix_view<float> x, Observer const& observe = {},
                 layer_past* past = nullptr) const {
        QTK_EXPECTS(rotary_ != nullptr);
        matrix normed(x.rows, x.cols);
        input_norm_.apply(x, normed.view());
        {
            matrix q(x.rows, q_proj_.out()), k(x.rows, k_proj_.out()), v(x.rows, v_proj_.out());
            matrix attended(x.rows, q_proj_.out());
            for (auto const& [layer, y] :
                 {std::pair(&q_proj_, &q), std::pair(&k_proj_, &k), std::pair(&v_proj_, &v)}) {
                observe(*layer, normed.view());
                layer->apply(normed.view(), y->view());
            }
            std::size_t const first = past != nullptr ? past->length() : 0;
            rotary_->apply(q.view(), first);
            rotary_->apply(k.view(), first);
            attend(shape_, past, q.view(), k.view(), v.view(), attended.view());
            observe(o_proj_, attended.view());
            o_proj_.apply_add(attended.view(), x);
        }

        matrix gate(x.rows, gate_proj_.out()), up(x.rows, up_proj_.out());
        mlp_norm_.apply(x, normed.view());
        observe(gate_proj_, normed.view());
        gate_proj_.apply(normed.view(), gate.view());
        observe(up_proj_, normed.view());
        up_proj_.apply(normed.view(), up.view());
        parallel_for(x.rows, 2 * gate.view().size(), [&](std::size_t r) {
            std::span<float> const row = gate.view().row(r);
            std::span<float const> const factors = up.view().row(r);
            activate(act_, row);
            for (std::size_t i = 0; i < row.size(); ++i) row[i] *= factors[i];
        });
        observe(down_proj_, gate.view());
        down_proj_.apply_add(gate.view(), x);
    }

    /// f(layer) for the seven linear layers, in the order of computation.
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
        f(fold_after(input_norm_, {&q_proj_, &k_proj_, &v_proj_}));
        f(fold_after(v_proj_, o_proj_).of_heads(shape_));
        f(fold_after(mlp_norm_, {&gate_proj_, &up_proj_})), f(fold_after(up_proj_, down_proj_));
    }

  private:
    friend struct detail::block_parts;

    template <typename Self, typename F>
    static void visit(Self& self, F& f) {
        f(self.q_proj_), f(self.k_proj_), f(self.v_proj_), f(self.o_proj_);
        f(self.gate_proj_), f(self.up_proj_), f(self.down_proj_);
    }

    attention_shape shape_;
    activation act_ = activation::silu;
    std::shared_ptr<rotary const> rotary_;
    norm input_norm_, mlp_norm_;
    linear q_proj_, k_proj_, v_proj_, o_proj_, gate_proj_, up_proj_, down_proj_;
};
static_assert(decoder_block<llama_block> && foldable_block<llama_block>);

}  // namespace qtk
