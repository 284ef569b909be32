// SPDX-License-Identifier: Apache-2.0
//
// How does a loss change with the queries, keys and values of attention? With P the softmax of the scores,
// y = P v, and d for dL/dy, head by head:
//
//   dL/dv = P^T d      dP = d v^T      dS = P * (dP - sum over a row of P dP)
//   dL/dq = dS k / sqrt(head_dim)      dL/dk = dS^T q / sqrt(head_dim)
//
// P is computed again, 64 rows at a time. Query heads that share keys and values add up.
#pragma once

#include <qtk/core/contract.hpp>
#include <qtk/core/matrix.hpp>
#include <qtk/core/matrix_view.hpp>
#include <qtk/kernel/parallel.hpp>
#include <qtk/kernel/row_math.hpp>
#include <qtk/math/blas.hpp>
#include <qtk/math/transpose.hpp>
#include <qtk/model/attention.hpp>
#include <qtk/model/attention_heads.hpp>
#include <qtk/model/gradient_linear.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace qtk {

/// Queries [t, heads * head_dim], keys and values [t, kv_heads * head_dim]; or dL by each. Views into wider
/// rows are fine.
template <typename T>
struct attention_operands {
    matrix_view<T> q, k, v;
};

namespace detail {

/// A token sees itself and those before, as far as the window reaches.
struct causal_reach {
    [[nodiscard]] static std::size_t first(attention_shape const& shape, std::size_t position) {
        return shape.first_seen(position);
    }
    /// Behind the last token that the one at `position` sees.
    [[nodiscard]] static std::size_t end(std::size_t position, std::size_t) { return position + 1; }
    static void softmax(attention_shape const& shape, std::size_t position, std::size_t from,
                        matrix_view<float> scores) {
        causal_softmax(shape, position, from, scores);
    }
};

/// Every token sees all, as the patches of an image do.
struct full_reach {
    [[nodiscard]] static std::size_t first(attention_shape const&, std::size_t) { return 0; }
    [[nodiscard]] static std::size_t end(std::size_t, std::size_t tokens) { return tokens; }
    static void softmax(attention_shape const&, std::size_t, std::size_t,
                        matrix_view<float> scores) {
        for (std::size_t r = 0; r < scores.rows; ++r) {
            float const sum = row_exp(scores.row(r), row_max(scores.row(r)));
            row_map(scores.row(r), [factor = 1.0f / sum](float p) { return p * factor; });
        }
    }
};

/// dP becomes dS.
inline void softmax_gradient(matrix_view<float const> p, matrix_view<float> dp) noexcept {
    for (std::size_t r = 0; r < p.rows; ++r) {
        double along = 0.0;
        for (std::size_t c = 0; c < p.cols; ++c)
            along += static_cast<double>(p(r, c)) * static_cast<double>(dp(r, c));
        for (std::size_t c = 0; c < p.cols; ++c)
            dp(r, c) = p(r, c) * (dp(r, c) - static_cast<float>(along));
    }
}

/// One head: all views have head_dim columns. q's gradient is written, those of k and v grow.
template <typename Reach>
void add_head_gradient(attention_shape const& shape, attention_operands<float const> const& in,
                       matrix_view<float const> d, attention_operands<float> const& by) {
    constexpr std::size_t block = 64;
    float const scale = 1.0f / std::sqrt(static_cast<float>(shape.head_dim));
    for (std::size_t t = 0; t < in.q.rows; t += block) {
        std::size_t const count = std::min(block, in.q.rows - t), from = Reach::first(shape, t);
        std::size_t const seen = Reach::end(t + count - 1, in.k.rows) - from;
        auto const q = rows(in.q, t, count), dy = rows(d, t, count);
        auto const k = rows(in.k, from, seen), v = rows(in.v, from, seen);
        matrix p(count, seen), ds(count, seen);
        matmul(q, k, p.view(), {.alpha = scale});
        Reach::softmax(shape, t, from, p.view());
        add_weight_gradient(dy, p.view(), rows(by.v, from, seen));
        matmul(dy, v, ds.view());
        softmax_gradient(p.view(), ds.view());
        matmul<factor::plain>(ds.view(), k, rows(by.q, t, count), {.alpha = scale});
        matmul<factor::plain>(transposed(ds.view()).view(), q, rows(by.k, from, seen),
                              {.alpha = scale, .beta = 1.0f});
    }
}

template <typename Reach>
void attention_gradient(attention_shape const& shape, attention_operands<float const> const& in,
                        matrix_view<float const> d, attention_operands<float> const& by) {
    QTK_EXPECTS(shape.kv_heads > 0 && shape.heads % shape.kv_heads == 0);
    QTK_EXPECTS(in.q.rows == in.k.rows && in.k.rows == in.v.rows && d.rows == in.q.rows);
    QTK_EXPECTS(by.q.cols == in.q.cols && by.k.cols == in.k.cols && by.v.cols == in.v.cols);
    std::size_t const size = shape.head_dim, sharing = shape.heads / shape.kv_heads;
    single_threaded_blas const one_thread;
    // Heads of keys and values are independent; those that share one follow each other.
    parallel_for(shape.kv_heads, in.q.size() * in.q.rows, [&](std::size_t kv) {
        auto const part = [size](auto m, std::size_t i) { return columns(m, i * size, size); };
        for (std::size_t t = 0; t < in.k.rows; ++t)
            for (auto const& m : {part(by.k, kv), part(by.v, kv)})
                std::ranges::fill(m.row(t), 0.0f);
        for (std::size_t h = kv * sharing; h < (kv + 1) * sharing; ++h)
            add_head_gradient<Reach>(shape, {part(in.q, h), part(in.k, kv), part(in.v, kv)},
                                     part(d, h), {part(by.q, h), part(by.k, kv), part(by.v, kv)});
    });
}

}  // namespace detail

/// The gradient of causal_attention(): `by` becomes dL by queries, keys and values, for d = dL/dy, [t,
/// heads * head_dim]. The result does not depend on the number of threads.
inline void causal_attention_gradient(attention_shape const& shape,
                                      attention_operands<float const> const& in,
                                      matrix_view<float const> d,
                                      attention_operands<float> const& by) {
    detail::attention_gradient<detail::causal_reach>(shape, in, d, by);
}

/// The same where every token sees all.
inline void full_attention_gradient(attention_shape const& shape,
                                    attention_operands<float const> const& in,
                                    matrix_view<float const> d,
                                    attention_operands<float> const& by) {
    detail::attention_gradient<detail::full_reach>(shape, in, d, by);
}

}  // namespace qtk
