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
        // Eight running extremes: a chain of one would wait for each comparison to finish.
        constexpr std::size_t lanes = 8;
        float low[lanes], high[lanes];
        for (std::size_t k = 0; k < lanes; ++k) low[k] = high[k] = tile[0];
        std::size_t i = 0;
        for (; i + lanes <= tile.size(); i += lanes)
            for (std::size_t k = 0; k < lanes; ++k) {
                float const x = tile[i + k];
                low[k] = x < low[k] ? x : low[k];
                high[k] = x > high[k] ? x : high[k];
            }
        for (; i < tile.size(); ++i) {
            low[0] = tile[i] < low[0] ? tile[i] : low[0];
            high[0] = tile[i] > high[0] ? tile[i] : high[0];
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
