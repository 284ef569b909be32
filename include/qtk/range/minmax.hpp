// SPDX-License-Identifier: Apache-2.0
//
// How wide is the tile? From its smallest to its largest value: nothing clips, and one outlier
// widens every step. The default everywhere.
#pragma once

#include <qtk/core/concepts.hpp>

#include <cstddef>
#include <span>

namespace qtk {

struct minmax_range {
    /// Finite values only: what a maximum makes of NaN depends on the order of the operands.
    [[nodiscard]] interval estimate(std::span<float const> tile) const noexcept {
        if (tile.empty()) return {};
        float const* const x = tile.data();
        // Eight running extremes: a chain of one would wait for each comparison to finish.
        constexpr std::size_t lanes = 8;
        std::size_t const whole = tile.size() / lanes * lanes;
        float low[lanes], high[lanes];
        for (std::size_t k = 0; k < lanes; ++k) low[k] = high[k] = x[0];
        for (std::size_t i = 0; i < whole; i += lanes)
            for (std::size_t k = 0; k < lanes; ++k) {
                low[k] = x[i + k] < low[k] ? x[i + k] : low[k];
                high[k] = x[i + k] > high[k] ? x[i + k] : high[k];
            }
        for (std::size_t i = whole; i < tile.size(); ++i) {
            low[0] = x[i] < low[0] ? x[i] : low[0];
            high[0] = x[i] > high[0] ? x[i] : high[0];
        }
        interval range{low[0], high[0]};
        for (std::size_t k = 1; k < lanes; ++k) {
            range.lowest = low[k] < range.lowest ? low[k] : range.lowest;
            range.highest = high[k] > range.highest ? high[k] : range.highest;
        }
        return range;
    }
};
static_assert(value_range_estimator<minmax_range>);

}  // namespace qtk
