// SPDX-License-Identifier: Apache-2.0
//
// Which codes change the output of one layer least? With the Hessian H = (2/N) sum x x^T of the inputs
// the squared error of all outputs is known without them, and so is its gradient:
//
//   L(W') = tr((W' - W) H (W' - W)^T) / rows      dL/dW' = 2 (W' - W) H / rows
//
// L is twice the mean squared error of an output. It is computed over all samples at once, where the
// papers draw batches: the learned quantizations get by with some hundred steps. Round to nearest is
// kept where nothing better is found, so the result is never worse.
#pragma once

#include <qtk/core/abi.hpp>
#include <qtk/core/checked.hpp>
#include <qtk/core/matrix.hpp>
#include <qtk/core/matrix_view.hpp>
#include <qtk/format/qmatrix.hpp>
#include <qtk/kernel/decode.hpp>
#include <qtk/kernel/parallel.hpp>
#include <qtk/math/blas.hpp>
#include <qtk/method/damping.hpp>
#include <qtk/method/learned.hpp>
#include <qtk/quantize.hpp>

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

namespace qtk {

/// L of round to nearest and of the learned codes, whether they were kept or not.
struct reconstruction_report {
    double nearest = 0.0, learned = 0.0;
    std::size_t steps = 0;

    [[nodiscard]] bool is_better() const noexcept { return learned < nearest; }
};

struct reconstructed_weight {
    any_qmatrix weight;
    reconstruction_report report;
};

inline namespace QTK_ABI_NS {

/// L and its gradient. Borrows both matrices. The same figures for any number of threads.
class layer_objective {
  public:
    /// w is [out, in], the Hessian [in, in]. Throws like require_hessian().
    layer_objective(matrix_view<float const> w, matrix_view<float const> hessian)
        : w_(w), hessian_(hessian) {
        require_hessian(hessian, w.cols);
    }

    /// L of `weights`, [out, in]; `gradient` becomes `scale` dL/dW'.
    [[nodiscard]] double evaluate(matrix_view<float const> weights, matrix_view<float> gradient,
                                  double scale = 1.0) const {
        single_threaded_blas const one_thread;
        constexpr std::size_t strip = 64;
        auto const rows = static_cast<double>(w_.rows);
        auto const factor = static_cast<float>(2.0 * scale / rows);
        std::vector<double> losses(w_.rows);
        std::size_t const work = checked_mul(w_.size(), w_.cols) / 16;
        parallel_for(div_ceil(w_.rows, strip), work, [&](std::size_t at) {
            std::size_t const first = at * strip, count = std::min(strip, w_.rows - first);
            matrix error(count, w_.cols);
            for (std::size_t r = 0; r < count; ++r)
                for (std::size_t c = 0; c < w_.cols; ++c)
                    error(r, c) = weights(first + r, c) - w_(first + r, c);
            matrix_view<float> const part(gradient.data + first * gradient.stride, count, w_.cols,
                                          gradient.stride);
            matmul(error.view(), hessian_, part);
            for (std::size_t r = 0; r < count; ++r)
                for (std::size_t c = 0; c < w_.cols; ++c) {
                    losses[first + r] +=
                        static_cast<double>(error(r, c)) * static_cast<double>(part(r, c));
                    part(r, c) *= factor;
                }
        });
        double sum = 0.0;
        for (double const loss : losses) sum += loss;
        return rows > 0.0 ? sum / rows : 0.0;
    }

  private:
    matrix_view<float const> w_, hessian_;
};

/// Learns for `steps` steps; the codes with the lesser loss of the learned ones and of `nearest`.
template <learned_quantization L>
[[nodiscard]] reconstructed_weight reconstruct_layer(L learned, any_qmatrix nearest,
                                                     layer_objective const& objective,
                                                     std::size_t steps) {
    matrix gradient(nearest.rows(), nearest.cols()), weights(nearest.rows(), nearest.cols());
    decode_rows(nearest, 0, nearest.rows(), weights.data());
    reconstruction_report report{.nearest = objective.evaluate(weights.view(), gradient.view()),
                                 .learned = 0.0,
                                 .steps = steps};
    if (!(report.nearest > 0.0)) return {std::move(nearest), {.steps = 0}};
    double const scale = static_cast<double>(nearest.size()) / report.nearest;
    for (std::size_t i = 0; i < steps; ++i) {
        double const loss = objective.evaluate(learned.weights(), gradient.view(), scale);
        if constexpr (best_keeping<L>) learned.keep_if_best(loss);
        learned.step(gradient.view(), static_cast<double>(i) / static_cast<double>(steps));
    }
    if constexpr (best_keeping<L>)
        learned.keep_if_best(objective.evaluate(learned.weights(), gradient.view()));
    any_qmatrix codes = learned.finish();
    report.learned = objective.evaluate(learned.weights(), gradient.view());
    return {report.is_better() ? std::move(codes) : std::move(nearest), report};
}

/// A learned quantization as a weight method on a plain matrix. L is made of a scheme, a weight, its
/// options, and `How`, which also holds the count of steps.
template <learned_quantization L, typename How>
class learned_from_hessian {
  public:
    /// `hessian` is [in, in]: input_statistics::hessian(), or any multiple of sum x^T x. Borrowed, or kept
    /// if it is given away.
    explicit learned_from_hessian(kept_matrix hessian, How how = {})
        : hessian_(std::move(hessian)), how_(std::move(how)) {}

    /// The codes of w, [out, in], and what they cost. Throws like code_grid and require_hessian().
    [[nodiscard]] reconstructed_weight reconstruct(scheme const& s, matrix_view<float const> w,
                                                   quantize_options const& options = {}) const {
        layer_objective const objective(w, hessian_.view());
        L learned(s, w, options, how_);
        any_qmatrix nearest = learned.grid().nearest();
        return reconstruct_layer(std::move(learned), std::move(nearest), objective, how_.steps);
    }
    [[nodiscard]] any_qmatrix quantize(scheme const& s, matrix_view<float const> w,
                                       quantize_options const& options) const {
        return reconstruct(s, w, options).weight;
    }

  private:
    kept_matrix hessian_;
    How how_;
};

}  // namespace QTK_ABI_NS
}  // namespace qtk
