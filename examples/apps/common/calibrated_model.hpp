// SPDX-License-Identifier: Apache-2.0
//
// A model quantized by a method, as programs ask for it: how the layers came out, how long it took and how
// much memory the process held while it did.
#pragma once

#include <qtk/calibration/quantize_model.hpp>
#include <qtk/model/layer_format.hpp>

#include "calibration_text.hpp"
#include "language_model.hpp"
#include "output.hpp"
#include <cstddef>
#include <functional>
#include <string>
#include <vector>

namespace app {

/// For the help of a command.
inline constexpr char const* method_help =
    "rtn, mse, hqq, imatrix, outliers[:SHARE], gptq[:act][:fixed][:mse][:sequential][:damp=X], "
    "adaround, brecq, autoround, omniquant, each of these [:steps=N]; before it smooth[:ALPHA], "
    "awq[:duo][:layers] or rotate, behind it bias, joined by +";

struct calibration_result {
    std::vector<qtk::layer_outcome> layers;
    double seconds = 0.0;
    std::size_t peak_bytes =
        0;  ///< Of the whole process since the calibration began, where the system says.

    /// Mean of the layers' output errors, where the method knows them.
    [[nodiscard]] std::optional<double> output_error() const;
};

/// Quantizes the layers of the blocks by `method`, but those of which `keeps` says so by their name; they hold
/// codes then. `ready` is told of each before its codes are found. Throws qtk::value_error for a format
/// without a scheme, and what the method throws.
[[nodiscard]] calibration_result calibrate(
    language_model& model, qtk::layer_format const& format, qtk::method_chain const& method,
    calibration_text const& text, qtk::model_progress const& progress = {},
    std::function<bool(std::string const&)> const& keeps = {}, qtk::layer_ready const& ready = {});

/// One JSON row a layer.
[[nodiscard]] json rows_of_outcomes(std::vector<qtk::layer_outcome> const& outcomes);

}  // namespace app
