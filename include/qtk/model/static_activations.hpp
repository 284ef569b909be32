// SPDX-License-Identifier: Apache-2.0
//
// Which grid have activations if it must not depend on the row? One for the layer, from rows that
// calibration has seen, so that quantizing an input needs no look at it before: the grid of
// activation_grid.hpp for the interval that a range estimator gives for all values; of int8,
//
//   s = max(|lowest|, |highest|) / 127
//
// min-max takes every outlier in; a percentile or the entropy (range/) clips the rarest for a finer
// step. SmoothQuant calls min-max with it O3 (Xiao et al. 2023, table 3).
#pragma once

#include <qtk/core/concepts.hpp>
#include <qtk/core/error.hpp>
#include <qtk/core/matrix.hpp>
#include <qtk/core/matrix_view.hpp>
#include <qtk/core/nonfinite.hpp>
#include <qtk/core/scheme.hpp>
#include <qtk/method/input_statistics.hpp>
#include <qtk/model/activation_grid.hpp>
#include <qtk/model/linear.hpp>
#include <qtk/quantizer/any_quantizer.hpp>
#include <qtk/range/minmax.hpp>

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace qtk {

/// The grid for rows x [n, in] as they are multiplied, with the codes of `codes`. The range estimator sees the
/// values as a tile of integers of that width. Throws value_error if there are no rows, nonfinite_error for NaN
/// or infinity.
template <range_estimator E = minmax_range>
[[nodiscard]] activation_grid static_activation_grid(matrix_view<float const> x,
                                                     E const& range = {},
                                                     activation_grid const& codes = {}) {
    if (x.size() == 0) throw value_error("static activations: there are no rows to calibrate with");
    require_finite(find_nonfinite(x), "static activations: a row", x.cols);
    std::vector<float> values;
    values.reserve(x.size());
    for (std::size_t r = 0; r < x.rows; ++r)
        values.insert(values.end(), x.row(r).begin(), x.row(r).end());
    any_quantizer const quantizer(
        scheme{.element = format{.bits = bits_of(codes)},
               .zero = codes.is_symmetric() ? origin::fixed : origin::floating});
    return fit_activation_grid(estimate_range(range, std::span<float const>(values), quantizer),
                               codes);
}

/// What `layer` runs with if its inputs are like x [n, in], which are rows as an observer sees them,
/// before input(). Throws like static_activation_grid(), shape_error for rows of another length.
template <range_estimator E = minmax_range>
[[nodiscard]] layer_activations static_activations(linear const& layer, matrix_view<float const> x,
                                                   E const& range = {},
                                                   activation_grid const& codes = {}) {
    if (x.cols != layer.in())
        throw shape_error(layer.name() + ": expected rows of " + std::to_string(layer.in()) +
                          " to calibrate with, found " + std::to_string(x.cols));
    return {.type = activation_type::a8_static,
            .grid = static_activation_grid(layer.changed_input(x).view(), range, codes)};
}

/// The same from the extremes of all rows, not of a sample: min-max. Throws value_error if no row
/// was seen, or if the layer changes its input, which the statistics do not know.
[[nodiscard]] inline layer_activations static_activations(linear const& layer,
                                                          input_statistics const& seen,
                                                          activation_grid const& codes = {}) {
    if (seen.columns() != layer.in())
        throw shape_error(layer.name() + ": expected statistics of " + std::to_string(layer.in()) +
                          " inputs, found " + std::to_string(seen.columns()));
    if (seen.count() == 0)
        throw value_error(layer.name() + ": there are no rows to calibrate with");
    if (layer.input() != nullptr)
        throw value_error(layer.name() +
                          ": the layer changes its input. Hint: calibrate with seen.rows()");
    return {.type = activation_type::a8_static, .grid = fit_activation_grid(seen.range(), codes)};
}

}  // namespace qtk
