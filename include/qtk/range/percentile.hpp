// SPDX-License-Identifier: Apache-2.0
//
// How wide is the tile if the rarest values are let go? The interval holds the middle `keep` of the
// values, by rank: keep = 1 is min-max, keep = 0.999 drops one value in two thousand at each end.
#pragma once

#include <qtk/core/concepts.hpp>
#include <qtk/core/error.hpp>

#include <algorithm>
#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace qtk {

struct percentile_range {
    float keep = 0.999f;  ///< In (0, 1].

    /// How many of `count` values are let go at each end; count is not 0. Throws value_error for a
    /// share that is none.
    [[nodiscard]] std::size_t dropped(std::size_t count) const {
        if (!(keep > 0.0f && keep <= 1.0f))
            throw value_error("percentile_range: keep is a share in (0, 1], found " +
                              std::to_string(keep));
        // A float share is off by up to 2^-25; without that much slack 0.98 of 101 values would
        // drop none.
        double const ranks = static_cast<double>(count - 1);
        return static_cast<std::size_t>((1.0 - static_cast<double>(keep)) / 2.0 * ranks +
                                        ranks * 0x1p-25);
    }

    /// Partially sorts a copy of the tile; use it for calibration, not per token. Throws like
    /// dropped().
    [[nodiscard]] interval estimate(std::span<float const> tile) const {
        auto const tail =
            static_cast<std::ptrdiff_t>(dropped(std::max<std::size_t>(tile.size(), 1)));
        if (tile.empty()) return {};
        std::vector<float> values(tile.begin(), tile.end());
        auto const low = values.begin() + tail, high = values.end() - 1 - tail;
        std::nth_element(values.begin(), low, values.end());
        interval range{.lowest = *low};
        // Everything behind `low` is at least as large, so the upper rank is looked for there
        // alone.
        std::nth_element(low, high, values.end());
        range.highest = *high;
        return range;
    }
};
static_assert(value_range_estimator<percentile_range>);

}  // namespace qtk
