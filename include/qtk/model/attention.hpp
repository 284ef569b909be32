// SPDX-License-Identifier: Apache-2.0
//
// Which earlier tokens does a token listen to? Scaled dot-product attention with a causal mask
// (Vaswani et al. 2017); several query heads may share one key and value head (grouped queries,
// Ainslie et al. 2023); a window may hide what lies far back.
//
//   head h, row t:  y = sum over seen s of softmax(q_t . k_s / sqrt(d)) v_s,  t - window < s <= t
//
// The queries are those of the last tokens: keys and values may hold earlier ones (past.hpp).
#pragma once

#include <qtk/core/checked.hpp>
#include <qtk/core/contract.hpp>
#include <qtk/core/matrix.hpp>
#include <qtk/core/matrix_view.hpp>
#include <qtk/kernel/parallel.hpp>
#include <qtk/kernel/row_math.hpp>
#include <qtk/math/blas.hpp>
#include <qtk/model/attention_heads.hpp>
#include <qtk/model/attention_step.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <vector>

namespace qtk {
namespace detail {

/// Row r of the scores of the tokens at `position` and after becomes the softmax of what its token
/// sees, and zeros. Column 0 is the token at `first`.
inline void causal_softmax(attention_shape const& shape, std::size_t position, std::size_t first,
                           matrix_view<float> scores) noexcept {
    for (std::size_t r = 0; r < scores.rows; ++r) {
        std::size_t const from = shape.first_seen(position + r) - first;
        std::size_t const end = position + r + 1 - first;
        std::span<float> const row = scores.row(r), seen = row.subspan(from, end - from);
        std::fill_n(row.begin(), from, 0.0f);
        float const sum = row_exp(seen, row_max(seen));
        row_map(seen, [factor = 1.0f / sum](float v) { return v * factor; });
        std::fill(row.begin() + static_cast<std::ptrdiff_t>(end), row.end(), 0.0f);
    }
}

/// What one thread needs besides its rows of y.
struct attention_scratch {
    std::vector<float> scores, keys, values;
};

/// y [t, heads * d] for the queries q [t, heads * d] of the last of `tokens` tokens, tokens >= t.
template <readable_heads Heads>
void attend_rows(attention_shape const& shape, matrix_view<float const> q, Heads const& keys,
                 Heads const& values, std::size_t tokens, matrix_view<float> y) {
    QTK_EXPECTS(shape.kv_heads > 0 && shape.heads % shape.kv_heads == 0);
    QTK_EXPECTS(tokens >= q.rows && y.rows == q.rows && y.cols == q.cols);
    QTK_EXPECTS(q.cols == shape.heads * shape.head_dim);
    if (q.rows == 0) return;
    if (q.rows == 1) return attend_step(shape, q.row(0), keys, values, tokens, y.row(0));
    // Of the square of scores only the blocks under the diagonal, and in the window, are computed.
    constexpr std::size_t block = 64;
    std::size_t const d = shape.head_dim, sharing = shape.heads / shape.kv_heads;
    float const scale = 1.0f / std::sqrt(static_cast<float>(d));
    std::size_t const earlier = tokens - q.rows, blocks = div_ceil(q.rows, block);
    auto const attend_block = [&](std::size_t head, std::size_t t, attention_scratch& scratch) {
        std::size_t const count = std::min(block, q.rows - t), end = earlier + t + count;
        std::size_t const first = shape.first_seen(earlier + t);
        auto const k = keys.read(head / sharing, first, end - first, scratch.keys);
        auto const v = values.read(head / sharing, first, end - first, scratch.values);
        scratch.scores.resize(std::max(scratch.scores.size(), count * k.rows));
        matrix_view<float> const scores(scratch.scores.data(), count, k.rows);
        matmul(rows(columns(q, head * d, d), t, count), k, scores, {.alpha = scale});
        causal_softmax(shape, earlier + t, first, scores);
        matmul<factor::plain>(scores, v, rows(columns(y, head * d, d), t, count));
    };
    single_threaded_blas const one_thread;
    std::size_t const units = shape.heads * blocks, shares = std::min(units, thread_count());
    // About eight multiplications and additions a nanosecond.
    std::size_t const reach = shape.window == 0 ? tokens : std::min(tokens, shape.window + block);
    std::size_t const work = checked_mul(q.size(), reach) / 4;
    parallel_for(shares, work, [&](std::size_t share) {
        attention_scratch scratch;
        for (std::size_t i = units * share / shares; i < units * (share + 1) / shares; ++i)
            attend_block(i / blocks, i % blocks * block, scratch);
    });
}

}  // namespace detail

/// y [t, heads * d] from q [t, heads * d], k and v [s, kv_heads * d], s >= t; views into wider rows
/// are fine. Large work is shared between threads, which does not change the result. Memory beyond
/// y: 64 rows of scores a thread.
inline void causal_attention(attention_shape const& shape, matrix_view<float const> q,
                             matrix_view<float const> k, matrix_view<float const> v,
                             matrix_view<float> y) {
    QTK_EXPECTS(k.rows >= q.rows && v.rows == k.rows);
    detail::attend_rows(shape, q, detail::float_heads{k, shape.head_dim},
                        detail::float_heads{v, shape.head_dim}, k.rows, y);
}

}  // namespace qtk
