// SPDX-License-Identifier: Apache-2.0
//
// How does a loss change with the input of a normalization? With d for dL/dy, g = d * weight, n the
// normalized row without weight and bias, and s = 1 / sqrt(size + eps):
//
//   layer norm  dL/dx = s (g - mean(g) - n mean(g n))
//   RMS norm    dL/dx = s (g - n mean(g n))
//   both        dL/dweight = sum over rows of d n      dL/dbias = sum over rows of d
#pragma once

#include <qtk/core/contract.hpp>
#include <qtk/core/matrix_view.hpp>
#include <qtk/kernel/parallel.hpp>
#include <qtk/kernel/row_math.hpp>
#include <qtk/model/norm.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <vector>

namespace qtk {

/// dL/dweight and dL/dbias, of the sizes of the norm's.
struct norm_gradient {
    std::vector<float> weight, bias;
};

namespace detail {

/// What a row is shifted and scaled by before weight and bias.
struct row_normalizer {
    float mean = 0.0f, scale = 1.0f;

    row_normalizer(norm const& n, std::span<float const> x) noexcept {
        auto const width = static_cast<float>(x.size());
        if (n.type == norm::kind::layer) mean = row_sum(x) / width;
        scale = 1.0f / std::sqrt(row_square_sum(x, mean) / width + n.epsilon);
    }
    [[nodiscard]] float operator()(float v) const noexcept { return (v - mean) * scale; }
};

inline void norm_row_gradient(norm const& n, std::span<float const> x, std::span<float const> d,
                              std::span<float> by_input) noexcept {
    row_normalizer const normalized(n, x);
    auto const width = static_cast<double>(x.size());
    double sum = 0.0, along = 0.0;
    for (std::size_t i = 0; i < x.size(); ++i) {
        auto const g = static_cast<double>(d[i] * n.weight[i]);
        sum += g;
        along += g * static_cast<double>(normalized(x[i]));
    }
    float const mean = n.type == norm::kind::layer ? static_cast<float>(sum / width) : 0.0f;
    auto const slope = static_cast<float>(along / width);
    for (std::size_t i = 0; i < x.size(); ++i)
        by_input[i] = normalized.scale * (d[i] * n.weight[i] - mean - normalized(x[i]) * slope);
}

}  // namespace detail

/// `by_input`, [t, width], becomes dL/dx for the input x and d = dL/dy; it may be the rows of d.
inline void norm_input_gradient(norm const& n, matrix_view<float const> x,
                                matrix_view<float const> d, matrix_view<float> by_input) {
    QTK_EXPECTS(x.rows == d.rows && x.cols == d.cols);
    QTK_EXPECTS(by_input.rows == x.rows && by_input.cols == x.cols);
    parallel_for(x.rows, 4 * x.size(), [&](std::size_t r) {
        if (n.type != norm::kind::none)
            detail::norm_row_gradient(n, x.row(r), d.row(r), by_input.row(r));
        else if (d.data != by_input.data)
            std::ranges::copy(d.row(r), by_input.row(r).begin());
    });
}

/// `by_parameters` grows by the gradients of weight and bias.
inline void add_norm_gradient(norm const& n, matrix_view<float const> x, matrix_view<float const> d,
                              norm_gradient& by_parameters) {
    QTK_EXPECTS(x.rows == d.rows && x.cols == d.cols);
    by_parameters.weight.resize(n.weight.size());
    by_parameters.bias.resize(n.bias.size());
    if (n.type == norm::kind::none) return;
    for (std::size_t r = 0; r < x.rows; ++r) {
        detail::row_normalizer const normalized(n, x.row(r));
        for (std::size_t i = 0; i < x.cols; ++i)
            by_parameters.weight[i] += d(r, i) * normalized(x(r, i));
        for (std::size_t i = 0; i < n.bias.size(); ++i) by_parameters.bias[i] += d(r, i);
    }
}

}  // namespace qtk
