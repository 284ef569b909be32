// SPDX-License-Identifier: Apache-2.0
//
// How long did it take? Where one thread computes, its processor time, in which the slices that
// the system gave to neighbours do not count; where several do, the time on the wall.
#pragma once

#include <time.h>

#include <algorithm>
#include <cstddef>
#include <vector>

namespace qtk_bench {

class stopwatch {
  public:
    explicit stopwatch(int threads)
        : clock_(threads == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC), start_(now()) {}
    [[nodiscard]] double seconds() const { return now() - start_; }

  private:
    [[nodiscard]] double now() const {
        timespec t{};
        clock_gettime(clock_, &t);
        return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
    }

    clockid_t clock_;
    double start_;
};

/// The middle one, which a burst of a neighbour does not move; samples are not empty.
[[nodiscard]] inline double median(std::vector<double> samples) {
    auto const middle = samples.begin() + static_cast<std::ptrdiff_t>(samples.size() / 2);
    std::nth_element(samples.begin(), middle, samples.end());
    return *middle;
}

}  // namespace qtk_bench
