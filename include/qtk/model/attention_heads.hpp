// SPDX-License-Identifier: Apache-2.0
//
// Where do the heads of queries, keys and values lie? Side by side in the columns of a row, a row a
// token; keys and values may also lie elsewhere (past.hpp), and are then read by heads.
#pragma once

#include <qtk/core/contract.hpp>
#include <qtk/core/matrix_view.hpp>

#include <concepts>
#include <cstddef>
#include <vector>

namespace qtk {

/// `heads` is a multiple of `kv_heads`; each head has `head_dim` values. A token sees itself and
/// the window - 1 tokens before; all, if the window is 0 (sliding window, Beltagy et al. 2020).
struct attention_shape {
    std::size_t heads = 1, kv_heads = 1, head_dim = 1;
    std::size_t window = 0;

    /// The first position that the token at `position` sees.
    [[nodiscard]] std::size_t first_seen(std::size_t position) const noexcept {
        return window == 0 || position < window ? 0 : position + 1 - window;
    }
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

/// Keys or values of many tokens: head `h` of the tokens [first, first + count), [count, head_dim],
/// in place or in `scratch`.
template <typename H>
concept readable_heads = requires(H const heads, std::size_t at, std::vector<float>& scratch) {
    { heads.read(at, at, at, scratch) } -> std::same_as<matrix_view<float const>>;
};

/// Heads of `head_dim` floats, [s, kv_heads * head_dim].
struct float_heads {
    matrix_view<float const> all;
    std::size_t head_dim;

    [[nodiscard]] matrix_view<float const> read(std::size_t h, std::size_t first, std::size_t count,
                                                std::vector<float>&) const {
        QTK_EXPECTS(first + count <= all.rows && (h + 1) * head_dim <= all.cols);
        return rows(columns(all, h * head_dim, head_dim), first, count);
    }
};
static_assert(readable_heads<float_heads>);

}  // namespace detail
}  // namespace qtk
