// SPDX-License-Identifier: Apache-2.0
//
// Which scale and zero of a tile cost least, if the cost of an error is the method's choice? The steps
// that such searches are made of: the cost of parameters, and the best scale (and zero) for the codes
// that parameters give, by weighted least squares.
//
//   scale         s = sum w t l / sum w l^2                       l = level - zero of every code
//   scale, zero   s, m = argmin sum w (s level + m - t)^2, then zero = -m / s, a whole number
//
// t are the values, or whatever stands for them in an alternation.
#pragma once

#include <qtk/core/concepts.hpp>
#include <qtk/quantizer/any_quantizer.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <limits>
#include <optional>
#include <span>

namespace qtk::detail {

/// Parameters and what they cost.
struct costed_params {
    tile_params p;
    double cost = std::numeric_limits<double>::infinity();

    /// Takes what is cheaper; says whether it was.
    bool improve(costed_params const& other) noexcept {
        if (!(other.cost < cost)) return false;
        *this = other;
        return true;
    }
};

/// sum of cost(i, x_i - x'_i); stops once it has passed `enough`.
template <typename Cost>
[[nodiscard]] costed_params cost_of(any_quantizer const& q, std::span<float const> x, tile_params p,
                                    Cost const& cost,
                                    double enough = std::numeric_limits<double>::infinity()) {
    double sum = 0.0;
    for (std::size_t i = 0; i < x.size() && sum < enough; ++i)
        sum += cost(i, static_cast<double>(x[i]) - static_cast<double>(q.round_trip(x[i], p)));
    return {p, sum};
}

/// The level of the code of x, less the zero: what the scale multiplies.
[[nodiscard]] inline double level_of(any_quantizer const& q, float x, tile_params p) noexcept {
    return static_cast<double>(q.decode(q.encode(x, p), {1.0f, p.zero}));
}

/// The storable scale that is best for the codes of x under p, where value i should be target(i) and
/// counts weight(i); nothing if all codes are zero.
template <typename Weight, typename Target>
[[nodiscard]] std::optional<tile_params> rescaled(any_quantizer const& q, std::span<float const> x,
                                                  tile_params p, Weight const& weight,
                                                  Target const& target) {
    double with_target = 0.0, with_level = 0.0;
    for (std::size_t i = 0; i < x.size(); ++i) {
        double const level = level_of(q, x[i], p), weighted = weight(i) * level;
        with_target += weighted * target(i);
        with_level += weighted * level;
    }
    double const scale = with_level > 0.0 ? with_target / with_level : 0.0;
    if (!(scale > 0.0) || !(scale < static_cast<double>(std::numeric_limits<float>::max())))
        return std::nullopt;
    return tile_params{q.stored_scale(static_cast<float>(scale)), p.zero};
}

/// The two whole zeros around `zero`, within the fields.
[[nodiscard]] inline std::array<int, 2> whole_zeros(any_quantizer const& q, double zero) noexcept {
    double const low = std::clamp(std::floor(zero), 0.0, static_cast<double>(q.highest_field()));
    double const high = std::min(low + 1.0, static_cast<double>(q.highest_field()));
    return {static_cast<int>(low), static_cast<int>(high)};
}

/// The same with a zero that is free: both whole numbers next to the best one, each with the scale that
/// the line through it has. Of schemes with a zero point.
template <typename Weight>
[[nodiscard]] std::array<tile_params, 2> refitted_lines(any_quantizer const& q,
                                                        std::span<float const> x, tile_params p,
                                                        Weight const& weight) {
    double sum_w = 0.0, sum_x = 0.0, sum_l = 0.0, sum_ll = 0.0, sum_xl = 0.0;
    for (std::size_t i = 0; i < x.size(); ++i) {
        double const w = weight(i), level = level_of(q, x[i], p) + p.zero,
                     value = static_cast<double>(x[i]);
        sum_w += w;
        sum_x += w * value;
        sum_l += w * level;
        sum_ll += w * level * level;
        sum_xl += w * value * level;
    }
    double const determinant = sum_w * sum_ll - sum_l * sum_l;
    double const scale = determinant > 0.0 ? (sum_w * sum_xl - sum_x * sum_l) / determinant : 0.0;
    if (!(scale > 0.0) || !(scale < static_cast<double>(std::numeric_limits<float>::max())))
        return {p, p};
    double const low = (sum_ll * sum_x - sum_l * sum_xl) / determinant;
    float const stored = q.stored_scale(static_cast<float>(scale));
    auto const zeros = whole_zeros(q, -low / static_cast<double>(stored));
    return {tile_params{stored, zeros[0]}, tile_params{stored, zeros[1]}};
}

}  // namespace qtk::detail
