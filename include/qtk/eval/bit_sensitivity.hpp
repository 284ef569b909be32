// SPDX-License-Identifier: Apache-2.0
//
// What does a network lose if one layer alone has few bits? For every layer and every candidate, all other
// layers as floats:
//
//   loss        mean cross-entropy on labelled images less that of the float network; noise may make it
//               negative
//   divergence  mean KL(float || quantized) of the classes, nats: needs no label, and is no less than 0
//   output      noise over signal of the layer's outputs for real inputs; 10^(-SQNR / 10)
//   weight      noise over signal of its weights; nothing of activations
//   hessian     1/2 mean trace of the loss's Hessian x squared error of the weights (HAWQ-V2, Dong et al.
//               2020, equation 8, with Taylor's 1/2): also without activations. The traces come from the
//               caller (model/hessian_trace.hpp); a negative one, which is noise or a saddle, counts as 0
//
// Sums over layers stand for the whole network: as if errors of layers did not meet.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/core/matrix.hpp>
#include <qtk/core/matrix_view.hpp>
#include <qtk/eval/bit_assignment.hpp>
#include <qtk/eval/classification.hpp>
#include <qtk/eval/layer_candidates.hpp>
#include <qtk/model/image.hpp>
#include <qtk/stats/distortion.hpp>
#include <qtk/stats/summary.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace qtk {

enum class sensitivity { loss, divergence, output, weight, hessian };

/// Throws value_error that shows what was expected; "sqnr" is output.
[[nodiscard]] inline sensitivity parse_sensitivity(std::string_view text) {
    if (text == "loss") return sensitivity::loss;
    if (text == "divergence") return sensitivity::divergence;
    if (text == "output" || text == "sqnr") return sensitivity::output;
    if (text == "weight") return sensitivity::weight;
    if (text == "hessian") return sensitivity::hessian;
    throw value_error("sensitivity: expected loss, divergence, sqnr, weight or hessian, found \"" +
                      std::string(text) + "\"");
}

/// Of one candidate of one layer.
struct candidate_sensitivity {
    int bits = 32;
    std::string format;
    double loss = 0.0, divergence = 0.0;
    double output = 0.0, weight = 0.0;  ///< noise over signal
    double squared_error = 0.0;         ///< of the weights, summed
    double hessian = 0.0;               ///< 0 without traces

    [[nodiscard]] double of(sensitivity kind) const noexcept {
        switch (kind) {
            case sensitivity::loss:
                return loss;
            case sensitivity::divergence:
                return divergence;
            case sensitivity::output:
                return output;
            case sensitivity::weight:
                return weight;
            default:
                return hessian;
        }
    }
};
struct layer_sensitivity {
    std::string name;
    double mean_trace =
        0.0;  ///< of the Hessian of the loss, over the layer's weights; 0 without traces
    std::vector<candidate_sensitivity> candidates;
};

/// Signal over noise in dB, of `output` or `weight`.
[[nodiscard]] inline double sqnr_db(double noise_over_signal) noexcept {
    return -10.0 * std::log10(noise_over_signal);
}

/// Mean KL(p || q) over images of the classes' probabilities, nats, in double.
[[nodiscard]] inline double mean_divergence(matrix_view<float const> reference,
                                            matrix_view<float const> other) {
    if (reference.rows != other.rows || reference.cols != other.cols || reference.rows == 0)
        throw shape_error("divergence: expected logits [" + std::to_string(reference.rows) + ", " +
                          std::to_string(reference.cols) + "] of at least one image, found [" +
                          std::to_string(other.rows) + ", " + std::to_string(other.cols) + "]");
    compensated_sum sum;
    for (std::size_t r = 0; r < reference.rows; ++r) {
        compensated_sum of_image;
        std::span<float const> const p = reference.row(r), q = other.row(r);
        double const whole_p = log_sum_exp(p), whole_q = log_sum_exp(q);
        for (std::size_t c = 0; c < p.size(); ++c) {
            double const log_p = static_cast<double>(p[c]) - whole_p,
                         log_q = static_cast<double>(q[c]) - whole_q;
            of_image += std::exp(log_p) * (log_p - log_q);
        }
        // Rounding may leave a tiny negative where both are the same.
        sum += std::max(0.0, of_image.value());
    }
    return sum.value() / static_cast<double>(reference.rows);
}

