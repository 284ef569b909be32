// SPDX-License-Identifier: Apache-2.0
//
// How wide are activations that change from batch to batch? The ends of the interval follow those
// of each observed tile: m <- m + rate (current - m), Jacob et al. 2018, section 3. The first tile
// sets them.
#pragma once

#include <qtk/core/concepts.hpp>
#include <qtk/core/error.hpp>
#include <qtk/range/minmax.hpp>

#include <span>
#include <string>

namespace qtk {

class moving_average_range {
  public:
    /// `rate` in (0, 1]: the weight of the newest tile. Throws value_error for any other.
    explicit constexpr moving_average_range(float rate = 0.01f) : rate_(rate) {
        if (!(rate > 0.0f && rate <= 1.0f))
            throw value_error("moving_average_range: the rate is a share in (0, 1], found " +
                              std::to_string(rate));
    }

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
        return {moved(current_.lowest, now.lowest), moved(current_.highest, now.highest)};
    }

  private:
    /// In double: the difference of two floats may not fit into one.
    [[nodiscard]] float moved(float from, float to) const noexcept {
        double const difference = static_cast<double>(to) - static_cast<double>(from);
        return static_cast<float>(static_cast<double>(from) +
                                  static_cast<double>(rate_) * difference);
    }

    float rate_;
    interval current_{};
    bool has_seen_ = false;
};
static_assert(value_range_estimator<moving_average_range>);

}  // namespace qtk
