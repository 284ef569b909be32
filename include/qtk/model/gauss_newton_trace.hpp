// SPDX-License-Identifier: Apache-2.0
//
// How curved is the loss in the weights of a layer, without noise? The Gauss-Newton part of the Hessian of
// -ln p(label), which for a network of ReLUs is all of it for the weights of one layer (their kinks apart), has a
// trace that single gradients give (Martens 2020, "New Insights and Perspectives on the Natural Gradient Method",
// sections 8 and 9):
//
//   tr G = mean over images of sum over classes c of p_c |d(-ln p_c)/dw|^2
//
// It needs no labels, is never negative, and equals the Fisher information's. Random signs (hessian_trace.hpp)
// estimate the whole Hessian, with an error that a layer among many more curved ones may drown in. Cost: the
// gradients of every image by itself, once for each class that is at all likely.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/core/matrix.hpp>
#include <qtk/core/matrix_view.hpp>
#include <qtk/kernel/parallel.hpp>
#include <qtk/math/blas.hpp>
#include <qtk/model/gradient_cross_entropy.hpp>
#include <qtk/model/gradient_layer.hpp>
#include <qtk/model/hessian_trace.hpp>
#include <qtk/model/image.hpp>
#include <qtk/model/linear.hpp>
#include <qtk/model/vision_model.hpp>
#include <qtk/model/vision_parts.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <span>
#include <utility>
#include <vector>

namespace qtk {

struct gauss_newton_options {
    /// Classes below this probability are left out: of 1000 classes, a few count.
    float least_probability = 1e-6f;
    std::size_t lanes =
        2;  ///< Images at the same time, each with gradients as large as the network.
};

namespace detail {

/// tr G of each layer for one image.
class image_curvature {
  public:
    image_curvature(vision_model const& model, gauss_newton_options const& options)
        : model_(model), options_(options), gradients_(zero_gradients(model)) {}

    [[nodiscard]] std::vector<double> of(pixel_rows image) {
        std::vector<part_tape> tapes;
        tapes.reserve(part_count(model_));
        for (std::size_t i = 0; i < part_count(model_); ++i)
            tapes.emplace_back(model_, i, i == 0 ? image : tapes.back().output().view());
        matrix const scores = copy_of(tapes.back().output().pixels());
        std::vector<double> traces(gradients_.size());
        for (std::size_t c = 0; c < scores.cols(); ++c) {
            matrix by_scores = scores;
            double const loss = cross_entropy_gradient(by_scores.view().row(0), c, 1.0f);
            double const p = std::exp(-loss);
            if (!(p >= static_cast<double>(options_.least_probability))) continue;
            run_back(tapes, std::move(by_scores));
            for (std::size_t l = 0; l < traces.size(); ++l) traces[l] += p * square(gradients_[l]);
        }
        return traces;
    }

  private:
    void run_back(std::vector<part_tape> const& tapes, matrix d) {
        for (matrix& g : gradients_) std::ranges::fill(g.view().flat(), 0.0f);
        std::size_t end = gradients_.size();
        for (std::size_t i = tapes.size(); i-- > 0;) {
            std::size_t first = end;
            for_each_linear_of_part(model_, i, [&](linear const&) { --first; });
            d = tapes[i].backward(d.view(),
                                  std::span<matrix>(gradients_).subspan(first, end - first));
            end = first;
        }
    }
    [[nodiscard]] static double square(matrix const& m) noexcept {
        double sum = 0.0;
        for (float const v : m.view().flat())
            sum += static_cast<double>(v) * static_cast<double>(v);
        return sum;
    }

    vision_model const& model_;
    gauss_newton_options options_;
    std::vector<matrix> gradients_;
};

}  // namespace detail

/// One trace for each linear layer, in the order of for_each_linear(). The standard error is that of the mean over
/// the images, as a sample of all that there are. Throws value_error for no image, and like
/// vision_model::logits(). The result does not depend on the number of threads.
[[nodiscard]] inline std::vector<hessian_trace> gauss_newton_traces(
    vision_model const& model, pixel_rows images, gauss_newton_options const& options = {}) {
    std::size_t const count = images.count();
    if (count == 0) throw value_error("Gauss-Newton trace: expected at least one image");
    std::vector<std::vector<double>> of_images(count);
    std::size_t const lanes = std::clamp<std::size_t>(options.lanes, 1, count);
    single_threaded_blas const one_thread;
    constexpr std::size_t always_worth_threads = std::size_t{1} << 30;
    parallel_for(lanes, always_worth_threads, [&](std::size_t lane) {
        detail::image_curvature curvature(model, options);
        for (std::size_t n = lane; n < count; n += lanes)
            of_images[n] = curvature.of(images.slice(n, 1));
    });
    std::vector<hessian_trace> traces;
    auto const n = static_cast<double>(count);
    model.for_each_linear([&](linear const& layer) {
        std::size_t const at = traces.size();
        double sum = 0.0, squares = 0.0;
        for (auto const& image : of_images) sum += image[at];
        for (auto const& image : of_images) squares += std::pow(image[at] - sum / n, 2.0);
        traces.push_back({layer.name(), layer.out() * layer.in(), sum / n,
                          count > 1 ? std::sqrt(squares / (n - 1.0) / n)
                                    : std::numeric_limits<double>::infinity()});
    });
    return traces;
}

}  // namespace qtk
