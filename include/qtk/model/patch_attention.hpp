// SPDX-License-Identifier: Apache-2.0
//
// How do the patches of one image listen to each other? Every token to every token of its image, and to no
// other image: scaled dot-product attention without a mask (Vaswani et al. 2017).
//
//   head h, row t:  y = sum over all s of the image of softmax(q_t . k_s / sqrt(d)) v_s
#pragma once

#include <qtk/core/contract.hpp>
#include <qtk/core/matrix_view.hpp>
#include <qtk/kernel/parallel.hpp>
#include <qtk/kernel/row_math.hpp>
#include <qtk/math/blas.hpp>
#include <qtk/model/attention_heads.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <vector>

namespace qtk {

namespace detail {

/// Every row becomes the softmax of its values.
inline void softmax_rows(matrix_view<float> scores) noexcept {
    for (std::size_t r = 0; r < scores.rows; ++r) {
        std::span<float> const row = scores.row(r);
        float const sum = row_exp(row, row_max(row));
        row_map(row, [factor = 1.0f / sum](float v) { return v * factor; });
    }
}

}  // namespace detail

/// y [n * tokens, heads * d] from queries, keys and values of the same shape, all tokens of an image one
/// after the other; views into wider rows are fine. Images and heads are shared between threads, which does
/// not change the result. Memory beyond y: up to 256 rows of scores a thread.
inline void patch_attention(std::size_t heads, std::size_t tokens, matrix_view<float const> q,
                            matrix_view<float const> k, matrix_view<float const> v,
                            matrix_view<float> y) {
    QTK_EXPECTS(heads > 0 && q.cols % heads == 0 && tokens > 0 && q.rows % tokens == 0);
    QTK_EXPECTS(k.rows == q.rows && k.cols == q.cols && v.rows == q.rows && v.cols == q.cols);
    QTK_EXPECTS(y.rows == q.rows && y.cols == q.cols);
    constexpr std::size_t block = 256;
    std::size_t const d = q.cols / heads, units = q.rows / tokens * heads;
    float const scale = 1.0f / std::sqrt(static_cast<float>(d));
    auto const attend = [&](std::size_t image, std::size_t head, std::vector<float>& scratch) {
        auto const part = [&](auto const& m, std::size_t first, std::size_t count) {
            return detail::rows(detail::columns(m, head * d, d), image * tokens + first, count);
        };
        for (std::size_t t = 0; t < tokens; t += block) {
            std::size_t const count = std::min(block, tokens - t);
            matrix_view<float> const scores(scratch.data(), count, tokens);
            matmul(part(q, t, count), part(k, 0, tokens), scores, {.alpha = scale});
            detail::softmax_rows(scores);
            matmul<factor::plain>(scores, part(v, 0, tokens), part(y, t, count));
        }
    };
    single_threaded_blas const one_thread;
    std::size_t const shares = std::min(units, thread_count());
    // About eight multiplications and additions a nanosecond.
    std::size_t const work = q.size() / 4 * tokens;
    parallel_for(shares, work, [&](std::size_t share) {
        std::vector<float> scratch(std::min(block, tokens) * tokens);
        for (std::size_t i = units * share / shares; i < units * (share + 1) / shares; ++i)
            attend(i / heads, i % heads, scratch);
    });
}

}  // namespace qtk
