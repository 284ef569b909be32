// SPDX-License-Identifier: Apache-2.0
//
// Which way, by the sign alone? AutoRound (Cheng et al. 2023, "Optimize Weight Rounding via Signed
// Gradient Descent for the Quantization of LLMs") learns a shift of every weight and two factors of every
// tile's range:
//
//   w' = s (clamp(round(w/s + V)))      V in [-1/2, 1/2]      s from (a min w, b max w), a, b in [0, 1]
//
// Each step moves every parameter by the same length against the sign of its gradient; the length is
// 1/steps at first and falls linearly to 0. Rounding is passed through (learned_range.hpp). The best
// codes are kept. Differs from the authors' program: symmetric codes are those of the scheme, without
// -2^(B-1).
#pragma once

#include <qtk/core/abi.hpp>
#include <qtk/core/matrix.hpp>
#include <qtk/core/matrix_view.hpp>
#include <qtk/format/qmatrix.hpp>
#include <qtk/method/layer_reconstruction.hpp>
#include <qtk/method/learned.hpp>
#include <qtk/method/learned_range.hpp>
#include <qtk/quantize.hpp>

#include <algorithm>
#include <cstddef>
#include <limits>
#include <span>
#include <vector>

namespace qtk {

struct auto_round_options {
    std::size_t steps = 200;
    float rate = 0.0f;  ///< Length of the first step; 0: 1/steps.
    bool learns_range = true;
};

inline namespace QTK_ABI_NS {

/// Rounding with a shift that follows signs.
class signed_rounding {
  public:
    /// Throws like code_grid.
    signed_rounding(scheme const& s, matrix_view<float const> w, quantize_options const& options,
                    auto_round_options const& how = {})
        : how_(how), range_(s, w, options, {}), shift_(w.rows, w.cols) {
        if (how_.rate <= 0.0f)
            how_.rate = 1.0f / static_cast<float>(std::max<std::size_t>(how_.steps, 1));
        refresh();
    }

    [[nodiscard]] code_grid const& grid() const noexcept { return range_.grid(); }
    [[nodiscard]] matrix_view<float const> weights() const noexcept { return range_.weights(); }

    void step(matrix_view<float const> gradient, double progress) {
        float const rate = how_.rate * static_cast<float>(1.0 - progress);
        auto const against = [rate](float g) { return g > 0.0f ? -rate : g < 0.0f ? rate : 0.0f; };
        grid().for_each_row([&](std::size_t r) {
            std::span<float> const shift = shift_.view().row(r);
            std::span<float const> const g = gradient.row(r);
            grid().for_each_tile(r, [&](std::size_t tile, std::size_t first, std::size_t width) {
                // A shift is read before it is moved: each value is visited once.
                range_factors const by =
                    range_.gradient(r, tile, first, width, g, shift, [&](std::size_t c) {
                        shift[c] = std::clamp(shift[c] + against(g[c]), -0.5f, 0.5f);
                    });
                if (!how_.learns_range) return;
                range_factors& f = range_.factors()[tile];
                f.low = std::clamp(f.low + against(by.low), 0.0f, 1.0f);
                f.high = std::clamp(f.high + against(by.high), 0.0f, 1.0f);
            });
        });
        refresh();
    }

    void keep_if_best(double loss) {
        if (!(loss < least_)) return;
        least_ = loss;
        best_shift_ = shift_;
        best_factors_ = range_.factors();
    }

    [[nodiscard]] any_qmatrix finish() {
        if (!best_factors_.empty()) {
            shift_ = best_shift_;
            range_.factors() = best_factors_;
            refresh();
        }
        return range_.pack(shift_.view());
    }

  private:
    void refresh() {
        grid().for_each_row([&](std::size_t r) { range_.refresh(r, shift_.view().row(r)); });
    }

    auto_round_options how_;
    learned_range range_;
    matrix shift_, best_shift_;
    std::vector<range_factors> best_factors_;
    double least_ = std::numeric_limits<double>::infinity();
};
static_assert(best_keeping<signed_rounding>);

/// qtk::quantize<w4>(weight, qtk::auto_round{hessian})
using auto_round = learned_from_hessian<signed_rounding, auto_round_options>;
static_assert(weight_method<auto_round>);

}  // namespace QTK_ABI_NS
}  // namespace qtk
