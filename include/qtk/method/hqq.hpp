// SPDX-License-Identifier: Apache-2.0
//
// What if large errors are forgiven, so that the many small ones become smaller? Half-quadratic
// quantization (Badri, Shaji 2023, "Half-Quadratic Quantization of Large Machine Learning Models"),
// without data: for each tile the zero z that makes sum |w - w'|^p small, p < 1, by turns
//
//   E = shrink(W - W', beta),   z = mean(codes - (W - E) / s),   beta = growth beta
//   shrink(x, beta) = sign(x) max(|x| - |x|^(p - 1) / beta, 0)          the proximal step of |x|^p
//
// until the mean of |W - W'| no longer falls.
//
// Differs from the paper:
// - a zero point is a whole number here, the paper's is a float: both whole numbers next to the z that
//   was found are tried, with a scale that makes up for the difference;
// - hence the scale moves too: s = sum (W - E) l / sum l^2 for the levels l, the same half-quadratic step
//   for the other parameter. Schemes without a zero point have this step alone;
// - errors are measured in steps of the tile: beta has the same effect for weights of every size;
// - the interval contains zero, as that of every asymmetric scheme here;
// - what is kept is the best by sum |w - w'|^p, round to nearest among the candidates: never worse.
#pragma once

#include <qtk/core/abi.hpp>
#include <qtk/core/error.hpp>
#include <qtk/format/round.hpp>
#include <qtk/method/tile_method.hpp>
#include <qtk/method/tile_search.hpp>
#include <qtk/quantize.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <span>
#include <string>

namespace qtk {

/// The proximal step of |x|^norm with weight 1 / beta; 0 for 0.
[[nodiscard]] inline float hqq_shrink(float x, float norm, float beta) noexcept {
    float const size = std::fabs(x);
    if (!(size > 0.0f)) return 0.0f;
    return std::copysign(std::max(size - std::pow(size, norm - 1.0f) / beta, 0.0f), x);
}

struct hqq {
    struct options {
        float norm = 0.7f;     ///< p, above 0 and at most 1
        float beta = 10.0f;    ///< of the first turn, above 0; errors are in steps
        float growth = 1.01f;  ///< of beta from turn to turn, at least 1
        int turns = 20;        ///< at most, of each alternation
    };
    options how = {};

    /// Throws value_error for an option out of its range, and like round to nearest.
    [[nodiscard]] any_qmatrix quantize(scheme const& s, matrix_view<float const> w,
                                       quantize_options const& quantizing = {}) const {
        require();
        return quantize_tiles(s, w, quantizing, [&](any_quantizer const& q, tile_values const& t) {
            return fit(q, t.values);
        });
    }

  private:
    void require() const {
        auto const refuse = [](char const* what, float found) {
            throw value_error("hqq: expected " + std::string(what) + ", found " +
                              std::to_string(found));
        };
        if (!(how.norm > 0.0f && how.norm <= 1.0f)) refuse("a norm in (0, 1]", how.norm);
        if (!(how.beta > 0.0f)) refuse("a beta above 0", how.beta);
        if (!(how.growth >= 1.0f)) refuse("a growth of 1 or more", how.growth);
        if (how.turns < 0) refuse("0 turns or more", static_cast<float>(how.turns));
    }

    [[nodiscard]] double shrink(double error, double step, float beta) const noexcept {
        return step *
               static_cast<double>(hqq_shrink(static_cast<float>(error / step), how.norm, beta));
    }

    /// The paper's alternation: the scale stays, the zero is a float.
    [[nodiscard]] double best_zero(any_quantizer const& q, std::span<float const> x,
                                   tile_params start) const {
        double const step = static_cast<double>(start.scale),
                     top = static_cast<double>(q.highest_field());
        float beta = how.beta;
        double zero = start.zero, best = zero;
        double least = std::numeric_limits<double>::infinity();
        for (int turn = 0; turn < how.turns; ++turn, beta *= how.growth) {
            double error_sum = 0.0, zero_sum = 0.0;
            for (float const value : x) {
                double const v = static_cast<double>(value);
                double const code = std::clamp(std::nearbyint(v / step + zero), 0.0, top);
                double const error = v - step * (code - zero);
                error_sum += std::fabs(error);
                zero_sum += code - (v - shrink(error, step, beta)) / step;
            }
            if (!(error_sum < least)) break;
            least = error_sum;
            best = zero;
            zero = zero_sum / static_cast<double>(x.size());
        }
        return best;
    }

    /// The alternation for the scale, from `start`, with the zero as it is.
    [[nodiscard]] detail::costed_params best_scale(any_quantizer const& q, std::span<float const> x,
                                                   tile_params start) const {
        auto const cost = [&](std::size_t, double error) {
            return static_cast<double>(std::pow(static_cast<float>(std::fabs(error)), how.norm));
        };
        auto best = detail::cost_of(q, x, start, cost);
        tile_params p = start;
        float beta = how.beta;
        for (int turn = 0; turn < how.turns; ++turn, beta *= how.growth) {
            auto const target = [&](std::size_t i) {
                double const v = static_cast<double>(x[i]);
                double const error = v - static_cast<double>(q.round_trip(x[i], p));
                return v - shrink(error, static_cast<double>(p.scale), beta);
            };
            auto const next = detail::rescaled(
                q, x, p, [](std::size_t) { return 1.0; }, target);
            if (!next || !best.improve(detail::cost_of(q, x, *next, cost))) break;
            p = *next;
        }
        return best;
    }

    [[nodiscard]] tile_params fit(any_quantizer const& q, std::span<float const> x) const {
        tile_params const start = q.fit(minmax_range{}.estimate(x));
        if (is_nonfinite(start.scale)) return start;
        detail::costed_params best = best_scale(q, x, start);
        if (q.has_zero_point)
            for (int const zero : detail::whole_zeros(q, best_zero(q, x, start)))
                best.improve(best_scale(q, x, {start.scale, zero}));
        return best.p;
    }
};
static_assert(weight_method<hqq>);

}  // namespace qtk
