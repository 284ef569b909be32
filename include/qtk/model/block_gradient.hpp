// SPDX-License-Identifier: Apache-2.0
//
// How does a loss change with the weights and the input of a whole block? A tape runs the block and keeps
// what the way back needs: about as much as the inputs of all linear layers. One way serves every kind of
// block, since all are made of the same parts:
//
//   r = x + output(attention(layers(n)))     n = norm(x), or x where the norms come last
//   y = r + down(act(gate m) * up m)         m = norm(r), or r;  without `up`: down(act(gate m))
//
// Rounding of activations is passed through as gradient_layer.hpp says.
#pragma once

#include <qtk/core/contract.hpp>
#include <qtk/core/matrix.hpp>
#include <qtk/core/matrix_view.hpp>
#include <qtk/kernel/activation.hpp>
#include <qtk/kernel/parallel.hpp>
#include <qtk/math/blas.hpp>
#include <qtk/model/attention.hpp>
#include <qtk/model/block.hpp>
#include <qtk/model/gpt2.hpp>
#include <qtk/model/gradient_activation.hpp>
#include <qtk/model/gradient_attention.hpp>
#include <qtk/model/gradient_layer.hpp>
#include <qtk/model/gradient_norm.hpp>
#include <qtk/model/linear.hpp>
#include <qtk/model/llama.hpp>
#include <qtk/model/norm.hpp>
#include <qtk/model/opt.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

namespace qtk {

namespace detail {

/// What a block is made of, whatever its kind.
struct block_parts {
    attention_shape shape;
    activation act;
    bool normalizes_first;
    rotary const* angles;  ///< null: none
    norm const *attention_norm, *mlp_norm;
    std::vector<linear const*> projections;   ///< to queries, keys and values: one or three layers
    linear const *output, *gate, *up, *down;  ///< up: null where the feed-forward part has no gate

    static block_parts of(gpt2_block const& b) {
        return {b.shape_,     b.act_,        true,     nullptr, &b.ln_1_,    &b.ln_2_,
                {&b.c_attn_}, &b.attn_proj_, &b.c_fc_, nullptr, &b.mlp_proj_};
    }
    static block_parts of(llama_block const& b) {
        return {b.shape_,
                b.act_,
                true,
                b.rotary_.get(),
                &b.input_norm_,
                &b.mlp_norm_,
                {&b.q_proj_, &b.k_proj_, &b.v_proj_},
                &b.o_proj_,
                &b.gate_proj_,
                &b.up_proj_,
                &b.down_proj_};
    }
    static block_parts of(opt_block const& b) {
        return {b.shape_,
                b.act_,
                b.normalizes_first_,
                nullptr,
                &b.attention_norm_,
                &b.mlp_norm_,
                {&b.q_proj_, &b.k_proj_, &b.v_proj_},
                &b.out_proj_,
                &b.fc1_,
                nullptr,
                &b.fc2_};
    }
};

}  // namespace detail

/// One run of a block, which must live on and stay as it is until the last backward().
class block_tape {
  public:
    /// Runs the block on x, [t, width], as its forward() does.
    template <decoder_block B>
    block_tape(B const& block, matrix_view<float const> x)
        : parts_(detail::block_parts::of(block)), x_(detail::copy_of(x)) {
        QTK_EXPECTS(parts_.angles == nullptr || parts_.angles->head_dim() == parts_.shape.head_dim);
        run_attention();
        run_mlp();
    }

    /// What the block makes of x, [t, width].
    [[nodiscard]] matrix const& output() const noexcept { return y_; }

    /// For d = dL/dy, [t, width]: `by_weights`, one for each linear layer in the order of
    /// for_each_linear(), grow by dL/dW; none is computed if the span is empty. dL/dx, [t, width].
    matrix backward(matrix_view<float const> d, std::span<matrix> by_weights) const {
        QTK_EXPECTS(d.rows == y_.rows() && d.cols == y_.cols());
        auto by_weight = [&, i = by_weights.size()]() mutable {  // from the last layer to the first
            return by_weights.empty() ? matrix_view<float>{} : by_weights[--i].view();
        };
        matrix by_middle = detail::copy_of(d);
        if (!parts_.normalizes_first) back_through(*parts_.mlp_norm, sum_, by_middle);
        back_mlp(by_middle, by_weight);
        if (!parts_.normalizes_first) back_through(*parts_.attention_norm, first_sum_, by_middle);
        back_attention(by_middle, by_weight);
        return by_middle;
    }

  private:
    [[nodiscard]] matrix read(norm const& before, matrix const& x) const {
        if (!parts_.normalizes_first) return x;
        matrix normed(x.rows(), x.cols());
        before.apply(x.view(), normed.view());
        return normed;
    }
    /// The end of a part: `sum` is kept where a norm follows.
    [[nodiscard]] matrix finish(norm const& after, matrix& sum, matrix branch) const {
        if (parts_.normalizes_first) return branch;
        sum = std::move(branch);
        matrix normed(sum.rows(), sum.cols());
        after.apply(sum.view(), normed.view());
        return normed;
    }
    /// Queries, keys and values side by side.
    template <typename M>
    [[nodiscard]] auto heads_of(M& qkv) const {
        std::size_t const q = parts_.shape.heads * parts_.shape.head_dim;
        std::size_t const k = parts_.shape.kv_heads * parts_.shape.head_dim;
        auto const part = [&](std::size_t first, std::size_t count) {
            return detail::columns(qkv.view(), first, count);
        };
        return attention_operands<std::remove_pointer_t<decltype(qkv.data())>>{
            part(0, q), part(q, k), part(q + k, k)};
    }

