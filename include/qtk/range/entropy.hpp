// SPDX-License-Identifier: Apache-2.0
//
// How wide is the tile if its distribution should look the same after quantization? The threshold
// whose quantized histogram has the least Kullback-Leibler divergence from the clipped one (Migacz,
// "8-bit inference with TensorRT", GTC 2017, as calibrators implement it):
//
//   histogram of |x|, bin 0 set to bin 1; for i = start..bins
//     P = bins [0, i) with everything beyond added to bin i - 1
//     Q = bins [0, i) in 2^(B-1) equal cells, a cell's mass spread evenly over its filled bins
//     KL = sum P ln(P / Q), both normalized; the last i with the least KL wins
#pragma once

#include <qtk/core/concepts.hpp>
#include <qtk/core/error.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <span>
#include <string>
#include <vector>

namespace qtk {

struct entropy_range {
    int bins = 2048;  ///< At least 1.
    int start = 128;  ///< The smallest threshold tried, in bins; at least 1.

    /// Symmetric, or [0, t] where no value is negative, which leaves 2^B cells. B is the width of
    /// the quantizer's codes, 8 if it has no format. For activations and long tiles: the histogram
    /// of a few hundred values says little, that of a constant keeps it. Throws value_error for
    /// counts below 1.
    template <quantizer Q>
    [[nodiscard]] interval estimate(std::span<float const> tile, Q const& q) const {
        require_counts();
        float largest = 0.0f;
        bool has_negative = false;
        for (float const x : tile) {
            largest = std::max(largest, std::fabs(x));
            has_negative = has_negative || x < 0.0f;
        }
        if (!(largest > 0.0f)) return {};
        int bits = 8;
        if constexpr (requires { q.element.bits; }) bits = q.element.bits;
        double const width = width_of(largest);
        return of_counts(histogram(tile, width), width, has_negative, bits);
    }

    /// Throws value_error for counts below 1.
    void require_counts() const {
        if (bins < 1 || start < 1)
            throw value_error("entropy_range: bins and start count at least 1 bin, found " +
                              std::to_string(bins) + " and " + std::to_string(start));
    }
    /// The width of a bin, in double: a float would lose it where the values are subnormal.
    [[nodiscard]] double width_of(float largest) const noexcept {
        return static_cast<double>(largest) / bins;
    }
    /// The interval for how often each bin of |x| was seen; the last bin holds what lies beyond.
    [[nodiscard]] interval of_counts(std::vector<double> count, double width, bool has_negative,
                                     int bits) const {
        if (count.size() > 1) count[0] = count[1];  // exact zeros say nothing about the spread
        std::size_t const cells = std::size_t{1} << (has_negative ? bits - 1 : bits);
        auto const threshold =
            static_cast<float>(width * static_cast<double>(best_bin(count, cells)));
        return {has_negative ? -threshold : 0.0f, threshold};
    }

  private:
    [[nodiscard]] std::vector<double> histogram(std::span<float const> tile, double width) const {
        std::vector<double> count(static_cast<std::size_t>(bins));
        for (float const x : tile) {
            auto const bin = static_cast<std::size_t>(static_cast<double>(std::fabs(x)) / width);
            count[std::min(bin, count.size() - 1)] += 1.0;
        }
        return count;
    }

    [[nodiscard]] std::size_t best_bin(std::vector<double> const& count, std::size_t cells) const {
        std::size_t best = count.size();
        double least = std::numeric_limits<double>::infinity();
        for (std::size_t i = std::min(static_cast<std::size_t>(start), count.size());
             i <= count.size(); ++i) {
            double const divergence = divergence_at(count, i, cells);
            if (divergence <= least) {
                least = divergence;
                best = i;
            }
        }
        return best;
    }

    /// KL of the histogram clipped at bin i against its quantized form.
    [[nodiscard]] static double divergence_at(std::vector<double> const& count, std::size_t i,
                                              std::size_t cells) {
        double tail = 0.0, inside = 0.0;
        for (std::size_t k = 0; k < count.size(); ++k) (k < i ? inside : tail) += count[k];
        double const total_p = inside + tail;
        double sum = 0.0;
        for (std::size_t cell = 0; cell < cells; ++cell) {
            std::size_t const first = cell * i / cells, last = (cell + 1) * i / cells;
            double mass = 0.0, filled = 0.0;
            for (std::size_t k = first; k < last; ++k) {
                mass += count[k];
                filled += count[k] > 0.0 ? 1.0 : 0.0;
            }
            for (std::size_t k = first; k < last; ++k) {
                double const p = (count[k] + (k + 1 == i ? tail : 0.0)) / total_p;
                if (p == 0.0) continue;
                // The folded tail may fall on an empty bin, which Q gives no mass: infinitely far.
                if (count[k] == 0.0) return std::numeric_limits<double>::infinity();
                sum += p * std::log(p / (mass / filled / inside));
            }
        }
        return sum;
    }
};
static_assert(fitted_range_estimator<entropy_range>);

}  // namespace qtk
