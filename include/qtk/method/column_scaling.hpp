// SPDX-License-Identifier: Apache-2.0
//
// What does a factor for each column do to the rounding of a weight? Columns that are multiplied by
// t > 1 before the weight is rounded, and divided by it after, have a finer step, at the cost of the
// others in their group:
//
//   W' = Q(W diag(t)) diag(1/t),   error = mean over rows of x and of W of (x W^T - x W'^T)^2
//
// SmoothQuant and AWQ differ in how they choose t.
#pragma once

#include <qtk/core/contract.hpp>
#include <qtk/core/error.hpp>
#include <qtk/core/matrix.hpp>
#include <qtk/core/matrix_view.hpp>
#include <qtk/core/scheme.hpp>
#include <qtk/math/blas.hpp>
#include <qtk/method/tile_method.hpp>
#include <qtk/quantize.hpp>
#include <qtk/range/minmax.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace qtk {

/// W with column c multiplied by factors[c]; there is one factor a column.
[[nodiscard]] inline matrix scaled_columns(matrix_view<float const> w,
                                           std::span<float const> factors) {
    QTK_EXPECTS(factors.size() == w.cols);
    matrix scaled(w.rows, w.cols);
    for (std::size_t r = 0; r < w.rows; ++r)
        for (std::size_t c = 0; c < w.cols; ++c) scaled(r, c) = w(r, c) * factors[c];
    return scaled;
}

[[nodiscard]] inline std::vector<float> reciprocals(std::span<float const> factors) {
    std::vector<float> of(factors.begin(), factors.end());
    for (float& v : of) v = 1.0f / v;
    return of;
}

/// The largest |w| of each column, over all matrices that read these columns.
[[nodiscard]] inline std::vector<float> column_maxima(
    std::span<matrix_view<float const> const> weights) {
    std::vector<float> largest(weights.empty() ? 0 : weights.front().cols);
    for (matrix_view<float const> const w : weights) {
        QTK_EXPECTS(w.cols == largest.size());
        for (std::size_t r = 0; r < w.rows; ++r)
            for (std::size_t c = 0; c < w.cols; ++c)
                largest[c] = std::max(largest[c], std::fabs(w(r, c)));
    }
    return largest;
}

/// W [out, in] in scheme s by `how`, min-max or a searched interval, or a weight method.
template <typename How = minmax_range>
[[nodiscard]] any_qmatrix rounded_codes(scheme const& s, matrix_view<float const> w,
                                        How const& how = {}, quantize_options const& options = {}) {
    if constexpr (weight_method<How>)
        return how.quantize(s, w, options);
    else
        return round_tiles(s, w, how, options);
}
/// What that leaves of W: its floats.
template <typename How = minmax_range>
[[nodiscard]] matrix rounded_weight(scheme const& s, matrix_view<float const> w,
                                    How const& how = {}) {
    return dequantize(rounded_codes(s, w, how));
}
/// The same behind factors, Q(W diag(t)) diag(1/t).
template <typename How = minmax_range>
[[nodiscard]] matrix rounded_behind(std::span<float const> factors, scheme const& s,
                                    matrix_view<float const> w, How const& how = {}) {
    matrix const rounded = rounded_weight(s, scaled_columns(w, factors).view(), how);
    return scaled_columns(rounded.view(), reciprocals(factors));
}

/// The mean of (a - b)^2. Throws shape_error if the shapes differ.
[[nodiscard]] inline double mean_square_difference(matrix_view<float const> a,
                                                   matrix_view<float const> b) {
    if (a.rows != b.rows || a.cols != b.cols)
        throw shape_error("mean square difference: expected one shape, found [" +
                          std::to_string(a.rows) + ", " + std::to_string(a.cols) + "] and [" +
                          std::to_string(b.rows) + ", " + std::to_string(b.cols) + "]");
    double sum = 0.0;
    for (std::size_t r = 0; r < a.rows; ++r)
        for (std::size_t c = 0; c < a.cols; ++c) {
            double const d = static_cast<double>(a(r, c)) - static_cast<double>(b(r, c));
            sum += d * d;
        }
    return a.size() == 0 ? 0.0 : sum / static_cast<double>(a.size());
}

/// x [n, in] times W^T, [n, out]. Throws shape_error if the shapes do not fit.
[[nodiscard]] inline matrix layer_output(matrix_view<float const> x, matrix_view<float const> w) {
    matrix y(x.rows, w.rows);
    matmul(x, w, y.view());
    return y;
}

}  // namespace qtk