    void run_attention() {
        std::size_t width = 0, first = 0;
        for (linear const* layer : parts_.projections) width += layer->out();
        normed_ = read(*parts_.attention_norm, x_);
        qkv_ = matrix(x_.rows(), width);
        for (linear const* layer : parts_.projections) {
            layer->apply(normed_.view(), detail::columns(qkv_.view(), first, layer->out()));
            first += layer->out();
        }
        attention_operands<float> const heads = heads_of(qkv_);
        if (parts_.angles != nullptr) parts_.angles->apply(heads.q), parts_.angles->apply(heads.k);
        attended_ = matrix(x_.rows(), heads.q.cols);
        causal_attention(parts_.shape, heads.q, heads.k, heads.v, attended_.view());
        matrix sum = x_;
        parts_.output->apply_add(attended_.view(), sum.view());
        middle_ = finish(*parts_.attention_norm, first_sum_, std::move(sum));
    }

    void run_mlp() {
        mlp_normed_ = read(*parts_.mlp_norm, middle_);
        gate_ = matrix(x_.rows(), parts_.gate->out());
        parts_.gate->apply(mlp_normed_.view(), gate_.view());
        if (parts_.up != nullptr) {
            up_ = matrix(x_.rows(), parts_.up->out());
            parts_.up->apply(mlp_normed_.view(), up_.view());
        }
        inner_ = gate_;
        for (std::size_t r = 0; r < inner_.rows(); ++r) {
            activate(parts_.act, inner_.view().row(r));
            if (parts_.up == nullptr) continue;
            for (std::size_t i = 0; i < inner_.cols(); ++i) inner_(r, i) *= up_(r, i);
        }
        matrix sum = middle_;
        parts_.down->apply_add(inner_.view(), sum.view());
        y_ = finish(*parts_.mlp_norm, sum_, std::move(sum));
    }

    static void back_through(norm const& n, matrix const& x, matrix& d) {
        norm_input_gradient(n, x.view(), d.view(), d.view());
    }

    /// `d` is dL by the sum after the feed-forward part and becomes dL by the stream before it.
    template <typename F>
    void back_mlp(matrix& d, F& by_weight) const {
        matrix by_inner(inner_.rows(), inner_.cols()), by_up, by_read(d.rows(), d.cols());
        add_layer_gradient(*parts_.down, inner_.view(), d.view(), by_weight(), by_inner.view());
        if (parts_.up != nullptr) {
            by_up = matrix(up_.rows(), up_.cols());
            for (std::size_t r = 0; r < by_up.rows(); ++r) {
                std::ranges::copy(gate_.view().row(r), by_up.view().row(r).begin());
                activate(parts_.act, by_up.view().row(r));
                for (std::size_t i = 0; i < by_up.cols(); ++i) {
                    by_up(r, i) *= by_inner(r, i);
                    by_inner(r, i) *= up_(r, i);
                }
            }
            add_layer_gradient(*parts_.up, mlp_normed_.view(), by_up.view(), by_weight(),
                               by_read.view());
        }
        for (std::size_t r = 0; r < by_inner.rows(); ++r)
            activation_gradient(parts_.act, gate_.view().row(r), by_inner.view().row(r));
        add_layer_gradient(*parts_.gate, mlp_normed_.view(), by_inner.view(), by_weight(),
                           by_read.view());
        if (parts_.normalizes_first) back_through(*parts_.mlp_norm, middle_, by_read);
        detail::add_to(by_read.view(), d);
    }

    template <typename F>
    void back_attention(matrix& d, F& by_weight) const {
        matrix by_attended(attended_.rows(), attended_.cols()), by_qkv(qkv_.rows(), qkv_.cols());
        add_layer_gradient(*parts_.output, attended_.view(), d.view(), by_weight(),
                           by_attended.view());
        attention_operands<float> const by_heads = heads_of(by_qkv);
        causal_attention_gradient(parts_.shape, heads_of(qkv_), by_attended.view(), by_heads);
        if (parts_.angles != nullptr)
            parts_.angles->undo(by_heads.q), parts_.angles->undo(by_heads.k);
        matrix by_read(d.rows(), d.cols());
        std::size_t end = by_qkv.cols();
        for (std::size_t i = parts_.projections.size(); i-- > 0;) {
            linear const& layer = *parts_.projections[i];
            end -= layer.out();
            add_layer_gradient(layer, normed_.view(),
                               detail::columns(std::as_const(by_qkv).view(), end, layer.out()),
                               by_weight(), by_read.view());
        }
        if (parts_.normalizes_first) back_through(*parts_.attention_norm, x_, by_read);
        detail::add_to(by_read.view(), d);
    }

    detail::block_parts parts_;
    matrix x_, normed_, qkv_, attended_, first_sum_, middle_;
    matrix mlp_normed_, gate_, up_, inner_, sum_, y_;
};

/// What reconstruct_block() asks of a block (block_reconstruction.hpp).
template <decoder_block B>
[[nodiscard]] matrix block_output(B const& block, matrix const& x) {
    matrix y = x;
    block.forward(y.view());
    return y;
}
template <decoder_block B>
[[nodiscard]] std::array<std::size_t, 2> block_shape(B const&, matrix const& x) {
    return x.shape();
}
template <decoder_block B>
[[nodiscard]] block_tape block_run(B const& block, matrix const& x) {
    return block_tape(block, x.view());
}

}  // namespace qtk
