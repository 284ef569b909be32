// SPDX-License-Identifier: Apache-2.0
//
// How do the patches of one image listen to each other? Every token to every token of its image, and to no
// other image: scaled dot-product attention without a mask (Vaswani et al. 2017).
//
//   head h, row t:  y = sum over all s of the image of softmax(q_t . k_s / sqrt(d)) v_s
//
// The operands may be rounded on the way (attention_rounding.hpp).
#pragma once

#include <qtk/core/contract.hpp>
#include <qtk/core/matrix.hpp>
#include <qtk/core/matrix_view.hpp>
#include <qtk/kernel/parallel.hpp>
#include <qtk/kernel/row_math.hpp>
#include <qtk/math/blas.hpp>
#include <qtk/model/attention_heads.hpp>
#include <qtk/model/attention_rounding.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <optional>
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

namespace detail {

/// Every value on its grid, in steps.
[[nodiscard]] inline matrix codes_on(activation_grid const& grid, matrix_view<float const> x) {
    matrix codes(x.rows, x.cols);
    parallel_for(x.rows, 2 * x.size(), [&](std::size_t r) {
        std::span<float const> const from = x.row(r);
        std::span<float> const to = codes.view().row(r);
        for (std::size_t i = 0; i < from.size(); ++i) to[i] = grid.code(from[i]);
    });
    return codes;
}

/// An operand as it is multiplied: codes and what one of them is worth, or the floats and 1.
struct attention_codes {
    attention_codes(std::optional<activation_grid> const& grid, matrix_view<float const> x)
        : codes(grid ? codes_on(*grid, x) : matrix()),
          view(grid ? matrix_view<float const>(codes.view()) : x),
          step(grid ? grid->scale : 1.0f) {}

    matrix codes;
    matrix_view<float const> view;
    float step;
};

/// f(image, head, first, scores) for all maps in blocks of up to 256 rows [count, tokens], `first` being
/// the row of the image; images and heads are shared between threads. `q` and `k` may be codes, whose
/// steps `step` multiplies.
template <typename F>
void for_each_map(std::size_t heads, std::size_t tokens, matrix_view<float const> q,
                  matrix_view<float const> k, float step, F const& f) {
    constexpr std::size_t block = 256;
    std::size_t const d = q.cols / heads, units = q.rows / tokens * heads;
    float const scale = step / std::sqrt(static_cast<float>(d));
    auto const attend = [&](std::size_t image, std::size_t head, std::vector<float>& scratch) {
        auto const part = [&](auto const& m, std::size_t first, std::size_t count) {
            return rows(columns(m, head * d, d), image * tokens + first, count);
        };
        for (std::size_t t = 0; t < tokens; t += block) {
            std::size_t const count = std::min(block, tokens - t);
            matrix_view<float> const scores(scratch.data(), count, tokens);
            matmul(part(q, t, count), part(k, 0, tokens), scores, {.alpha = scale});
            softmax_rows(scores);
            f(image, head, t, scores);
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

}  // namespace detail

/// y [n * tokens, heads * d] from queries, keys and values of the same shape, all tokens of an image one
/// after the other; views into wider rows are fine. Images and heads are shared between threads, which does
/// not change the result. Memory beyond y: up to 256 rows of scores a thread, and a copy of what is rounded.
inline void patch_attention(std::size_t heads, std::size_t tokens, matrix_view<float const> q,
                            matrix_view<float const> k, matrix_view<float const> v,
                            matrix_view<float> y, attention_rounding const& rounding = {}) {
    QTK_EXPECTS(heads > 0 && q.cols % heads == 0 && tokens > 0 && q.rows % tokens == 0);
    QTK_EXPECTS(k.rows == q.rows && k.cols == q.cols && v.rows == q.rows && v.cols == q.cols);
    QTK_EXPECTS(y.rows == q.rows && y.cols == q.cols);
    detail::attention_codes const queries(rounding.q, q), keys(rounding.k, k),
        values(rounding.v, v);
    std::size_t const d = q.cols / heads;
    float const unit = rounding.softmax.unit() * values.step;
    detail::for_each_map(
        heads, tokens, queries.view, keys.view, queries.step * keys.step,
        [&](std::size_t image, std::size_t head, std::size_t first, matrix_view<float> map) {
            rounding.softmax.to_units(map.flat());
            auto const of_head = [&](auto const& m, std::size_t at, std::size_t count) {
                return detail::rows(detail::columns(m, head * d, d), image * tokens + at, count);
            };
            matmul<factor::plain>(map, of_head(values.view, 0, tokens), of_head(y, first, map.rows),
                                  {.alpha = unit});
        });
}

/// The attention maps [n * heads * tokens, tokens], image by image and in it head by head, rounded as
/// patch_attention() would. Operands as there.
[[nodiscard]] inline matrix attention_maps(std::size_t heads, std::size_t tokens,
                                           matrix_view<float const> q, matrix_view<float const> k,
                                           attention_rounding const& rounding = {}) {
    QTK_EXPECTS(heads > 0 && q.cols % heads == 0 && tokens > 0 && q.rows % tokens == 0);
    QTK_EXPECTS(k.rows == q.rows && k.cols == q.cols);
    matrix maps(q.rows * heads, tokens);
    detail::attention_codes const queries(rounding.q, q), keys(rounding.k, k);
    detail::for_each_map(
        heads, tokens, queries.view, keys.view, queries.step * keys.step,
        [&](std::size_t image, std::size_t head, std::size_t first, matrix_view<float> map) {
            rounding.softmax.to_units(map.flat());
            detail::row_map(map.flat(),
                            [unit = rounding.softmax.unit()](float v) { return v * unit; });
            std::ranges::copy(map.flat(),
                              maps.view().row((image * heads + head) * tokens + first).data());
        });
    return maps;
}

}  // namespace qtk
