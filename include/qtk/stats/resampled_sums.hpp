// SPDX-License-Identifier: Apache-2.0
//
// How sure are many figures of the same windows or passages? The draws of a stratified bootstrap made once: every
// figure that is computed from sums over a stratum (a loss of a language, a ratio of two, a gap between the
// worst and the best of many) is paired with every other, because each resample r is the same draw for
// all. The draws are those of bootstrap.hpp for the same seed.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/stats/bootstrap.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace qtk {

/// A figure of the whole sample and of each resample.
struct resampled_figure {
    double value = 0.0;
    std::vector<double> resamples;

    /// The percentile interval.
    [[nodiscard]] interval_estimate interval(double level = 0.95) const {
        std::vector<double> sorted = resamples;
        return detail::middle_of(value, sorted, level);
    }
    /// How often chance alone would put the figure on the other side of 0, one-sided: (1 + k) / (1 + n), where
    /// k of n resamples are at or below 0. Never 0 (Davison and Hinkley 1997, section 4.2).
    [[nodiscard]] double p_above_zero() const noexcept {
        std::size_t below = 0;
        for (double const v : resamples) below += v > 0.0 ? 0 : 1;
        return static_cast<double>(1 + below) / static_cast<double>(1 + resamples.size());
    }
};

/// Sums of the strata: of all values, and of each resample.
struct resampled_sums {
    std::vector<double> whole;                   ///< [strata]
    std::vector<std::vector<double>> resamples;  ///< [resamples][strata]
};

class resampling {
  public:
    /// `sizes` are the numbers of values in each stratum. Throws like stratified_bootstrap().
    explicit resampling(std::vector<std::size_t> sizes, bootstrap_options const& how = {})
        : sizes_(std::move(sizes)) {
        std::vector<std::vector<double>> strata;
        for (std::size_t const size : sizes_) strata.emplace_back(size), values_ += size;
        detail::require_bootstrap(strata, how);
        times_.resize(how.resamples * values_);
        std::vector<std::size_t> first;
        std::size_t at = 0;
        for (std::size_t const size : sizes_) first.push_back(std::exchange(at, at + size));
        for (std::size_t r = 0; r < how.resamples; ++r)
            detail::draw_windows(strata, how.seed, r,
                                 [&](std::size_t s, std::size_t, std::size_t from) {
                                     ++times_[r * values_ + first[s] + from];
                                 });
    }

    /// Throws shape_error for strata of other sizes.
    [[nodiscard]] resampled_sums sums(strata_view values) const {
        if (values.size() != sizes_.size())
            throw shape_error("resampling: expected " + std::to_string(sizes_.size()) +
                              " strata, found " + std::to_string(values.size()));
        resampled_sums result{std::vector<double>(sizes_.size()), {}};
        for (std::size_t s = 0; s < sizes_.size(); ++s) {
            if (values[s].size() != sizes_[s])
                throw shape_error("resampling: expected " + std::to_string(sizes_[s]) +
                                  " values in stratum " + std::to_string(s) + ", found " +
                                  std::to_string(values[s].size()));
            for (double const v : values[s]) result.whole[s] += v;
        }
        std::uint16_t const* times = times_.data();
        while (times != times_.data() + times_.size()) {
            std::vector<double> drawn(sizes_.size());
            for (std::size_t s = 0; s < sizes_.size(); ++s)
                for (double const v : values[s]) drawn[s] += v * static_cast<double>(*times++);
            result.resamples.push_back(std::move(drawn));
        }
        return result;
    }

  private:
    std::vector<std::size_t> sizes_;
    std::size_t values_ = 0;
    std::vector<std::uint16_t> times_;  ///< [resamples][values]: how often each was drawn
};

}  // namespace qtk
