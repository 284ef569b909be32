// SPDX-License-Identifier: Apache-2.0
//
// What shall become of a layer, and what has become of it? A plan says scheme, method and activations; an
// outcome says what was done and how well. Beside them stands what is done to a layer when its codes are
// found: its columns sorted, its biases corrected, its error measured.
#pragma once

#include <qtk/calibration/method_chain.hpp>
#include <qtk/core/matrix.hpp>
#include <qtk/core/matrix_view.hpp>
#include <qtk/core/scheme.hpp>
#include <qtk/math/blas.hpp>
#include <qtk/method/bias_correction.hpp>
#include <qtk/method/input_statistics.hpp>
#include <qtk/model/input_transform.hpp>
#include <qtk/model/linear.hpp>
#include <qtk/model/rounded_activations.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace qtk {

/// What becomes of a layer.
struct layer_plan {
    std::optional<qtk::scheme> scheme{};  ///< Nothing: the layer stays as it is.
    method_chain method{};
    layer_activations
        activations{};  ///< What it will run with; calibration fills in what is static.
};

/// What became of it.
struct layer_outcome {
    std::string name, method;
    qtk::scheme scheme;
    layer_activations activations;
    /// tr((W - W') H (W - W')^T) / tr(W H W^T): the error of the layer's outputs over their size, where a
    /// method had the Hessian.
    std::optional<double> output_error;
    std::string note;
    double seconds = 0.0;
};

/// Told before a layer is worked on: which of how many.
using model_progress =
    std::function<void(std::string const& layer, std::size_t at, std::size_t total)>;

namespace detail {

/// x H x^T summed over the rows of x.
[[nodiscard]] inline double quadratic_form(matrix_view<float const> x, matrix_view<float const> h) {
    matrix product(x.rows, x.cols);
    matmul(x, h, product.view());  // H is symmetric
    double sum = 0.0;
    for (std::size_t r = 0; r < x.rows; ++r)
        for (std::size_t c = 0; c < x.cols; ++c)
            sum += static_cast<double>(product(r, c)) * static_cast<double>(x(r, c));
    return sum;
}

/// tr((W - W') H (W - W')^T) / tr(W H W^T) of a weight and what is left of it; 0 for a weight without outputs.
[[nodiscard]] inline double relative_output_error(matrix_view<float const> weight,
                                                  matrix_view<float const> left,
                                                  matrix_view<float const> hessian) {
    matrix error(weight.rows, weight.cols);
    for (std::size_t r = 0; r < weight.rows; ++r)
        for (std::size_t c = 0; c < weight.cols; ++c) error(r, c) = weight(r, c) - left(r, c);
    double const size = quadratic_form(weight, hessian);
    return size > 0.0 ? quadratic_form(error.view(), hessian) / size : 0.0;
}

/// Column k of the codes belongs to input order[k], of those that the layer may have sorted before.
inline void sort_input(linear& layer, std::vector<std::uint32_t> const& order) {
    input_transform::parts what =
        layer.input() != nullptr ? layer.input()->what() : input_transform::parts{};
    std::vector<std::uint32_t> sorted(order);
    if (!what.order.empty())
        for (std::uint32_t& k : sorted) k = what.order[k];
    what.order = std::move(sorted);
    layer.set_input(std::make_shared<input_transform const>(layer.in(), std::move(what)));
}

/// Adds to the biases what takes the mean error of the outputs back.
inline void correct_bias(linear& layer, matrix_view<float const> weight,
                         matrix_view<float const> left, input_statistics const& inputs) {
    std::vector<float> const change = bias_correction(weight, left, inputs.mean());
    std::vector<float> bias(layer.bias().begin(), layer.bias().end());
    bias.resize(layer.out());
    for (std::size_t o = 0; o < bias.size(); ++o) bias[o] += change[o];
    layer.set_bias(std::move(bias));
}

}  // namespace detail
}  // namespace qtk
