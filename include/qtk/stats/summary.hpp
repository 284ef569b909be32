// SPDX-License-Identifier: Apache-2.0
//
// What do these numbers come to? Sums that keep their digits, and the few figures that stand for a
// sample. An empty sample is an error, never a zero.
#pragma once

#include <qtk/core/error.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace qtk {

/// A running sum with its rounding errors kept beside it (Neumaier 1974): the error of the result
/// does not grow with the number of terms.
class compensated_sum {
  public:
    constexpr compensated_sum& operator+=(double term) noexcept {
        double const next = sum_ + term;
        bool const is_larger = (sum_ < 0 ? -sum_ : sum_) >= (term < 0 ? -term : term);
        lost_ += is_larger ? (sum_ - next) + term : (term - next) + sum_;
        sum_ = next;
        return *this;
    }
    /// The sum; infinities and NaN come out as in plain addition.
    [[nodiscard]] constexpr double value() const noexcept {
        return sum_ - sum_ == 0.0 ? sum_ + lost_ : sum_;
    }

  private:
    double sum_ = 0.0, lost_ = 0.0;
};

namespace detail {
inline void require_sample(std::span<double const> values, std::size_t least, char const* figure) {
    if (values.size() < least)
        throw value_error(std::string("stats: the ") + figure + " needs at least " +
                          std::to_string(least) + " value(s), found " +
                          std::to_string(values.size()));
}
}  // namespace detail

[[nodiscard]] constexpr double sum(std::span<double const> values) noexcept {
    compensated_sum total;
    for (double const value : values) total += value;
    return total.value();
}

/// The arithmetic mean of at least one value.
[[nodiscard]] inline double mean(std::span<double const> values) {
    detail::require_sample(values, 1, "mean");
    return sum(values) / static_cast<double>(values.size());
}

/// The unbiased sample variance (divisor n - 1) of at least two values, in two passes.
[[nodiscard]] inline double variance(std::span<double const> values) {
    detail::require_sample(values, 2, "variance");
    double const center = mean(values);
    compensated_sum squares;
    for (double const value : values) squares += (value - center) * (value - center);
    return squares.value() / static_cast<double>(values.size() - 1);
}

/// The root of `variance`.
[[nodiscard]] inline double standard_deviation(std::span<double const> values) {
    return std::sqrt(variance(values));
}

/// exp(mean(log)) of at least one value; value_error with the index of one that is not positive.
[[nodiscard]] inline double geometric_mean(std::span<double const> values) {
    detail::require_sample(values, 1, "geometric mean");
    compensated_sum logs;
    for (std::size_t i = 0; i < values.size(); ++i) {
        if (!(values[i] > 0.0))
            throw value_error("stats: the geometric mean needs positive values, found " +
                              std::to_string(values[i]) + " at index " + std::to_string(i));
        logs += std::log(values[i]);
    }
    return std::exp(logs.value() / static_cast<double>(values.size()));
}

/// The quantile of values already in ascending order, p in [0, 1]: linear between the order
/// statistics around (n - 1) p (type 7 of Hyndman and Fan 1996, the default of NumPy and R).
[[nodiscard]] inline double sorted_quantile(std::span<double const> ascending, double p) {
    detail::require_sample(ascending, 1, "quantile");
    if (!(p >= 0.0 && p <= 1.0))
        throw value_error("stats: a quantile lies between 0 and 1, found " + std::to_string(p));
    double const position = p * static_cast<double>(ascending.size() - 1);
    auto const below = static_cast<std::size_t>(position);
    double const between = position - static_cast<double>(below);
    // Not interpolated between equals or onto a point: two infinities have no middle.
    if (between == 0.0 || ascending[below] == ascending[below + 1]) return ascending[below];
    return std::lerp(ascending[below], ascending[below + 1], between);
}

/// The same for values in any order (sorts a copy); nonfinite_error on NaN, which has no place in
/// an order.
[[nodiscard]] inline double quantile(std::span<double const> values, double p) {
    auto const is_nan = [](double value) { return std::isnan(value); };
    if (auto const first = std::find_if(values.begin(), values.end(), is_nan);
        first != values.end()) {
        auto const at = static_cast<std::size_t>(first - values.begin());
        auto const count =
            static_cast<std::size_t>(std::count_if(values.begin(), values.end(), is_nan));
        throw nonfinite_error("stats: the quantile of " + std::to_string(values.size()) +
                                  " values with " + std::to_string(count) +
                                  " NaN, the first at index " + std::to_string(at),
                              count, at);
    }
    std::vector<double> ascending(values.begin(), values.end());
    std::sort(ascending.begin(), ascending.end());
    return sorted_quantile(ascending, p);
}

[[nodiscard]] inline double median(std::span<double const> values) {
    return quantile(values, 0.5);
}

}  // namespace qtk
