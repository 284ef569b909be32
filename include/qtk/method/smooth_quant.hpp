// SPDX-License-Identifier: Apache-2.0
//
// How are both sides of an int8 product made easy to round? Channels where the activations have
// outliers are divided by t, and the weight's columns multiplied (Xiao et al. 2023, "SmoothQuant",
// equation 4):
//
//   t_j = max(A_j^alpha / M_j^(1 - alpha), 1e-5),   A_j = max |x_j|,   M_j = max(max |W_:j|, 1e-5)
//
// alpha = 0.5 shares the difficulty evenly; 0.8 to 0.9 suits Llama. search_smoothing() tries a grid
// of alphas on rows from calibration.
//
// Differs from the paper: the search, which keeps t = 1 if no alpha is better; a channel that no row
// ever used (A_j = 0) has t = 1, not 1e-5.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/core/matrix.hpp>
#include <qtk/core/matrix_view.hpp>
#include <qtk/core/scheme.hpp>
#include <qtk/method/column_scaling.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace qtk {

/// t for each channel, from the largest |x| and |w| of each. Throws shape_error if the lengths differ,
/// value_error for an alpha outside [0, 1].
[[nodiscard]] inline std::vector<float> smoothing_factors(std::span<float const> inputs,
                                                          std::span<float const> weights,
                                                          float alpha) {
    if (inputs.size() != weights.size())
        throw shape_error("smooth_quant: expected as many inputs as columns of the weight, found " +
                          std::to_string(inputs.size()) + " and " + std::to_string(weights.size()));
    if (!(alpha >= 0.0f && alpha <= 1.0f))
        throw value_error("smooth_quant: alpha lies in [0, 1], found " + std::to_string(alpha));
    constexpr float least = 1e-5f;
    std::vector<float> t(inputs.size());
    for (std::size_t c = 0; c < t.size(); ++c) {
        float const weight = std::max(weights[c], least);
        float const ratio = std::pow(inputs[c], alpha) / std::pow(weight, 1.0f - alpha);
        t[c] = inputs[c] > 0.0f ? std::max(ratio, least) : 1.0f;
    }
    return t;
}

/// What a search found: t = 1 has no alpha.
struct smoothing {
    float alpha = -1.0f;
    std::vector<float> factors;
    double error = 0.0, plain_error = 0.0;  ///< with the factors, and without
    [[nodiscard]] bool is_used() const noexcept { return alpha >= 0.0f; }
};

/// The alpha of 0, 1/steps, ..., 1 whose factors have the least error(t), a double, or t = 1. Throws
/// like smoothing_factors(), value_error for fewer steps than 1.
template <typename Error>
[[nodiscard]] smoothing search_smoothing(std::span<float const> inputs,
                                         std::span<float const> weights, int steps,
                                         Error const& error) {
    if (steps < 1)
        throw value_error("smooth_quant: expected at least 1 step, found " + std::to_string(steps));
    smoothing best{.factors = std::vector<float>(inputs.size(), 1.0f)};
    best.error = best.plain_error = error(std::span<float const>(best.factors));
    for (int i = 0; i <= steps; ++i) {
        float const alpha = static_cast<float>(i) / static_cast<float>(steps);
        std::vector<float> t = smoothing_factors(inputs, weights, alpha);
        double const found = error(std::span<float const>(t));
        if (!(found < best.error)) continue;
        best.alpha = alpha, best.factors = std::move(t), best.error = found;
    }
    return best;
}

/// Both sides of a quantized product: weights of any scheme, activations of any with groups of rows.
struct smoothed_schemes {
    scheme weights{.element = i8, .grain = per_channel};
    scheme activations{.element = i8, .grain = per_channel};  ///< per_channel: a scale for each row
};

/// The error of layers that share the input x [n, in], at the outputs, with both sides rounded behind
/// the factors t: Q(x / t) Q(W t)^T against x W^T, summed over the weights.
[[nodiscard]] inline double smoothed_error(smoothed_schemes const& schemes,
                                           matrix_view<float const> x,
                                           std::span<matrix_view<float const> const> weights,
                                           std::span<float const> t) {
    matrix const inputs =
        rounded_weight(schemes.activations, scaled_columns(x, reciprocals(t)).view());
    double sum = 0.0;
    for (matrix_view<float const> const w : weights) {
        matrix const rounded = rounded_weight(schemes.weights, scaled_columns(w, t).view());
        sum += mean_square_difference(layer_output(x, w).view(),
                                      layer_output(inputs.view(), rounded.view()).view());
    }
    return sum;
}

}  // namespace qtk
