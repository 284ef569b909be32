// SPDX-License-Identifier: Apache-2.0
//
// How curved is the loss in the weights of a layer? The trace of the Hessian H of a vision network's loss by the
// weights of each layer, by which HAWQ (Dong et al. 2020, "HAWQ-V2: Hessian Aware trace-Weighted Quantization")
// ranks layers, without ever holding H. Hutchinson's estimator with signs v of +1 and -1:
//
//   E[v^T H v] = tr H       H v = (g(w + e v) - g(w - e v)) / 2e,  g = dL/dw
//
// The signs of all layers are drawn at once: what v^T (H v) of one layer has from others has the mean 0, so that
// two gradients serve all layers; a layer among more curved ones needs many probes, or gauss_newton_trace.hpp. e is a small share of the root mean square of all weights. A layer's loss is
// expected to rise by tr(H) / n * ||w' - w||^2 / 2 when its n weights are rounded, which is what
// expected_rise() says.
//
// Differs from HAWQ-V2: H v by differences of gradients, not by a second backward pass; the curvature is that
// over steps of e, in which kinks of ReLUs count.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/core/matrix.hpp>
#include <qtk/core/matrix_view.hpp>
#include <qtk/core/random.hpp>
#include <qtk/model/image.hpp>
#include <qtk/model/linear.hpp>
#include <qtk/model/vision_gradient.hpp>
#include <qtk/model/vision_model.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace qtk {

struct hessian_trace_options {
    std::size_t probes = 16;      ///< Draws of v; each costs two gradients over all images.
    float relative_step = 0.01f;  ///< e over the root mean square of all weights.
    std::uint64_t seed = 0;       ///< Of the signs.
    std::size_t lanes = 2;        ///< As in vision_gradient_options.
};

struct hessian_trace {
    std::string layer;
    std::size_t weights = 0;  ///< n
    double trace = 0.0;       ///< The mean over the probes.
    /// Of the mean: the deviation of the probes over the root of their number; infinite for one probe.
    double standard_error = 0.0;

    /// By how much the loss should rise if the weight w becomes `left`: the second order, all weights of the
    /// layer taken as equally curved. Throws shape_error for weights of other shapes.
    [[nodiscard]] double expected_rise(matrix_view<float const> w,
                                       matrix_view<float const> left) const {
        if (w.rows != left.rows || w.cols != left.cols || w.size() != weights)
            throw shape_error(layer + ": expected two weights of " + std::to_string(weights) +
                              " values, found " + std::to_string(w.size()) + " and " +
                              std::to_string(left.size()));
        double sum = 0.0;
        for (std::size_t r = 0; r < w.rows; ++r)
            for (std::size_t c = 0; c < w.cols; ++c) {
                double const e = static_cast<double>(w(r, c)) - static_cast<double>(left(r, c));
                sum += e * e;
            }
        return weights == 0 ? 0.0 : 0.5 * trace / static_cast<double>(weights) * sum;
    }
};

namespace detail {

/// A copy of a network whose weights are moved along signs, from floats that stay.
class moved_weights {
  public:
    explicit moved_weights(vision_model const& model) : model_(model) {
        double sum = 0.0;
        std::size_t count = 0;
        model_.for_each_linear([&](linear const& layer) {
            weights_.push_back(layer.form().floats());
            signs_.emplace_back(layer.out(), layer.in());
            for (float const w : weights_.back().view().flat())
                sum += static_cast<double>(w) * static_cast<double>(w);
            count += weights_.back().view().size();
        });
        root_mean_square_ = std::sqrt(sum / static_cast<double>(std::max<std::size_t>(count, 1)));
    }

    [[nodiscard]] double root_mean_square() const noexcept { return root_mean_square_; }
    [[nodiscard]] std::vector<matrix> const& signs() const noexcept { return signs_; }

    void draw(splitmix64& random) {
        for (matrix& sign : signs_) {
            std::uint64_t bits = 0;
            std::size_t left = 0;
            for (float& s : sign.view().flat()) {
                if (left == 0) bits = random(), left = 64;
                s = (bits & 1) != 0 ? 1.0f : -1.0f;
                bits >>= 1, --left;
            }
        }
    }
    /// The network at w + step v.
    [[nodiscard]] vision_model const& at(float step) {
        std::size_t i = 0;
        model_.for_each_linear([&](linear& layer) {
            matrix moved = weights_[i];
            for (std::size_t k = 0; k < moved.view().size(); ++k)
                moved.data()[k] += step * signs_[i].data()[k];
            layer.set_weight(std::move(moved));
            ++i;
        });
        return model_;
    }

  private:
    vision_model model_;
    std::vector<matrix> weights_, signs_;
    double root_mean_square_ = 0.0;
};

}  // namespace detail

/// One trace for each linear layer, in the order of for_each_linear(), of the mean loss over the images. Weights
/// that are codes are taken as the floats that they decode to. Throws value_error for no probe, a step that is no
/// number above zero, and like vision_loss_gradients(). The result does not depend on the number of threads.
[[nodiscard]] inline std::vector<hessian_trace> hessian_traces(
    vision_model const& model, pixel_rows images, std::span<std::size_t const> labels,
    hessian_trace_options const& options = {}) {
    if (options.probes == 0) throw value_error("hessian trace: expected at least one probe");
    if (!(options.relative_step > 0.0f) || !std::isfinite(options.relative_step))
        throw value_error("hessian trace: expected a step above zero, found " +
                          std::to_string(options.relative_step));
    detail::moved_weights moved(model);
    auto const step =
        static_cast<float>(moved.root_mean_square() * static_cast<double>(options.relative_step));
    std::vector<hessian_trace> traces;
    model.for_each_linear([&](linear const& layer) {
        traces.push_back({layer.name(), layer.out() * layer.in(), 0.0, 0.0});
    });
    std::vector<double> squares(traces.size());
    splitmix64 random(options.seed);
    vision_gradient_options const how{.lanes = options.lanes};
    for (std::size_t probe = 0; step > 0.0f && probe < options.probes; ++probe) {
        moved.draw(random);
        auto const above = vision_loss_gradients(moved.at(step), images, labels, how).by_weights;
        auto const below = vision_loss_gradients(moved.at(-step), images, labels, how).by_weights;
        for (std::size_t i = 0; i < traces.size(); ++i) {
            double sum = 0.0;
            for (std::size_t k = 0; k < traces[i].weights; ++k)
                sum += static_cast<double>(moved.signs()[i].data()[k]) *
                       (static_cast<double>(above[i].data()[k]) -
                        static_cast<double>(below[i].data()[k]));
            double const found = sum / (2.0 * static_cast<double>(step));
            // Welford's mean and sum of squared deviations.
            double const before = found - traces[i].trace;
            traces[i].trace += before / static_cast<double>(probe + 1);
            squares[i] += before * (found - traces[i].trace);
        }
    }
    auto const n = static_cast<double>(options.probes);
    for (std::size_t i = 0; i < traces.size(); ++i)
        traces[i].standard_error = options.probes > 1 ? std::sqrt(squares[i] / (n - 1.0) / n)
                                                      : std::numeric_limits<double>::infinity();
    return traces;
}

}  // namespace qtk
