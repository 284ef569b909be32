// SPDX-License-Identifier: Apache-2.0
//
// How much of a tile's range is worth having? The learnable weight clipping of OmniQuant (Shao et al.
// 2024, "OmniQuant: Omnidirectionally Calibrated Quantization for Large Language Models"): both ends of
// every tile are multiplied by a sigmoid,
//
//   lo' = sigmoid(l) min w      hi' = sigmoid(u) max w      l = u = 4 at first: 0.982
//
// and l and u follow the gradient by Adam, which passes through rounding (learned_range.hpp). Differs
// from the paper: the best codes are kept, scales are not clamped to [1e-5, 1e4], and the learnable
// equivalent transformation, the paper's other half, is not here.
#pragma once

#include <qtk/core/abi.hpp>
#include <qtk/core/matrix.hpp>
#include <qtk/core/matrix_view.hpp>
#include <qtk/format/qmatrix.hpp>
#include <qtk/method/adam.hpp>
#include <qtk/method/layer_reconstruction.hpp>
#include <qtk/method/learned.hpp>
#include <qtk/method/learned_range.hpp>
#include <qtk/quantize.hpp>

#include <cstddef>
#include <limits>
#include <vector>

namespace qtk {

struct omniquant_options {
    std::size_t steps = 200;
    float rate = 0.05f;  ///< Of Adam.
    float start = 4.0f;  ///< l and u at first.
};

inline namespace QTK_ABI_NS {

/// Round to nearest in a range that is learned.
class learned_clipping {
  public:
    /// Throws like code_grid.
    learned_clipping(scheme const& s, matrix_view<float const> w, quantize_options const& options,
                     omniquant_options const& how = {})
        : range_(s, w, options, {}),
          logits_(2 * range_.factors().size(), how.start),
          adam_(logits_.size(), {.rate = how.rate}) {
        refresh();
    }

    [[nodiscard]] code_grid const& grid() const noexcept { return range_.grid(); }
    [[nodiscard]] matrix_view<float const> weights() const noexcept { return range_.weights(); }
    [[nodiscard]] range_factors factors(std::size_t tile) { return range_.factors()[tile]; }

    void step(matrix_view<float const> gradient, double) {
        std::vector<float> by_logits(logits_.size());
        grid().for_each_row([&](std::size_t r) {
            grid().for_each_tile(r, [&](std::size_t tile, std::size_t first, std::size_t width) {
                range_factors const by =
                    range_.gradient(r, tile, first, width, gradient.row(r), {}, [](std::size_t) {});
                range_factors const f = range_.factors()[tile];
                by_logits[2 * tile] = by.low * f.low * (1.0f - f.low);
                by_logits[2 * tile + 1] = by.high * f.high * (1.0f - f.high);
            });
        });
        adam_.step(logits_, by_logits);
        refresh();
    }

    void keep_if_best(double loss) {
        if (!(loss < least_)) return;
        least_ = loss;
        best_ = logits_;
    }

    [[nodiscard]] any_qmatrix finish() {
        if (!best_.empty()) {
            logits_ = best_;
            refresh();
        }
        return range_.pack();
    }

  private:
    void refresh() {
        grid().for_each_row([&](std::size_t r) {
            grid().for_each_tile(r, [&](std::size_t tile, std::size_t, std::size_t) {
                range_.factors()[tile] = {detail::sigmoid(logits_[2 * tile]),
                                          detail::sigmoid(logits_[2 * tile + 1])};
            });
            range_.refresh(r, {});
        });
    }

    learned_range range_;
    std::vector<float> logits_, best_;
    adam adam_;
    double least_ = std::numeric_limits<double>::infinity();
};
static_assert(best_keeping<learned_clipping>);

/// qtk::quantize<w4>(weight, qtk::omniquant{hessian})
using omniquant = learned_from_hessian<learned_clipping, omniquant_options>;
static_assert(weight_method<omniquant>);

}  // namespace QTK_ABI_NS
}  // namespace qtk
