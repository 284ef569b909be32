// SPDX-License-Identifier: Apache-2.0
//
// Does attention still prefer what it preferred? The ranking loss (Liu et al. 2021, "Post-Training
// Quantization for Vision Transformer", section 4.2) counts, in every row of an attention map, pairs whose
// order the quantized map no longer keeps by a margin theta:
//
//   L = sum_k sum_i sum_{j > i} max(0, theta - (A'_ki - A'_kj) sign(A_ki - A_kj))
//
// A is the map before, A' after quantization, k runs over rows. The paper searches steps that make
// Pearson(O, O') - gamma L large, O being outputs of the layer. Equal values of A have sign 0: such a
// pair costs theta whatever becomes of it.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/core/matrix.hpp>
#include <qtk/core/matrix_view.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>
#include <vector>

namespace qtk {
namespace detail {

inline void require_same_map(matrix_view<float const> before, matrix_view<float const> after,
                             char const* who) {
    if (before.rows != after.rows || before.cols != after.cols)
        throw shape_error(std::string(who) + ": [" + std::to_string(before.rows) + ", " +
                          std::to_string(before.cols) + "] before and [" +
                          std::to_string(after.rows) + ", " + std::to_string(after.cols) +
                          "] after quantization");
}
[[nodiscard]] inline double sign_of(double x) noexcept {
    return x > 0.0 ? 1.0 : x < 0.0 ? -1.0 : 0.0;
}

}  // namespace detail

/// L of two attention maps, [rows, cols], with the margin theta. Takes rows cols^2 / 2 steps. Throws
/// shape_error.
[[nodiscard]] inline double ranking_loss(matrix_view<float const> before,
                                         matrix_view<float const> after, double theta) {
    detail::require_same_map(before, after, "ranking_loss");
    double sum = 0.0;
    for (std::size_t k = 0; k < before.rows; ++k) {
        auto const a = before.row(k), b = after.row(k);
        for (std::size_t i = 0; i < a.size(); ++i)
            for (std::size_t j = i + 1; j < a.size(); ++j) {
                double const order =
                    detail::sign_of(static_cast<double>(a[i]) - static_cast<double>(a[j]));
                double const gap = static_cast<double>(b[i]) - static_cast<double>(b[j]);
                sum += std::max(0.0, theta - gap * order);
            }
    }
    return sum;
}

/// dL/dA', [rows, cols]. At the kink of a pair its derivative is 0. Throws shape_error.
[[nodiscard]] inline matrix ranking_loss_gradient(matrix_view<float const> before,
                                                  matrix_view<float const> after, double theta) {
    detail::require_same_map(before, after, "ranking_loss_gradient");
    matrix gradient(before.rows, before.cols);
    for (std::size_t k = 0; k < before.rows; ++k) {
        auto const a = before.row(k), b = after.row(k);
        auto const to = gradient.view().row(k);
        for (std::size_t i = 0; i < a.size(); ++i)
            for (std::size_t j = i + 1; j < a.size(); ++j) {
                double const order =
                    detail::sign_of(static_cast<double>(a[i]) - static_cast<double>(a[j]));
                double const gap = static_cast<double>(b[i]) - static_cast<double>(b[j]);
                if (theta - gap * order <= 0.0) continue;
                to[i] -= static_cast<float>(order);  // whole numbers: exact up to 2^24 columns
                to[j] += static_cast<float>(order);
            }
    }
    return gradient;
}

/// Pearson's correlation of two outputs, value by value; 0 if one of them is constant. Throws
/// shape_error.
[[nodiscard]] inline double output_correlation(matrix_view<float const> before,
                                               matrix_view<float const> after) {
    detail::require_same_map(before, after, "output_correlation");
    auto const n = static_cast<double>(before.size());
    double mean_x = 0.0, mean_y = 0.0, xx = 0.0, yy = 0.0, xy = 0.0;
    auto const each = [&](auto const& use) {
        for (std::size_t r = 0; r < before.rows; ++r)
            for (std::size_t c = 0; c < before.cols; ++c)
                use(static_cast<double>(before(r, c)), static_cast<double>(after(r, c)));
    };
    each([&](double x, double y) {
        mean_x += x / n;
        mean_y += y / n;
    });
    each([&](double x, double y) {
        xx += (x - mean_x) * (x - mean_x);
        yy += (y - mean_y) * (y - mean_y);
        xy += (x - mean_x) * (y - mean_y);
    });
    return xx > 0.0 && yy > 0.0 ? xy / std::sqrt(xx * yy) : 0.0;
}

/// What the search makes large: Pearson(O, O') - gamma L.
[[nodiscard]] inline double ranking_objective(double correlation, double loss,
                                              double gamma) noexcept {
    return correlation - gamma * loss;
}

/// The steps that the search tries: `count` from alpha to beta, both included, times
/// largest / 2^(bits - 1). Throws value_error for a count of 0 or a range that runs backwards.
[[nodiscard]] inline std::vector<float> step_candidates(float largest, int bits, int count,
                                                        float alpha = 0.5f, float beta = 1.2f) {
    if (count < 1 || !(alpha > 0.0f) || !(alpha <= beta) || bits < 1 || bits > 8 ||
        !(largest >= 0.0f) || !std::isfinite(largest))
        throw value_error(
            "step_candidates: expected 1 candidate or more, 0 < alpha <= beta, 1 to 8 "
            "bits and a finite largest value, found " +
            std::to_string(count) + ", " + std::to_string(alpha) + ", " + std::to_string(beta) +
            ", " + std::to_string(bits) + ", " + std::to_string(largest));
    std::vector<float> steps;
    float const whole = std::ldexp(largest, 1 - bits);
    for (int i = 0; i < count; ++i) {
        float const part =
            count == 1 ? 0.0f : static_cast<float>(i) / static_cast<float>(count - 1);
        steps.push_back((alpha + (beta - alpha) * part) * whole);
    }
    return steps;
}

}  // namespace qtk
