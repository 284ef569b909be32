// SPDX-License-Identifier: Apache-2.0
//
// How does a layer run that has one step for its weight and one for its inputs? As the vision transformer
// papers quantize (Liu et al. 2021, section 3): per tensor, uniform, known before any input is.
//
//   W' = s_w clamp(round(W / s_w), -2^(B-1), 2^(B-1) - 1)      codes of method/lsq.hpp
//   x' = s_x clamp(round(x / s_x), lowest, highest)            grids of model/activation_grid.hpp
//   b' = b + (W - W') E[x]                                     method/bias_correction.hpp, where a mean is known
//
// The steps come from a range estimator here, or from a search (ranking_search.hpp).
#pragma once

#include <qtk/core/concepts.hpp>
#include <qtk/core/error.hpp>
#include <qtk/core/matrix.hpp>
#include <qtk/core/matrix_view.hpp>
#include <qtk/core/nonfinite.hpp>
#include <qtk/core/scheme.hpp>
#include <qtk/format/qmatrix.hpp>
#include <qtk/kernel/product_options.hpp>
#include <qtk/method/bias_correction.hpp>
#include <qtk/method/input_statistics.hpp>
#include <qtk/method/lsq.hpp>
#include <qtk/model/activation_grid.hpp>
#include <qtk/model/linear.hpp>
#include <qtk/model/rounded_activations.hpp>
#include <qtk/model/static_activations.hpp>
#include <qtk/model/vision_model.hpp>
#include <qtk/quantizer/any_quantizer.hpp>
#include <qtk/range/minmax.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace qtk {

/// What a layer needs to run on codes.
struct layer_steps {
    std::string layer;              ///< The layer's name.
    int weight_bits = 8;            ///< 2 to 8.
    float weight_step = 1.0f;       ///< s_w, positive.
    activation_grid input;          ///< With its scale s_x.
    std::vector<float> mean_input;  ///< E[x], [in]; none: the bias stays as it is.
};

/// s_w of the interval that a range estimator gives for all of w [out, in]; 1 for zeros. Throws
/// value_error unless there are 2 to 8 bits, nonfinite_error for NaN and infinity.
template <range_estimator E = minmax_range>
[[nodiscard]] float weight_step(matrix_view<float const> w, int bits, E const& range = {}) {
    if (bits < 2 || bits > 8)
        throw value_error("weight step: expected 2 to 8 bits, found " + std::to_string(bits));
    require_finite(find_nonfinite(w), "weight step: a weight", w.cols);
    std::vector<float> values;
    values.reserve(w.size());
    for (std::size_t r = 0; r < w.rows; ++r)
        values.insert(values.end(), w.row(r).begin(), w.row(r).end());
    any_quantizer const quantizer(scheme{.element = format{.bits = bits}});
    float const step =
        quantizer.ideal_scale(estimate_range(range, std::span<float const>(values), quantizer));
    return step > 0.0f ? step : 1.0f;
}

/// Steps of a layer that holds floats, for inputs like x [n, in], and their mean. `codes` are those of
/// the inputs. Throws like weight_step() and static_activation_grid().
template <range_estimator E = minmax_range>
[[nodiscard]] layer_steps steps_by_range(linear const& layer, matrix_view<float const> x,
                                         int weight_bits, activation_grid const& codes,
                                         E const& range = {}) {
    layer_steps found{.layer = layer.name(),
                      .weight_bits = weight_bits,
                      .weight_step = weight_step(layer.weight().view(), weight_bits, range),
                      .input = static_activation_grid(x, range, codes),
                      .mean_input = {}};
    input_statistics seen(x.cols, {.has_hessian = false});
    seen.add(x);
    found.mean_input = seen.mean();
    return found;
}

/// The codes of w at the step. Throws value_error for other bits and steps.
[[nodiscard]] inline any_qmatrix codes_at_step(matrix_view<float const> w, layer_steps const& at) {
    if (at.weight_bits < 2 || at.weight_bits > 8)
        throw value_error(at.layer + ": expected weights of 2 to 8 bits, found " +
                          std::to_string(at.weight_bits));
    return lsq_export(lsq_scheme(format{.bits = at.weight_bits}, per_tensor), w,
                      std::array{at.weight_step});
}

/// How a layer with steps computes: by the kernels, or by the rules and in floats.
enum class step_run : std::uint8_t { packed, simulated };

/// Puts a layer that holds floats on its steps. Throws value_error for a layer without floats and for bits
/// and steps that are none, shape_error for means of another layer.
inline void set_steps(linear& layer, layer_steps const& at, step_run how = step_run::packed) {
    any_qmatrix codes = codes_at_step(layer.weight().view(), at);
    if (!at.mean_input.empty()) {
        std::vector<float> bias =
            bias_correction(layer.weight().view(), codes, std::span<float const>(at.mean_input));
        for (std::size_t i = 0; i < layer.bias().size(); ++i) bias[i] += layer.bias()[i];
        layer.set_bias(std::move(bias));
    }
    layer.set_weight(std::move(codes));
    layer_activations const activations{.type = activation_type::a8_static, .grid = at.input};
    if (how == step_run::packed)
        layer.pack(activations);
    else
        layer.simulate(activations);
}

/// The same for the layers of a model that have steps; the others stay as they are. Throws value_error for
/// steps of a layer that is not there.
inline void set_steps(vision_model& model, std::span<layer_steps const> steps,
                      step_run how = step_run::packed) {
    std::size_t found = 0;
    model.for_each_linear([&](linear& layer) {
        auto const at = std::ranges::find(steps, layer.name(), &layer_steps::layer);
        if (at == steps.end()) return;
        set_steps(layer, *at, how);
        ++found;
    });
    if (found != steps.size())
        throw value_error("steps: there are some for " + std::to_string(steps.size()) +
                          " layers, and " + std::to_string(found) + " of them are in the model");
}

}  // namespace qtk
