// SPDX-License-Identifier: Apache-2.0
//
// Up or down? AdaRound (Nagel et al. 2020, "Up or Down? Adaptive Rounding for Post-Training
// Quantization") learns for every weight which of its two neighbours on the grid serves the outputs best:
//
//   w' = s (clamp(floor(w/s) + h(a)))        h(a) = clamp(1.2 sigmoid(a) - 0.1, 0, 1)
//   L + lambda sum (1 - |2h - 1|^beta)        beta from 20 to 2 once the warm-up is over
//
// a starts where w' = w; at the end a weight goes up if a >= 0. The grid stays that of the range
// estimator. Differs from the paper: L is measured in units of round to nearest (learned.hpp), so that
// lambda means the same for layers of any size; and exact gradients take larger steps, and fewer.
#pragma once

#include <qtk/core/abi.hpp>
#include <qtk/core/matrix.hpp>
#include <qtk/core/matrix_view.hpp>
#include <qtk/format/qmatrix.hpp>
#include <qtk/method/adam.hpp>
#include <qtk/method/layer_reconstruction.hpp>
#include <qtk/method/learned.hpp>
#include <qtk/method/tile_fit.hpp>
#include <qtk/quantize.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

namespace qtk {

struct adaround_options {
    std::size_t steps = 400;
    float rate = 0.05f;    ///< Of Adam.
    float lambda = 30.0f;  ///< Weight of the term that makes h 0 or 1.
    float first_beta = 20.0f, last_beta = 2.0f;
    float warm_up = 0.2f;  ///< The share of the steps before that term counts.
    tile_range range = minmax_range{};
};

inline namespace QTK_ABI_NS {

/// Rounding that is soft while it is learned.
class soft_rounding {
  public:
    /// Throws like code_grid.
    soft_rounding(scheme const& s, matrix_view<float const> w, quantize_options const& options,
                  adaround_options const& how = {})
        : how_(how),
          grid_(s, w, options, learnable_tiles::of_any_height),
          params_(grid_.fit(how.range)),
          choice_(w.rows, w.cols),
          weights_(w.rows, w.cols),
          adam_(w.size(), {.rate = how.rate}) {
        for_each_weight([&](std::size_t r, std::size_t c, tile_params p) {
            float const unit = grid_.weight()(r, c) / p.scale;
            choice_(r, c) = -std::log(1.2f / (unit - std::floor(unit) + 0.1f) - 1.0f);
        });
        refresh([](float a) { return rectified(a); });
    }

    [[nodiscard]] code_grid const& grid() const noexcept { return grid_; }
    [[nodiscard]] matrix_view<float const> weights() const noexcept { return weights_.view(); }

    void step(matrix_view<float const> gradient, double progress) {
        bool const is_warm = progress >= static_cast<double>(how_.warm_up);
        double const over = (progress - static_cast<double>(how_.warm_up)) /
                            (1.0 - static_cast<double>(how_.warm_up));
        float const beta =
            how_.first_beta + (how_.last_beta - how_.first_beta) * static_cast<float>(over);
        adam_.advance();
        grid_.for_each_row([&](std::size_t r) {
            std::vector<float> by_choice(weights_.cols());
            grid_.for_each_tile(r, [&](std::size_t tile, std::size_t first, std::size_t width) {
                for (std::size_t c = first; c < first + width; ++c) {
                    float const a = choice_(r, c), s = detail::sigmoid(a), h = rectified(a);
                    if (h <= 0.0f || h >= 1.0f) continue;  // flat there
                    float by_h = 0.0f;
                    if (!clips(r, c, h, params_[tile])) by_h = gradient(r, c) * params_[tile].scale;
                    if (is_warm) by_h += how_.lambda * indecision_slope(h, beta);
                    by_choice[c] = by_h * 1.2f * s * (1.0f - s);
                }
            });
            adam_.update(r * weights_.cols(), choice_.view().row(r), by_choice);
        });
        refresh([](float a) { return rectified(a); });
    }

    [[nodiscard]] any_qmatrix finish() {
        refresh(decided);
        return grid_.pack(params_, [&](std::size_t r, std::size_t c, tile_params p) {
            return std::floor(grid_.weight()(r, c) / p.scale) + decided(choice_(r, c));
        });
    }

  private:
    static float rectified(float a) noexcept {
        return std::clamp(1.2f * detail::sigmoid(a) - 0.1f, 0.0f, 1.0f);
    }
    static float decided(float a) noexcept { return a >= 0.0f ? 1.0f : 0.0f; }
    /// d/dh (1 - |2h - 1|^beta)
    static float indecision_slope(float h, float beta) noexcept {
        float const lean = 2.0f * h - 1.0f;
        float const slope = 2.0f * beta * std::pow(std::fabs(lean), beta - 1.0f);
        return lean > 0.0f ? -slope : slope;
    }

    template <typename F>
    void for_each_weight(F const& f) const {
        grid_.for_each_row([&](std::size_t r) {
            grid_.for_each_tile(r, [&](std::size_t tile, std::size_t first, std::size_t width) {
                for (std::size_t c = first; c < first + width; ++c) f(r, c, params_[tile]);
            });
        });
    }
    /// Smallest and largest code, counted from zero.
    [[nodiscard]] interval codes(tile_params p) const noexcept {
        auto const zero = static_cast<float>(p.zero);
        return {grid_.quantizer().lowest_field() - zero, grid_.quantizer().highest_field() - zero};
    }
    [[nodiscard]] bool clips(std::size_t r, std::size_t c, float h, tile_params p) const noexcept {
        auto const [least, most] = codes(p);
        float const v = std::floor(grid_.weight()(r, c) / p.scale) + h;
        return v < least || v > most;
    }
    template <typename Rounding>
    void refresh(Rounding const& rounding_of) {
        for_each_weight([&](std::size_t r, std::size_t c, tile_params p) {
            auto const [least, most] = codes(p);
            float const v = std::floor(grid_.weight()(r, c) / p.scale) + rounding_of(choice_(r, c));
            weights_(r, c) = std::clamp(v, least, most) * p.scale;
        });
    }

    adaround_options how_;
    code_grid grid_;
    std::vector<tile_params> params_;
    matrix choice_, weights_;
    adam adam_;
};
static_assert(learned_quantization<soft_rounding> && !best_keeping<soft_rounding>);

/// qtk::quantize<w4>(weight, qtk::adaround{hessian})
using adaround = learned_from_hessian<soft_rounding, adaround_options>;
static_assert(weight_method<adaround>);

}  // namespace QTK_ABI_NS
}  // namespace qtk
