// SPDX-License-Identifier: Apache-2.0
//
// How wide is a tile if its width is learned? The smallest and the largest weight are multiplied by
// factors of their own, and the factors move along the gradient of a loss. Rounding is passed through
// as if it were not there (Bengio et al. 2013), so with  lo' = a lo,  hi' = b hi,  e = round(w/s) - w/s:
//
//   asymmetric  s = (hi' - lo') / (2^B - 1)    dw'/dlo' = -e / (2^B - 1)   dw'/dhi' = e / (2^B - 1)
//               clipped below: w' = lo';  above: w' = hi'
//   symmetric   s = max(-lo', hi') / K         dw'/ds = e;  clipped: w' = -K s or K s
//
// with K = 2^(B-1) - 1. That the zero point is an integer, and a scale may be a half, is passed through too.
#pragma once

#include <qtk/method/learned.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <utility>
#include <vector>

namespace qtk {

/// One factor for the lower end of a tile and one for the upper end; or the derivative by them.
struct range_factors {
    float low = 1.0f, high = 1.0f;
};

inline namespace QTK_ABI_NS {

/// Tiles on whose grid values lie, each with a shift of its own before it is rounded.
class learned_range {
  public:
    /// Throws like code_grid.
    learned_range(scheme const& s, matrix_view<float const> w, quantize_options const& options,
                  range_factors start)
        : grid_(s, w, options),
          whole_(grid_.tiles().count()),
          params_(grid_.fit()),
          factors_(whole_.size(), start),
          weights_(w.rows, w.cols) {
        for (std::size_t r = 0; r < w.rows; ++r)
            grid_.for_each_tile(r, [&](std::size_t tile, std::size_t first, std::size_t width) {
                auto const [low, high] =
                    std::ranges::minmax(grid_.weight().row(r).subspan(first, width));
                whole_[tile] = {std::min(low, 0.0f), std::max(high, 0.0f)};
            });
    }

    [[nodiscard]] code_grid const& grid() const noexcept { return grid_; }
    [[nodiscard]] matrix_view<float const> weights() const noexcept { return weights_.view(); }
    [[nodiscard]] std::vector<range_factors>& factors() noexcept { return factors_; }
    [[nodiscard]] tile_params params(std::size_t tile) const noexcept { return params_[tile]; }

    /// Computes params and weights of row r from the factors, which lie in [0, 1]. `shift` is added to
    /// w / s, unless it is empty. Rows may be computed by several threads.
    void refresh(std::size_t r, std::span<float const> shift) noexcept {
        any_quantizer const& q = grid_.quantizer();
        auto const w = grid_.weight().row(r);
        auto const to = weights_.view().row(r);
        grid_.for_each_tile(r, [&](std::size_t tile, std::size_t first, std::size_t width) {
            tile_params const p = params_[tile] = q.fit(scaled(tile));
            for (std::size_t c = first; c < first + width; ++c)
                to[c] = q.decode(grid_.field(w[c] / p.scale + at(shift, c), p), p);
        });
    }

    /// The gradient of a tile of row r. g is dL/dW' of the whole row; inside(c) is told of the values that
    /// do not clip.
    template <typename Inside>
    [[nodiscard]] range_factors gradient(std::size_t r, std::size_t tile, std::size_t first,
                                         std::size_t width, std::span<float const> g,
                                         std::span<float const> shift, Inside const& inside) const {
        any_quantizer const& q = grid_.quantizer();
        tile_params const p = params_[tile];
        auto const zero = static_cast<float>(p.zero);
        float const least = q.lowest_field() - zero, most = q.highest_field() - zero;
        auto const w = grid_.weight().row(r);
        float below = 0.0f, above = 0.0f, by_scale = 0.0f;
        for (std::size_t c = first; c < first + width; ++c) {
            float const unit = w[c] / p.scale, v = unit + at(shift, c);
            if (v < least) {
                below += g[c];
            } else if (v > most) {
                above += g[c];
            } else {
                float const code = static_cast<float>(grid_.field(v, p)) - zero;
                by_scale += g[c] * (code - unit);
                inside(c);
            }
        }
        return by_ends(tile, below, above, by_scale);
    }

    /// The codes of weights(), whose shifts are [out, in], or none.
    [[nodiscard]] any_qmatrix pack(matrix_view<float const> shift = {}) const {
        auto const w = grid_.weight();
        return grid_.pack(params_, [&](std::size_t r, std::size_t c, tile_params p) {
            return w(r, c) / p.scale + (shift.rows == 0 ? 0.0f : shift(r, c));
        });
    }

  private:
    static float at(std::span<float const> shift, std::size_t c) noexcept {
        return shift.empty() ? 0.0f : shift[c];
    }
    [[nodiscard]] interval scaled(std::size_t tile) const noexcept {
        return {whole_[tile].lowest * factors_[tile].low,
                whole_[tile].highest * factors_[tile].high};
    }
    [[nodiscard]] range_factors by_ends(std::size_t tile, float below, float above,
                                        float by_scale) const noexcept {
        any_quantizer const& q = grid_.quantizer();
        interval const& whole = whole_[tile];
        if (q.has_zero_point) {
            float const by_width = by_scale / q.highest_field();
            return {(below - by_width) * whole.lowest, (above + by_width) * whole.highest};
        }
        // The larger magnitude decides alone.
        interval const now = scaled(tile);
        float const by_magnitude = above - below + by_scale / largest_level(q.element);
        return -now.lowest > now.highest ? range_factors{-by_magnitude * whole.lowest, 0.0f}
                                         : range_factors{0.0f, by_magnitude * whole.highest};
    }

    code_grid grid_;
    std::vector<interval> whole_;  ///< Zero is in each.
    std::vector<tile_params> params_;
    std::vector<range_factors> factors_;
    matrix weights_;
};

}  // namespace QTK_ABI_NS
}  // namespace qtk
