// SPDX-License-Identifier: Apache-2.0
//
// How wide is the tile if the sum of errors decides? The min-max interval is shrunk in equal steps;
// the one with the smallest sum of |w - w'|^norm is kept, where w' is what the scheme's own codes
// give back. Norm 2 is the squared error; 2.4 weighs outliers a little more, as GPTQ's grid search
// does (Frantar et al. 2022, reference implementation: 100 cells, 80 steps).
#pragma once

#include <qtk/core/concepts.hpp>
#include <qtk/core/error.hpp>
#include <qtk/range/minmax.hpp>

#include <cmath>
#include <cstddef>
#include <limits>
#include <span>
#include <string>

namespace qtk {

struct mse_range {
    float norm = 2.0f;  ///< Positive.
    int grid = 100;     ///< Step i shrinks by 1 - i / grid.
    int steps = 80;     ///< How many steps are tried, the unshrunk one included: 1 to grid.

    /// Quantizes the tile `steps` times; use it for weights, not per token. Never worse than
    /// min-max in its own norm, and min-max itself where shrinking gains nothing (zeros, a single
    /// value). Throws value_error for a norm, grid or count of steps that is none.
    template <quantizer Q>
    [[nodiscard]] interval estimate(std::span<float const> tile, Q const& q) const {
        if (!(norm > 0.0f) || steps < 1 || steps > grid)
            throw value_error(
                "mse_range: the norm is positive and steps lie in 1..grid, found norm " +
                std::to_string(norm) + ", steps " + std::to_string(steps) + ", grid " +
                std::to_string(grid));
        interval const whole = minmax_range{}.estimate(tile);
        interval best = whole;
        double least = std::numeric_limits<double>::infinity();
        for (int i = 0; i < steps; ++i) {
            float const shrink = 1.0f - static_cast<float>(i) / static_cast<float>(grid);
            interval const candidate{whole.lowest * shrink, whole.highest * shrink};
            double const error = total_error(tile, q, q.fit(candidate), least);
            if (error < least) {
                least = error;
                best = candidate;
            }
        }
        return best;
    }

  private:
    /// Stops early once the sum has passed `enough`.
    template <quantizer Q>
    [[nodiscard]] double total_error(std::span<float const> tile, Q const& q, tile_params p,
                                     double enough) const {
        double sum = 0.0;
        for (std::size_t i = 0; i < tile.size() && sum < enough; ++i) {
            auto const error =
                static_cast<double>(std::fabs(tile[i] - q.decode(q.encode(tile[i], p), p)));
            sum += norm == 2.0f ? error * error : std::pow(error, static_cast<double>(norm));
        }
        return sum;
    }
};
static_assert(fitted_range_estimator<mse_range>);

}  // namespace qtk