/// What is known beside the network and its candidates.
struct sensitivity_inputs {
    pixel_rows images;
    std::span<std::uint16_t const> labels;
    /// Rows of a layer's input as the float network makes them, before any change of it.
    std::function<matrix_view<float const>(std::string const& layer)> rows;
    /// One mean trace a layer in the order of computation, or none: hessian is 0 then.
    std::span<double const> mean_traces = {};
};

namespace detail {

/// A float layer and what it makes of some rows, which all its candidates are compared with.
struct layer_reference {
    matrix weight, output;

    layer_reference(linear const& original, matrix_view<float const> x)
        : weight(original.effective_weight()), output(x.rows, original.out()) {
        original.apply(x, output.view());
    }
};

inline void compare_layers(layer_reference const& original, linear const& candidate,
                           matrix_view<float const> x, candidate_sensitivity& found) {
    matrix const left = candidate.effective_weight();
    distortion weights, outputs;
    weights.add(original.weight.view().flat(), left.view().flat());
    matrix other(x.rows, candidate.out());
    candidate.apply(x, other.view());
    outputs.add(original.output.view().flat(), other.view().flat());
    found.weight = weights.nmse();
    found.output = outputs.nmse();
    found.squared_error = weights.mse() * static_cast<double>(weights.count());
}

}  // namespace detail

/// All layers and candidates. Throws like classify(), and shape_error for another number of traces than of
/// layers.
[[nodiscard]] inline std::vector<layer_sensitivity> measure_sensitivity(
    candidate_network& network, sensitivity_inputs const& inputs,
    std::function<void(std::size_t layer)> const& progress = {}) {
    if (!inputs.mean_traces.empty() && inputs.mean_traces.size() != network.size())
        throw shape_error("sensitivity: expected a trace for each of " +
                          std::to_string(network.size()) + " layers, found " +
                          std::to_string(inputs.mean_traces.size()));
    matrix const reference = network.floats().logits(inputs.images);
    double const float_loss = classify(reference.view(), inputs.labels).mean_loss();
    std::vector<layer_sensitivity> all;
    for (std::size_t l = 0; l < network.size(); ++l) {
        if (progress) progress(l);
        layer_sensitivity layer{.name = network.original(l).name(), .candidates = {}};
        if (!inputs.mean_traces.empty()) layer.mean_trace = inputs.mean_traces[l];
        matrix_view<float const> const rows = inputs.rows(layer.name);
        detail::layer_reference const original(network.original(l), rows);
        for (std::size_t c = 0; c < network.of(l).size(); ++c) {
            layer_candidate const& candidate = network.of(l)[c];
            candidate_sensitivity found{.bits = candidate.bits, .format = candidate.format};
            matrix const logits = network.with_only(l, c).logits(inputs.images);
            found.loss = classify(logits.view(), inputs.labels).mean_loss() - float_loss;
            found.divergence = mean_divergence(reference.view(), logits.view());
            detail::compare_layers(original, candidate.layer, rows, found);
            found.hessian = 0.5 * std::max(0.0, layer.mean_trace) * found.squared_error;
            layer.candidates.push_back(std::move(found));
        }
        all.push_back(std::move(layer));
    }
    return all;
}

/// What the solvers of bit_assignment.hpp choose from: a cost for each candidate, and its loss of one kind.
[[nodiscard]] inline std::vector<layer_choices> choices_of(
    std::span<layer_sensitivity const> layers, sensitivity kind,
    std::function<double(std::size_t layer, std::size_t candidate)> const& cost) {
    std::vector<layer_choices> all;
    for (std::size_t l = 0; l < layers.size(); ++l) {
        layer_choices choices;
        for (std::size_t c = 0; c < layers[l].candidates.size(); ++c)
            choices.push_back(
                {layers[l].candidates[c].bits, cost(l, c), layers[l].candidates[c].of(kind)});
        all.push_back(std::move(choices));
    }
    return all;
}

}  // namespace qtk
