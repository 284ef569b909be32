// SPDX-License-Identifier: Apache-2.0
//
// Which x >= 0 makes A x nearest to b? Non-negative least squares by active sets: C. Lawson and
// R. Hanson, Solving Least Squares Problems, 1974, chapter 23 (algorithm NNLS). One unknown at a
// time is let off zero, the one whose gradient promises most; the least squares problem of those
// that are off zero is solved by Householder reflections; what would turn negative goes back to
// zero.
//
// Differs from the book: columns are scaled to length 1 first, so that one tolerance fits joules
// and picojoules, and a column that depends on those already chosen stays at zero.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/core/matrix_view.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <span>
#include <string>
#include <vector>

namespace qtk {

struct nnls_result {
    std::vector<double> x;       ///< [columns], none below zero
    double residual_norm = 0.0;  ///< |A x - b|
};

namespace detail {

/// A least squares problem with columns of length 1 or 0, column by column.
class unit_columns {
  public:
    unit_columns(matrix_view<double const> a, std::span<double const> b)
        : rows_(a.rows), columns_(a.cols), norm_(a.cols), b_(b.begin(), b.end()) {
        for (std::size_t j = 0; j < a.cols; ++j) {
            std::vector<double>& column = columns_[j];
            column.resize(a.rows);
            // Divided by the largest before it is squared: 1e200 has no square.
            double largest = 0.0;
            for (std::size_t i = 0; i < a.rows; ++i)
                largest = std::max(largest, std::fabs(a(i, j)));
            if (largest == 0.0) continue;
            double squares = 0.0;
            for (std::size_t i = 0; i < a.rows; ++i)
                squares += a(i, j) / largest * (a(i, j) / largest);
            norm_[j] = largest * std::sqrt(squares);
            for (std::size_t i = 0; i < a.rows; ++i) column[i] = a(i, j) / norm_[j];
        }
    }

    [[nodiscard]] std::size_t size() const noexcept { return columns_.size(); }
    [[nodiscard]] double norm(std::size_t j) const noexcept { return norm_[j]; }

    /// b - A x.
    [[nodiscard]] std::vector<double> residual(std::span<double const> x) const {
        std::vector<double> r = b_;
        for (std::size_t j = 0; j < size(); ++j)
            if (x[j] != 0.0)
                for (std::size_t i = 0; i < rows_; ++i) r[i] -= columns_[j][i] * x[j];
        return r;
    }
    [[nodiscard]] double slope(std::size_t j, std::span<double const> r) const noexcept {
        double sum = 0.0;
        for (std::size_t i = 0; i < rows_; ++i) sum += columns_[j][i] * r[i];
        return sum;
    }

    /// The least squares solution with the columns in `chosen` alone, in their order; empty where
    /// the last of them depends on the others.
    [[nodiscard]] std::vector<double> solve(std::span<std::size_t const> chosen) const {
        std::size_t const n = chosen.size();
        if (n > rows_) return {};
        std::vector<std::vector<double>> q;
        for (std::size_t const j : chosen) q.push_back(columns_[j]);
        std::vector<double> y = b_, diagonal(n);
        for (std::size_t k = 0; k < n; ++k) {
            double length = 0.0;
            for (std::size_t i = k; i < rows_; ++i) length += q[k][i] * q[k][i];
            length = std::sqrt(length);
            // What is left of a unit column that depends on the others is rounding.
            if (length < 64.0 * static_cast<double>(rows_) * std::numeric_limits<double>::epsilon())
                return {};
            diagonal[k] = q[k][k] > 0.0 ? -length : length;
            q[k][k] -= diagonal[k];
            double squares = 0.0;
            for (std::size_t i = k; i < rows_; ++i) squares += q[k][i] * q[k][i];
            auto const reflect = [&](std::vector<double>& v) {
                double dot = 0.0;
                for (std::size_t i = k; i < rows_; ++i) dot += q[k][i] * v[i];
                for (std::size_t i = k; i < rows_; ++i) v[i] -= 2.0 * dot / squares * q[k][i];
            };
            for (std::size_t later = k + 1; later < n; ++later) reflect(q[later]);
            reflect(y);
        }
        std::vector<double> z(n);
        for (std::size_t k = n; k-- > 0;) {
            double sum = y[k];
            for (std::size_t later = k + 1; later < n; ++later) sum -= q[later][k] * z[later];
            z[k] = sum / diagonal[k];
        }
        return z;
    }

