// SPDX-License-Identifier: Apache-2.0
//
// Which earlier tokens does a token listen to? Scaled dot-product attention with a causal mask
// (Vaswani et al. 2017); several query heads may share one key and value head (grouped queries,
// Ainslie et al. 2023).
//
//   head h, row t:  y = sum over s <= t of softmax(q_t . k_s / sqrt(d)) v_s
//
// The queries are those of the last tokens: keys and values may hold earlier ones (past.hpp).
#pragma once

#include <qtk/core/contract.hpp>
#include <qtk/core/matrix.hpp>
#include <qtk/core/matrix_view.hpp>
#include <qtk/kernel/row_math.hpp>
#include <qtk/model/blas.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>

namespace qtk {

/// `heads` is a multiple of `kv_heads`; each head has `head_dim` values.
struct attention_shape {
    std::size_t heads = 1, kv_heads = 1, head_dim = 1;
};

namespace detail {
/// Columns [first, first + count) of every row.
template <typename T>
[[nodiscard]] matrix_view<T> columns(matrix_view<T> m, std::size_t first, std::size_t count) {
    return {m.data + first, m.rows, count, m.stride};
}

/// Rows [first, first + count).
template <typename T>
[[nodiscard]] matrix_view<T> rows(matrix_view<T> m, std::size_t first, std::size_t count) {
    return {m.data + first * m.stride, count, m.cols, m.stride};
}

/// Row r becomes the softmax of its first `seen + r` values and zeros.
inline void causal_softmax(matrix_view<float> scores, std::size_t seen) noexcept {
    for (std::size_t r = 0; r < scores.rows; ++r) {
        std::span<float> const row = scores.row(r);
        std::span<float> const past = row.first(seen + r);
        float const sum = row_exp(past, row_max(past));
        row_map(past, [factor = 1.0f / sum](float v) { return v * factor; });
        std::fill(row.begin() + static_cast<std::ptrdiff_t>(past.size()), row.end(), 0.0f);
    }
}
}  // namespace detail

/// y [t, heads * d] from q [t, heads * d], k and v [s, kv_heads * d], s >= t; views into wider rows
/// are fine. Memory beyond y: 64 rows of scores.
inline void causal_attention(attention_shape const& shape, matrix_view<float const> q,
                             matrix_view<float const> k, matrix_view<float const> v,
                             matrix_view<float> y) {
    QTK_EXPECTS(shape.kv_heads > 0 && shape.heads % shape.kv_heads == 0);
    QTK_EXPECTS(k.rows >= q.rows && v.rows == k.rows);
    // Of the square of scores only the blocks under the diagonal are computed.
    constexpr std::size_t block = 64;
    std::size_t const d = shape.head_dim, sharing = shape.heads / shape.kv_heads;
    float const scale = 1.0f / std::sqrt(static_cast<float>(d));
    std::size_t const earlier = k.rows - q.rows;
    matrix scratch(std::min(block, q.rows), k.rows);
    for (std::size_t head = 0; head < shape.heads; ++head) {
        auto const queries = detail::columns(q, head * d, d);
        auto const keys = detail::columns(k, head / sharing * d, d);
        auto const values = detail::columns(v, head / sharing * d, d);
        auto const mixed = detail::columns(y, head * d, d);
        for (std::size_t t = 0; t < q.rows; t += block) {
            std::size_t const count = std::min(block, q.rows - t), past = earlier + t + count;
            matrix_view<float> const scores(scratch.data(), count, past);
            matmul(detail::rows(queries, t, count), detail::rows(keys, 0, past), scores,
                   {.alpha = scale});
            detail::causal_softmax(scores, earlier + t + 1);
            matmul<factor::plain>(scores, detail::rows(values, 0, past),
                                  detail::rows(mixed, t, count));
        }
    }
}

}  // namespace qtk
