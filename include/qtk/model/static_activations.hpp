// SPDX-License-Identifier: Apache-2.0
//
// Which scale have int8 activations if it must not depend on the row? One for the layer, from rows
// that calibration has seen, so that quantizing an input needs no look at it before:
//
//   s = max(|lowest|, |highest|) / 127 of the interval that a range estimator gives for all values
//
// min-max takes every outlier in; a percentile or the entropy (range/) clips the rarest for a finer
// step. SmoothQuant calls min-max with it O3 (Xiao et al. 2023, table 3).
#pragma once

#include <qtk/core/concepts.hpp>
#include <qtk/core/error.hpp>
#include <qtk/core/matrix.hpp>
#include <qtk/core/matrix_view.hpp>
#include <qtk/core/nonfinite.hpp>
#include <qtk/kernel/quantized_rows.hpp>
#include <qtk/method/input_statistics.hpp>
#include <qtk/model/linear.hpp>
#include <qtk/quantizer/any_quantizer.hpp>
#include <qtk/range/minmax.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace qtk {

/// The scale for rows x [n, in] as they are multiplied. Throws value_error if there are none,
/// nonfinite_error for NaN or infinity.
template <range_estimator E = minmax_range>
[[nodiscard]] float static_activation_scale(matrix_view<float const> x, E const& range = {}) {
    if (x.size() == 0) throw value_error("static activations: there are no rows to calibrate with");
    require_finite(find_nonfinite(x), "static activations: a row", x.cols);
    std::vector<float> values;
    values.reserve(x.size());
    for (std::size_t r = 0; r < x.rows; ++r)
        values.insert(values.end(), x.row(r).begin(), x.row(r).end());
    any_quantizer const int8(scheme{.element = i8});
    auto const [lowest, highest] = estimate_range(range, std::span<float const>(values), int8);
    return int8_scale(std::max(std::fabs(lowest), std::fabs(highest)));
}

/// What `layer` runs with if its inputs are like x [n, in], which are rows as an observer sees them,
/// before input(). Throws like static_activation_scale(), shape_error for rows of another length.
template <range_estimator E = minmax_range>
[[nodiscard]] layer_activations static_activations(linear const& layer, matrix_view<float const> x,
                                                   E const& range = {}) {
    if (x.cols != layer.in())
        throw shape_error(layer.name() + ": expected rows of " + std::to_string(layer.in()) +
                          " to calibrate with, found " + std::to_string(x.cols));
    return {.type = activation_type::a8_static,
            .static_scale = static_activation_scale(layer.changed_input(x).view(), range)};
}

/// The same from the largest values of all rows, not of a sample: min-max. Throws value_error if no row
/// was seen, or if the layer changes its input, which the statistics do not know.
[[nodiscard]] inline layer_activations static_activations(linear const& layer,
                                                          input_statistics const& seen) {
    if (seen.columns() != layer.in())
        throw shape_error(layer.name() + ": expected statistics of " + std::to_string(layer.in()) +
                          " inputs, found " + std::to_string(seen.columns()));
    if (seen.count() == 0)
        throw value_error(layer.name() + ": there are no rows to calibrate with");
    if (layer.input() != nullptr)
        throw value_error(layer.name() +
                          ": the layer changes its input. Hint: calibrate with seen.rows()");
    float largest = 0.0f;
    for (float const v : seen.abs_max()) largest = std::max(largest, v);
    return {.type = activation_type::a8_static, .static_scale = int8_scale(largest)};
}

}  // namespace qtk
