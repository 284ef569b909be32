// SPDX-License-Identifier: Apache-2.0
//
// How far are the columns of this matrix from depending on each other? Its singular values, by
// one-sided Jacobi rotations (M. Hestenes, Inversion of matrices by biorthogonalization, 1958):
// pairs of columns are turned until all are orthogonal; their lengths are the values. Small ones
// come out as accurately as large ones, which a product A^T A would lose.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/core/matrix_view.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <functional>
#include <limits>
#include <string>
#include <vector>

namespace qtk {

namespace detail {

/// Columns of `a`, each divided by its length if `to_unit`; a column of zeros stays.
[[nodiscard]] inline std::vector<std::vector<double>> column_vectors(matrix_view<double const> a,
                                                                     bool to_unit) {
    std::vector<std::vector<double>> columns(a.cols, std::vector<double>(a.rows));
    for (std::size_t j = 0; j < a.cols; ++j) {
        double squares = 0.0;
        for (std::size_t i = 0; i < a.rows; ++i) {
            double const value = columns[j][i] = a(i, j);
            if (!std::isfinite(value))
                throw nonfinite_error("singular values: row " + std::to_string(i) + ", column " +
                                          std::to_string(j) + " is not finite",
                                      1, i * a.cols + j);
            squares += value * value;
        }
        if (to_unit && squares > 0.0)
            for (double& value : columns[j]) value /= std::sqrt(squares);
    }
    return columns;
}

[[nodiscard]] inline std::vector<double> one_sided_jacobi(
    std::vector<std::vector<double>> columns) {
    std::size_t const n = columns.size();
    auto const dot = [](std::vector<double> const& u, std::vector<double> const& v) {
        double sum = 0.0;
        for (std::size_t i = 0; i < u.size(); ++i) sum += u[i] * v[i];
        return sum;
    };
    // It converges quadratically: 10 sweeps are usual. Where columns are nothing but rounding they
    // may turn for ever, and no more of them changes the values.
    bool has_turned = true;
    for (int sweep = 0; has_turned && sweep < 60; ++sweep) {
        has_turned = false;
        for (std::size_t p = 0; p + 1 < n; ++p)
            for (std::size_t q = p + 1; q < n; ++q) {
                std::vector<double>&u = columns[p], &v = columns[q];
                double const uu = dot(u, u), vv = dot(v, v), uv = dot(u, v);
                if (std::fabs(uv) <=
                    4.0 * std::numeric_limits<double>::epsilon() * std::sqrt(uu) * std::sqrt(vv))
                    continue;
                has_turned = true;
                double const zeta = (vv - uu) / (2.0 * uv);
                double const t =
                    std::copysign(1.0, zeta) / (std::fabs(zeta) + std::sqrt(1.0 + zeta * zeta));
                double const c = 1.0 / std::sqrt(1.0 + t * t), s = c * t;
                for (std::size_t i = 0; i < u.size(); ++i) {
                    double const old = u[i];
                    u[i] = c * old - s * v[i];
                    v[i] = s * old + c * v[i];
                }
            }
    }
    std::vector<double> values;
    for (auto const& column : columns) values.push_back(std::sqrt(dot(column, column)));
    std::sort(values.begin(), values.end(), std::greater<>{});
    return values;
}

}  // namespace detail

/// The singular values of a [rows, columns], one a column, in descending order; with fewer rows
/// than columns the last ones are zero but for rounding. nonfinite_error for NaN and infinity.
[[nodiscard]] inline std::vector<double> singular_values(matrix_view<double const> a) {
    return detail::one_sided_jacobi(detail::column_vectors(a, false));
}

/// The largest singular value over the smallest when every column has length 1: what is left of a
/// matrix's condition when the units of its columns are chosen well. 1 for orthogonal columns,
/// infinity where a column is zero or depends on others (to 15 digits); 1 without columns.
[[nodiscard]] inline double column_condition(matrix_view<double const> a) {
    if (a.cols == 0) return 1.0;
    auto const values = detail::one_sided_jacobi(detail::column_vectors(a, true));
    double const rounding = 4.0 * static_cast<double>(std::max(a.rows, a.cols)) *
                            std::numeric_limits<double>::epsilon() * values.front();
    return values.back() > rounding ? values.front() / values.back()
                                    : std::numeric_limits<double>::infinity();
}

}  // namespace qtk
