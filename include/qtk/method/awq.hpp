// SPDX-License-Identifier: Apache-2.0
//
// Which columns of a weight deserve a finer step? Those whose inputs are large (Lin et al. 2024,
// "AWQ: Activation-aware Weight Quantization", section 3.2). Factors from the activations, their
// strength r from a grid, the judge is the output:
//
//   t_j = max(a_j^r, 1e-4), a_j = mean |x_j|, r in {0, 1/20, ..., 19/20};  t /= sqrt(max t * min t)
//   duo scaling:  t_j = max(a_j^r / (w_j^(1-r) + 1e-4), 1e-4), w_j = mean of |W_:j| / max of its group
//
// The error of a candidate comes from the caller, who may judge a whole block of a network: the
// weights that share the input are rounded as Q(W diag(t)) diag(1/t). awq_clip.hpp has the second step.
//
// Differs from the paper: t = 1 is a candidate under duo scaling, too, so that the result is never
// worse than round to nearest.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/core/matrix.hpp>
#include <qtk/core/matrix_view.hpp>
#include <qtk/core/scheme.hpp>
#include <qtk/method/column_scaling.hpp>
#include <qtk/method/input_statistics.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace qtk {

struct awq_options {
    int steps = 20;       ///< Exponents tried: 0, 1/steps, ... below 1.
    bool is_duo = false;  ///< Divide by the size of the weights.
};

/// w_j of duo scaling: the mean over rows of |W_ij| / max |W| of its group of `group` columns (0: the
/// row). A group of zeros counts as zeros.
[[nodiscard]] inline std::vector<float> relative_magnitudes(matrix_view<float const> w,
                                                            std::size_t group) {
    if (group == 0) group = std::max<std::size_t>(w.cols, 1);
    std::vector<double> sums(w.cols);
    for (std::size_t r = 0; r < w.rows; ++r)
        for (std::size_t first = 0; first < w.cols; first += group) {
            std::size_t const end = std::min(w.cols, first + group);
            float largest = 0.0f;
            for (std::size_t c = first; c < end; ++c)
                largest = std::max(largest, std::fabs(w(r, c)));
            if (largest == 0.0f) continue;
            for (std::size_t c = first; c < end; ++c)
                sums[c] += static_cast<double>(std::fabs(w(r, c)) / largest);
        }
    std::vector<float> means(w.cols);
    for (std::size_t c = 0; c < w.cols; ++c)
        means[c] =
            static_cast<float>(sums[c] / static_cast<double>(std::max<std::size_t>(w.rows, 1)));
    return means;
}

/// t for exponent r; `weights` is empty, or w_j for duo scaling. Throws shape_error if the lengths
/// differ.
[[nodiscard]] inline std::vector<float> awq_factors(std::span<float const> inputs,
                                                    std::span<float const> weights, float r) {
    if (!weights.empty() && weights.size() != inputs.size())
        throw shape_error("awq: expected as many inputs as columns of the weight, found " +
                          std::to_string(inputs.size()) + " and " + std::to_string(weights.size()));
    constexpr float least = 1e-4f;
    std::vector<float> t(inputs.size());
    for (std::size_t c = 0; c < t.size(); ++c) {
        float const size = std::pow(inputs[c], r);
        t[c] = std::max(weights.empty() ? size : size / (std::pow(weights[c], 1.0f - r) + least),
                        least);
    }
    if (t.empty()) return t;
    auto const [smallest, largest] = std::ranges::minmax(t);
    float const middle = std::sqrt(largest) * std::sqrt(smallest);
    for (float& v : t) v /= middle;
    return t;
}

/// What a search found; exponent 0 without duo scaling is t = 1.
struct awq_choice {
    float exponent = 0.0f;
    std::vector<float> factors;
    double error = 0.0, plain_error = 0.0;  ///< with the factors, and with t = 1
};

/// The factors with the least error(t), a double. `weights` is read under duo scaling. Throws value_error
/// for fewer steps than 1, shape_error if the lengths differ.
template <typename Error>
[[nodiscard]] awq_choice search_awq(std::span<float const> inputs, std::span<float const> weights,
                                    awq_options const& options, Error const& error) {
    if (options.steps < 1)
        throw value_error("awq: expected at least 1 step, found " + std::to_string(options.steps));
    awq_choice best{.factors = std::vector<float>(inputs.size(), 1.0f)};
    best.error = best.plain_error = error(std::span<float const>(best.factors));
    for (int i = options.is_duo ? 0 : 1; i < options.steps; ++i) {
        float const r = static_cast<float>(i) / static_cast<float>(options.steps);
        std::vector<float> t =
            awq_factors(inputs, options.is_duo ? weights : std::span<float const>(), r);
        double const found = error(std::span<float const>(t));
        if (!(found < best.error)) continue;
        best.exponent = r, best.factors = std::move(t), best.error = found;
    }
    return best;
}

/// Codes of W diag(t); a layer that holds them divides its input by the factors.
struct awq_result {
    any_qmatrix codes;
    awq_choice choice;
};

/// AWQ of one matrix by itself: the judge is the layer's own output on sampled rows.
struct awq {
    std::vector<float> inputs;      ///< mean |x| of each column
    matrix_view<float const> rows;  ///< [n, in], n > 0: what the error is measured on
    awq_options options = {};

    awq(std::vector<float> magnitudes, matrix_view<float const> sample, awq_options const& how = {})
        : inputs(std::move(magnitudes)), rows(sample), options(how) {}
    /// `seen` must keep rows, and outlive this.
    explicit awq(input_statistics const& seen, awq_options const& how = {})
        : awq(seen.abs_mean(), seen.rows(), how) {}

    /// W [out, in] in scheme s by `how`, a range estimator or a weight method. Throws shape_error for
    /// inputs or rows of another length, value_error without rows, and what round to nearest throws.
    template <typename How = minmax_range>
    [[nodiscard]] awq_result run(scheme const& s, matrix_view<float const> w,
                                 How const& how = {}) const {
        if (inputs.size() != w.cols || rows.cols != w.cols)
            throw shape_error("awq: the weight has " + std::to_string(w.cols) + " columns, found " +
                              std::to_string(inputs.size()) + " magnitudes and rows of " +
                              std::to_string(rows.cols));
        if (rows.rows == 0) throw value_error("awq: there are no rows to measure the error on");
        matrix const truth = layer_output(rows, w);
        auto const error = [&](std::span<float const> t) {
            matrix const rounded = rounded_behind(t, s, w, how);
            return mean_square_difference(truth.view(), layer_output(rows, rounded.view()).view());
        };
        std::vector<float> magnitudes;
        if (options.is_duo)
            magnitudes = relative_magnitudes(w, static_cast<std::size_t>(s.grain.cols));
        awq_choice choice = search_awq(inputs, magnitudes, options, error);
        any_qmatrix codes = rounded_codes(s, scaled_columns(w, choice.factors).view(), how);
        return {std::move(codes), std::move(choice)};
    }
};

}  // namespace qtk
