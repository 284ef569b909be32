// SPDX-License-Identifier: Apache-2.0
//
// Do two models that saw the same images differ in how many they get right, or is it luck? Only the
// images on which they disagree can say: b that the first alone gets right, c that the second alone gets
// right. If neither is better, each of these n = b + c is a toss of a coin (McNemar 1947, exact form):
//
//   p = min(1, 2 P(X <= min(b, c))),   X binomial of n tosses with 1/2
#pragma once

#include <qtk/core/error.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace qtk {

/// The pairs on which two models disagree, and the two-sided probability of a split at least this uneven
/// by chance.
struct mcnemar_result {
    std::size_t first_only = 0, second_only = 0;
    double p = 1.0;

    [[nodiscard]] std::size_t discordant() const noexcept { return first_only + second_only; }
};

/// From the two counts. Exact for any number of pairs, but for rounding: relative error about 1e-16 n log n,
/// from the logarithms of gamma.
[[nodiscard]] inline mcnemar_result mcnemar(std::size_t first_only, std::size_t second_only) {
    mcnemar_result result{first_only, second_only};
    auto const n = static_cast<double>(first_only) + static_cast<double>(second_only);
    std::size_t const fewer = std::min(first_only, second_only);
    // From the largest term downwards: each is the one above it times i / (n - i + 1).
    double sum = 0.0, term = 1.0;
    for (std::size_t i = fewer; term > 0.0; --i) {
        double const before = sum;
        sum += term;
        if (i == 0 || sum == before) break;
        auto const x = static_cast<double>(i);
        term *= x / (n - x + 1.0);
    }
    auto const least = static_cast<double>(fewer);
    double const log_largest = std::lgamma(n + 1.0) - std::lgamma(least + 1.0) -
                               std::lgamma(n - least + 1.0) - n * std::log(2.0);
    result.p = std::min(1.0, 2.0 * std::exp(log_largest) * sum);
    return result;
}

/// From what each model got right, image by image. Throws shape_error where these are not the same
/// images: as many of one as of the other.
[[nodiscard]] inline mcnemar_result mcnemar(std::span<std::uint8_t const> first_is_right,
                                            std::span<std::uint8_t const> second_is_right) {
    if (first_is_right.size() != second_is_right.size())
        throw shape_error("McNemar's test: " + std::to_string(first_is_right.size()) +
                          " answers against " + std::to_string(second_is_right.size()) +
                          "; both must be to the same images");
    std::size_t first_only = 0, second_only = 0;
    for (std::size_t i = 0; i < first_is_right.size(); ++i) {
        bool const a = first_is_right[i] != 0, b = second_is_right[i] != 0;
        first_only += a && !b ? 1u : 0u;
        second_only += b && !a ? 1u : 0u;
    }
    return mcnemar(first_only, second_only);
}

}  // namespace qtk
