// SPDX-License-Identifier: Apache-2.0
//
// How wide are activations that change from batch to batch? The ends of the interval follow those
// of each observed tile: m <- m + rate (current - m), Jacob et al. 2018, section 3. The first tile
// sets them.
#pragma once

#include <qtk/core/concepts.hpp>
#include <qtk/range/minmax.hpp>

#include <span>

namespace qtk {

class moving_average_range {
  public:
    /// `rate` in (0, 1]: the weight of the newest tile.
    explicit constexpr moving_average_range(float rate = 0.01f) noexcept : rate_(rate) {}

    /// Moves the interval towards that of the tile; an empty tile changes nothing.
    void observe(std::span<float const> tile) noexcept {
        current_ = estimate(tile);
        has_seen_ = has_seen_ || !tile.empty();
    }
    /// What has been observed so far; {0, 0} before the first tile.
    [[nodiscard]] constexpr interval current() const noexcept { return current_; }

    /// What observing the tile would give; the state stays as it is.
    [[nodiscard]] interval estimate(std::span<float const> tile) const noexcept {
        if (tile.empty()) return current_;
        interval const now = minmax_range{}.estimate(tile);
        if (!has_seen_) return now;
        return {current_.lowest + rate_ * (now.lowest - current_.lowest),
                current_.highest + rate_ * (now.highest - current_.highest)};
    }

  private:
    float rate_;
    interval current_{};
    bool has_seen_ = false;
};
static_assert(value_range_estimator<moving_average_range>);

}  // namespace qtk
