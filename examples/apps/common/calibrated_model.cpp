// SPDX-License-Identifier: Apache-2.0
#include "calibrated_model.hpp"

#include <qtk/core/error.hpp>

#include "environment.hpp"
#include <chrono>

namespace app {

std::optional<double> calibration_result::output_error() const {
    double sum = 0.0;
    std::size_t known = 0;
    for (qtk::layer_outcome const& layer : layers)
        if (layer.output_error) sum += *layer.output_error, ++known;
    if (known == 0) return std::nullopt;
    return sum / static_cast<double>(known);
}

calibration_result calibrate(language_model& model, qtk::layer_format const& format,
                             qtk::method_chain const& method, calibration_text const& text,
                             qtk::model_progress const& progress,
                             std::function<bool(std::string const&)> const& keeps,
                             qtk::layer_ready const& ready) {
    if (!format.scheme)
        throw qtk::value_error("\"" + format.name +
                               "\" has no codes that a method could find. Hint: e.g. w4, w3, "
                               "i3/g64/asym, w8a8");
    reset_peak_memory();
    auto const start = std::chrono::steady_clock::now();
    calibration_result result;
    result.layers = qtk::quantize_model(
        model.network(),
        [&](std::string const& name) {
            qtk::layer_plan plan{*format.scheme, method, format.activations};
            if (keeps && keeps(name)) plan.scheme.reset();
            return plan;
        },
        text.windows, progress, {}, ready);
    result.seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    result.peak_bytes = peak_memory();
    return result;
}

json rows_of_outcomes(std::vector<qtk::layer_outcome> const& outcomes) {
    json rows = json::array();
    for (qtk::layer_outcome const& layer : outcomes)
        rows.push_back({{"layer", layer.name},
                        {"scheme", qtk::to_string(layer.scheme)},
                        {"method", layer.method},
                        {"output_error", layer.output_error ? json(*layer.output_error) : json()},
                        {"note", layer.note},
                        {"seconds", layer.seconds}});
    return rows;
}

}  // namespace app