  private:
    std::size_t rows_;
    std::vector<std::vector<double>> columns_;
    std::vector<double> norm_, b_;
};

[[nodiscard]] inline double euclidean_length(std::span<double const> v) noexcept {
    double squares = 0.0;
    for (double const value : v) squares += value * value;
    return std::sqrt(squares);
}

}  // namespace detail

/// min |A x - b| over x >= 0, A [rows, columns], b [rows]. A column of zeros, or one that depends
/// on others, gets 0. shape_error where b is not as long as A is high; nonfinite_error where a
/// number is none.
[[nodiscard]] inline nnls_result nnls(matrix_view<double const> a, std::span<double const> b) {
    if (a.rows != b.size())
        throw shape_error("nnls: A has " + std::to_string(a.rows) + " rows but b has " +
                          std::to_string(b.size()) + " values");
    for (std::size_t i = 0; i < a.rows; ++i) {
        auto const is_finite = [](double value) { return std::isfinite(value); };
        auto const row = a.row(i);
        if (!std::isfinite(b[i]) || !std::all_of(row.begin(), row.end(), is_finite))
            throw nonfinite_error("nnls: row " + std::to_string(i) + " holds a NaN or an infinity",
                                  1, i);
    }

    detail::unit_columns const problem(a, b);
    std::size_t const n = problem.size();
    std::vector<double> x(n);
    std::vector<std::size_t> chosen;
    std::vector<char> is_chosen(n), is_refused(n);
    double const least = 64.0 * std::numeric_limits<double>::epsilon() *
                         static_cast<double>(std::max<std::size_t>(a.rows, 1)) *
                         detail::euclidean_length(b);
    // A set of chosen columns never comes back, so this ends; the bound is for rounding's sake.
    for (std::size_t steps = 0; steps < 100 * (n + 1); ++steps) {
        std::vector<double> const r = problem.residual(x);
        std::size_t entering = n;
        double steepest = least;
        for (std::size_t j = 0; j < n; ++j) {
            if (is_chosen[j] || is_refused[j] || problem.norm(j) == 0.0) continue;
            double const slope = problem.slope(j, r);
            if (slope > steepest) steepest = slope, entering = j;
        }
        if (entering == n) {
            nnls_result result{.x = x, .residual_norm = detail::euclidean_length(r)};
            for (std::size_t j = 0; j < n; ++j)
                if (x[j] > 0.0) result.x[j] /= problem.norm(j);
            return result;
        }
        chosen.push_back(entering);
        std::vector<double> z = problem.solve(chosen);
        if (z.empty() || !(z.back() > 0.0)) {
            // Its slope is rounding: it would not rise from zero.
            chosen.pop_back();
            is_refused[entering] = 1;
            continue;
        }
        is_chosen[entering] = 1;
        std::fill(is_refused.begin(), is_refused.end(), char{0});
        while (std::any_of(z.begin(), z.end(), [](double value) { return value <= 0.0; })) {
            // As far towards z as nothing becomes negative.
            double part = 1.0;
            std::size_t first = 0;
            for (std::size_t k = 0; k < chosen.size(); ++k)
                if (double const now = x[chosen[k]]; z[k] <= 0.0 && now / (now - z[k]) < part)
                    part = now / (now - z[k]), first = k;
            for (std::size_t k = 0; k < chosen.size(); ++k)
                x[chosen[k]] += part * (z[k] - x[chosen[k]]);
            x[chosen[first]] = 0.0;
            std::erase_if(chosen, [&](std::size_t j) {
                if (x[j] > 0.0) return false;
                x[j] = 0.0, is_chosen[j] = 0;
                return true;
            });
            z = problem.solve(chosen);
        }
        for (std::size_t k = 0; k < chosen.size(); ++k) x[chosen[k]] = z[k];
    }
    throw value_error("nnls: no end after " + std::to_string(100 * (n + 1)) + " steps for " +
                      std::to_string(n) + " unknowns");
}

}  // namespace qtk
