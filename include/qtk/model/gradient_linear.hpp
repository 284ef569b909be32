// SPDX-License-Identifier: Apache-2.0
//
// How does a loss change with the weight and the input of y = x W^T + b? With d for dL/dy, [t, out]:
//
//   dL/dW = d^T x, [out, in]      dL/dx = d W, [t, in]      dL/db = sum of the rows of d
#pragma once

#include <qtk/core/contract.hpp>
#include <qtk/core/matrix.hpp>
#include <qtk/core/matrix_view.hpp>
#include <qtk/math/blas.hpp>
#include <qtk/math/transpose.hpp>

#include <cstddef>
#include <span>

namespace qtk {

/// `by_weight`, [out, in], grows by d^T x.
inline void add_weight_gradient(matrix_view<float const> x, matrix_view<float const> d,
                                matrix_view<float> by_weight) {
    QTK_EXPECTS(x.rows == d.rows && by_weight.rows == d.cols && by_weight.cols == x.cols);
    if (x.rows == 0) return;
    matmul<factor::plain>(transposed(d).view(), x, by_weight, {.beta = 1.0f});
}

/// `by_input`, [t, in], grows by d W.
inline void add_input_gradient(matrix_view<float const> weight, matrix_view<float const> d,
                               matrix_view<float> by_input) {
    QTK_EXPECTS(weight.rows == d.cols && by_input.rows == d.rows && by_input.cols == weight.cols);
    matmul<factor::plain>(d, weight, by_input, {.beta = 1.0f});
}

/// `by_bias`, [out], grows by the rows of d.
inline void add_bias_gradient(matrix_view<float const> d, std::span<float> by_bias) {
    QTK_EXPECTS(by_bias.size() == d.cols);
    for (std::size_t r = 0; r < d.rows; ++r)
        for (std::size_t c = 0; c < d.cols; ++c) by_bias[c] += d(r, c);
}

}  // namespace qtk
