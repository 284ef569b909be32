// SPDX-License-Identifier: Apache-2.0
//
// One block of OPT (Zhang et al. 2022): layer norm before each part, in OPT-350m after it; queries,
// keys and values from matrices of their own. Names of Hugging Face's files.
//
//   x += out_proj(attention(q_proj n, k_proj n, v_proj n))   n = self_attn_layer_norm(x)
//   x += fc2(relu(fc1 n))                                    n = final_layer_norm(x)
//
// and after it:
//
//   x = self_attn_layer_norm(x + out_proj(attention(q_proj x, k_proj x, v_proj x)))
//   x = final_layer_norm(x + fc2(relu(fc1 x)))
#pragma once

#include <qtk/core/matrix.hpp>
#include <qtk/core/matrix_view.hpp>
#include <qtk/kernel/activation.hpp>
#include <qtk/kernel/parallel.hpp>
#include <qtk/model/attention.hpp>
#include <qtk/model/block.hpp>
#include <qtk/model/block_weights.hpp>
#include <qtk/model/fold.hpp>
#include <qtk/model/norm.hpp>

#include <cstddef>
#include <string>
#include <utility>

namespace qtk {

class opt_block {
  public:
    /// `prefix` is what stands before "fc1": "model.decoder.layers.0." for the first block.
    [[nodiscard]] static opt_block load(weight_reader& file, decoder_config const& config,
                                        std::string const& prefix) {
        std::size_t const width = config.width;
        auto const normalization = [&](std::string const& name) {
            return read_norm(file, prefix + name, norm::kind::layer, config);
        };
        auto const layer = [&](std::string const& name, std::size_t out, std::size_t in,
                               bool has_bias) {
            return read_linear(file, prefix + name, out, in, has_bias);
        };
        bool const attention_bias = config.has_attention_bias, mlp_bias = config.has_mlp_bias;
        opt_block block;
        block.shape_ = {config.heads, config.kv_heads, config.head_dim, config.window};
        block.act_ = config.act;
        block.normalizes_first_ = config.normalizes_first;
        block.attention_norm_ = normalization("self_attn_layer_norm");
        block.q_proj_ = layer("self_attn.q_proj", width, width, attention_bias);
        block.k_proj_ = layer("self_attn.k_proj", width, width, attention_bias);
        block.v_proj_ = layer("self_attn.v_proj", width, width, attention_bias);
        block.out_proj_ = layer("self_attn.out_proj", width, width, config.has_output_bias);
        block.mlp_norm_ = normalization("final_layer_norm");
        block.fc1_ = layer("fc1", config.inner, width, mlp_bias);
        block.fc2_ = layer("fc2", width, config.inner, mlp_bias);
        return block;
    }

    /// Runs the block on x [t, width] in place, after the tokens of `past` if there is one.
    template <typename Observer = no_observer>
    void forward(matrix_view<float> x, Observer const& observe = {},
                 layer_past* past = nullptr) const {
        matrix normed(normalizes_first_ ? x.rows : 0, x.cols);
        // What a part reads: x itself, or its normalized copy.
        auto const input = [&](norm const& before) -> matrix_view<float const> {
            if (!normalizes_first_) return x;
            before.apply(x, normed.view());
            return normed.view();
        };
        auto const finish = [&](norm const& after) {
            if (!normalizes_first_) after.apply(x, x);
        };
        {
            matrix q(x.rows, x.cols), k(x.rows, x.cols), v(x.rows, x.cols), y(x.rows, x.cols);
            auto const n = input(attention_norm_);
            for (auto const& [layer, to] :
                 {std::pair(&q_proj_, &q), std::pair(&k_proj_, &k), std::pair(&v_proj_, &v)}) {
                observe(*layer, n);
                layer->apply(n, to->view());
            }
            attend(shape_, past, q.view(), k.view(), v.view(), y.view());
            observe(out_proj_, y.view());
            out_proj_.apply_add(y.view(), x);
            finish(attention_norm_);
        }
        matrix inner(x.rows, fc1_.out());
        auto const n = input(mlp_norm_);
        observe(fc1_, n);
        fc1_.apply(n, inner.view());
        parallel_for(inner.rows(), 2 * inner.view().size(),
                     [&](std::size_t r) { activate(act_, inner.view().row(r)); });
        observe(fc2_, inner.view());
        fc2_.apply_add(inner.view(), x);
        finish(mlp_norm_);
    }

    /// f(layer) for the six linear layers, in the order of computation.
    template <typename F>
    void for_each_linear(F&& f) {
        visit(*this, f);
    }
    template <typename F>
    void for_each_linear(F&& f) const {
        visit(*this, f);
    }

    /// f(fold) for each place where factors pass to layers (fold.hpp), in the order of computation.
    /// Where the norms come last, what the layers read is the stream itself: nothing takes factors.
    template <typename F>
    void for_each_fold(F&& f) {
        if (normalizes_first_) f(fold_after(attention_norm_, {&q_proj_, &k_proj_, &v_proj_}));
        f(fold_after(v_proj_, out_proj_).of_heads(shape_));
        if (normalizes_first_) f(fold_after(mlp_norm_, {&fc1_}));
        f(act_ == activation::relu ? fold_after(fc1_, fc2_) : fold_inside(fc2_));
    }

  private:
    friend struct detail::block_parts;

    template <typename Self, typename F>
    static void visit(Self& self, F& f) {
        f(self.q_proj_), f(self.k_proj_), f(self.v_proj_), f(self.out_proj_);
        f(self.fc1_), f(self.fc2_);
    }

    attention_shape shape_;
    activation act_ = activation::relu;
    bool normalizes_first_ = true;
    norm attention_norm_, mlp_norm_;
    linear q_proj_, k_proj_, v_proj_, out_proj_, fc1_, fc2_;
};
static_assert(decoder_block<opt_block> && foldable_block<opt_block>);

}  // namespace qtk
