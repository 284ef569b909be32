// SPDX-License-Identifier: Apache-2.0
//
// What if a Hessian is not positive definite? Few rows, or columns that depend on each other, leave it
// singular. A constant is added to its diagonal, a fraction of the diagonal's mean (GPTQ, Frantar et al.
// 2022, section 3.3, step 3: 0.01); where the Cholesky factor still does not exist, the next larger
// fraction is tried, and every try is reported.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/core/matrix.hpp>
#include <qtk/core/matrix_view.hpp>
#include <qtk/core/nonfinite.hpp>
#include <qtk/math/cholesky.hpp>

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

namespace qtk {

/// What a method had to do to a Hessian.
struct damping_report {
    std::vector<float> tried;      ///< Fractions of the mean diagonal, the last one used.
    std::size_t dead_columns = 0;  ///< Inputs that were always zero: each stands alone.
    bool succeeded = false;
};

namespace detail {

[[nodiscard]] inline std::string fractions_text(std::vector<float> const& fractions) {
    std::string text;
    for (float const f : fractions) {
        std::array<char, 32> number{};
        std::snprintf(number.data(), number.size(), "%g", static_cast<double>(f));
        text += (text.empty() ? "" : ", ") + std::string(number.data());
    }
    return text;
}

}  // namespace detail

/// Throws shape_error if h is not [columns, columns], value_error for an entry that is not finite or a
/// negative one on the diagonal: no sum of squares gives those.
inline void require_hessian(matrix_view<float const> h, std::size_t columns) {
    if (h.rows != columns || h.cols != columns)
        throw shape_error("hessian: expected [" + std::to_string(columns) + ", " +
                          std::to_string(columns) + "], found [" + std::to_string(h.rows) + ", " +
                          std::to_string(h.cols) + "]");
    require_finite(find_nonfinite(h), "hessian", h.cols);
    for (std::size_t i = 0; i < columns; ++i)
        if (h(i, i) < 0.0f)
            throw value_error("hessian: expected no negative diagonal, found " +
                              std::to_string(h(i, i)) + " in column " + std::to_string(i) +
                              ". Hint: H = 2/N sum x^T x");
}

/// The upper triangular R with R R^T = h + damping. Column k of the result is column order[k] of h, or
/// column k if there is no order. Columns that were always zero get 1 on the diagonal. The report says what
/// was tried; without success the matrix means nothing.
[[nodiscard]] inline std::pair<matrix, damping_report> damped_factor(
    matrix_view<float const> h, float damping, std::vector<std::uint32_t> const& order = {}) {
    constexpr float growth = 3.16227766f;  // two steps a power of ten
    constexpr float most = 1.0f;
    std::size_t const n = h.rows;
    auto const at = [&](std::size_t k) -> std::size_t { return order.empty() ? k : order[k]; };
    damping_report report;
    double diagonal = 0.0;
    for (std::size_t i = 0; i < n; ++i) {
        diagonal += static_cast<double>(h(i, i));
        report.dead_columns += h(i, i) == 0.0f ? 1u : 0u;
    }
    float const mean = n == 0 ? 0.0f : static_cast<float>(diagonal / static_cast<double>(n));
    matrix r(n, n);
    for (float fraction = damping; !report.succeeded; fraction *= growth) {
        if (fraction > most && !report.tried.empty()) break;
        report.tried.push_back(fraction);
        for (std::size_t i = 0; i < n; ++i) {
            for (std::size_t j = i; j < n; ++j) r(i, j) = h(at(i), at(j));
            if (r(i, i) == 0.0f) r(i, i) = 1.0f;
            r(i, i) += fraction * mean;
        }
        report.succeeded = factor_upper(r.view());
        if (fraction == 0.0f) fraction = 0.001f;  // nothing grows from zero
    }
    return {std::move(r), std::move(report)};
}

}  // namespace qtk
