// SPDX-License-Identifier: Apache-2.0
//
// How large should a step be, if training decides? Learned Step Size Quantization (Esser et al. 2020)
// trains the step s together with the weights v. With u = v / s and the levels -Qn..Qp (equations 1-3, 5):
//
//   v' = s round(clamp(u, -Qn, Qp))
//   dv'/ds = round(u) - u where -Qn < u < Qp,  -Qn where u <= -Qn,  Qp where u >= Qp
//   dv'/dv = 1 where -Qn < u < Qp,  else 0
//   dL/ds is multiplied by g = 1 / sqrt(N Qp);  s starts at 2 mean|v| / sqrt(Qp)
//
// N counts the values that share the step. Differs from the paper: a step may belong to a row (then N
// is the length of a row). Rounding is half to even, as in the codes that are exported. Beside it stands
// what it is compared with: the plain straight-through estimator, whose step follows the extremes.
#pragma once

#include <qtk/core/concepts.hpp>
#include <qtk/core/error.hpp>
#include <qtk/core/matrix.hpp>
#include <qtk/core/matrix_view.hpp>
#include <qtk/core/nonfinite.hpp>
#include <qtk/core/scheme.hpp>
#include <qtk/core/spelling.hpp>
#include <qtk/format/levels.hpp>
#include <qtk/format/qmatrix.hpp>
#include <qtk/format/round.hpp>
#include <qtk/format/scale.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace qtk {

/// The codes that a value may become: whole numbers from -below to above.
struct lsq_levels {
    float below = 128.0f, above = 127.0f;  ///< Qn and Qp.
    friend constexpr bool operator==(lsq_levels const&, lsq_levels const&) = default;
};

/// All codes of an integer format: -2^(B-1)..2^(B-1)-1 (weights) or 0..2^B-1 (what a ReLU gives). Throws
/// value_error for other formats.
[[nodiscard]] constexpr lsq_levels lsq_levels_of(format const& element) {
    if (!is_known(element) || !element.is_integer())
        throw value_error("lsq: the step of an integer format is learned: use i2..i8 or u2..u8");
    int const offset = field_offset(element);
    return {static_cast<float>(offset), static_cast<float>(element.patterns() - 1 - offset)};
}

/// v', the value that quantization leaves of v.
[[nodiscard]] constexpr float lsq_value(float v, float step, lsq_levels q) noexcept {
    return round_half_even(std::clamp(v / step, -q.below, q.above)) * step;
}
/// dv'/ds (equation 3). It is no difference quotient of lsq_value: rounding is passed through.
[[nodiscard]] constexpr float lsq_step_slope(float v, float step, lsq_levels q) noexcept {
    float const u = v / step;
    if (u <= -q.below) return -q.below;
    return u >= q.above ? q.above : round_half_even(u) - u;
}
/// dv'/dv (equation 5).
[[nodiscard]] constexpr float lsq_value_slope(float v, float step, lsq_levels q) noexcept {
    float const u = v / step;
    return -q.below < u && u < q.above ? 1.0f : 0.0f;
}
/// g for `count` values that share a step.
[[nodiscard]] inline float lsq_gradient_scale(std::size_t count, lsq_levels q) noexcept {
    double const product = static_cast<double>(count) * static_cast<double>(q.above);
    return product > 0.0 ? static_cast<float>(1.0 / std::sqrt(product)) : 0.0f;
}

namespace detail {

/// Which rows share a step: none with another (as many steps as rows), or all (one step).
[[nodiscard]] inline std::size_t rows_of_step(matrix_view<float const> v, std::size_t steps,
                                              char const* who) {
    if (steps != 1 && steps != v.rows)
        throw shape_error(std::string(who) + ": " + std::to_string(steps) + " steps for [" +
                          std::to_string(v.rows) + ", " + std::to_string(v.cols) +
                          "]; expected one, or one for each row");
    return steps == v.rows ? 1 : v.rows;
}
/// The same for steps that must be numbers above zero.
[[nodiscard]] inline std::size_t rows_of_step(matrix_view<float const> v,
                                              std::span<float const> steps, char const* who) {
    for (std::size_t i = 0; i < steps.size(); ++i)
        if (!(steps[i] > 0.0f) || !std::isfinite(steps[i]))
            throw value_error(std::string(who) + ": step " + std::to_string(i) + " is " +
                              std::to_string(steps[i]) +
                              "; expected a finite number above zero. Hint: a lower learning rate");
    return rows_of_step(v, steps.size(), who);
}
inline void require_same_shape(matrix_view<float const> v, matrix_view<float const> other,
                               char const* who) {
    if (v.rows != other.rows || v.cols != other.cols)
        throw shape_error(std::string(who) + ": the values are [" + std::to_string(v.rows) + ", " +
                          std::to_string(v.cols) + "], the other matrix is [" +
                          std::to_string(other.rows) + ", " + std::to_string(other.cols) + "]");
}
/// One step from all values of each `height` rows.
template <typename Rule>
[[nodiscard]] std::vector<float> steps_by(matrix_view<float const> v, std::size_t count,
                                          char const* who, Rule const& rule) {
    std::size_t const height = rows_of_step(v, count, who);
    std::vector<float> steps(count, 1.0f), values;
    for (std::size_t i = 0; i < count; ++i) {
        values.clear();
        for (std::size_t r = i * height; r < std::min(v.rows, (i + 1) * height); ++r)
            values.insert(values.end(), v.row(r).begin(), v.row(r).end());
        float const step = rule(std::span<float const>(values));
        if (std::isnan(step) || std::isinf(step))
            throw value_error(std::string(who) + ": the values of step " + std::to_string(i) +
                              " are not finite");
        if (step > 0.0f) steps[i] = step;
    }
    return steps;
}

}  // namespace detail

/// Where the `count` steps of v, [rows, cols], start: 2 mean|v| / sqrt(Qp). Values that are all zero
/// have step 1. Throws shape_error unless count is 1 or the rows, value_error for NaN and infinity.
[[nodiscard]] inline std::vector<float> lsq_start(matrix_view<float const> v, std::size_t count,
                                                  lsq_levels q) {
    return detail::steps_by(v, count, "lsq_start", [&](std::span<float const> values) {
        double sum = 0.0;
        for (float const x : values) sum += std::fabs(static_cast<double>(x));
        double const mean = values.empty() ? 0.0 : sum / static_cast<double>(values.size());
        return static_cast<float>(2.0 * mean / std::sqrt(static_cast<double>(q.above)));
    });
}
/// The steps of the plain estimator: the least that clips nothing. Throws like lsq_start.
[[nodiscard]] inline std::vector<float> ste_steps(matrix_view<float const> v, std::size_t count,
                                                  lsq_levels q) {
    return detail::steps_by(v, count, "ste_steps", [&](std::span<float const> values) {
        float step = 0.0f;
        for (float const x : values) {
            // Unsigned codes have nothing below zero: what lies there becomes zero.
            float const needed = x < 0.0f ? (q.below > 0.0f ? -x / q.below : 0.0f) : x / q.above;
            if (!(needed <= step)) step = needed;  // true of NaN, too
            if (std::isnan(step)) break;
        }
        return step;
    });
}

/// Writes v' to `out`, both [rows, cols], which may be the same memory. Throws shape_error, and
/// value_error for a step that is no number above zero.
inline void lsq_forward(matrix_view<float const> v, std::span<float const> steps, lsq_levels q,
                        matrix_view<float> out) {
    detail::require_same_shape(v, out, "lsq_forward");
    std::size_t const height = detail::rows_of_step(v, steps, "lsq_forward");
    for (std::size_t r = 0; r < v.rows; ++r) {
        auto const from = v.row(r);
        auto const to = out.row(r);
        for (std::size_t c = 0; c < v.cols; ++c) to[c] = lsq_value(from[c], steps[r / height], q);
    }
}

struct lsq_gradients {
    matrix values;             ///< dL/dv, [rows, cols].
    std::vector<float> steps;  ///< dL/ds times g.
};

/// What dL/dv' = `by_output`, [rows, cols], becomes. Throws like lsq_forward.
[[nodiscard]] inline lsq_gradients lsq_backward(matrix_view<float const> v,
                                                std::span<float const> steps, lsq_levels q,
                                                matrix_view<float const> by_output) {
    detail::require_same_shape(v, by_output, "lsq_backward");
    std::size_t const height = detail::rows_of_step(v, steps, "lsq_backward");
    lsq_gradients result{matrix(v.rows, v.cols), std::vector<float>(steps.size())};
    std::vector<double> sums(steps.size());
    for (std::size_t r = 0; r < v.rows; ++r) {
        auto const from = v.row(r), g = by_output.row(r);
        auto const to = result.values.view().row(r);
        float const step = steps[r / height];
        double sum = 0.0;
        for (std::size_t c = 0; c < v.cols; ++c) {
            to[c] = g[c] * lsq_value_slope(from[c], step, q);
            sum +=
                static_cast<double>(g[c]) * static_cast<double>(lsq_step_slope(from[c], step, q));
        }
        sums[r / height] += sum;
    }
    double const g = static_cast<double>(lsq_gradient_scale(height * v.cols, q));
    for (std::size_t i = 0; i < sums.size(); ++i) result.steps[i] = static_cast<float>(g * sums[i]);
    return result;
}
/// The same by the plain estimator (Bengio et al. 2013): dv'/dv = 1 everywhere, steps do not learn.
[[nodiscard]] inline lsq_gradients ste_backward(matrix_view<float const> v,
                                                std::span<float const> steps, lsq_levels,
                                                matrix_view<float const> by_output) {
    detail::require_same_shape(v, by_output, "ste_backward");
    (void)detail::rows_of_step(v, steps, "ste_backward");
    lsq_gradients result{matrix(v.rows, v.cols), std::vector<float>(steps.size())};
    for (std::size_t r = 0; r < v.rows; ++r)
        std::ranges::copy(by_output.row(r), result.values.view().row(r).begin());
    return result;
}

/// The scheme that holds what lsq_forward gives: symmetric if the format is signed; an unsigned one has
/// the zero point 0. Throws value_error for a format that is no integer.
[[nodiscard]] constexpr scheme lsq_scheme(format const& element, granularity grain) {
    bool const is_signed = lsq_levels_of(element).below > 0.0f;
    return {
        .element = element, .grain = grain, .zero = is_signed ? origin::fixed : origin::floating};
}

/// Trained weights and steps as codes with the scales `steps`; decoding gives bit for bit what
/// lsq_forward gave. `s` is lsq_scheme of per_tensor or per_channel, also with narrow scales if they
/// hold the steps exactly. Signed codes use the lowest field, which round to nearest leaves unused.
/// Throws value_error for another scheme, a step that its scales cannot hold, NaN and infinity.
[[nodiscard]] inline any_qmatrix lsq_export(scheme const& s, matrix_view<float const> v,
                                            std::span<float const> steps) {
    lsq_levels const q = lsq_levels_of(s.element);
    scheme expected = lsq_scheme(s.element, s.grain);
    expected.scale = s.scale;
    bool const has_steps = s.grain == per_tensor || s.grain == per_channel;
    if (s != expected || !has_steps || s.scale == scale_type::e4m3)
        throw value_error("lsq_export: the scheme " + to_string(s) +
                          " is not what was trained; expected lsq_scheme(element, per_tensor or "
                          "per_channel)");
    any_qmatrix result(s, v.rows, v.cols);
    if (steps.size() != result.grid().count())
        throw shape_error("lsq_export: " + std::to_string(steps.size()) + " steps, but " +
                          to_string(s) + " has " + std::to_string(result.grid().count()));
    if (v.rows == 0) return result;
    std::size_t const height = detail::rows_of_step(v, steps, "lsq_export");
    require_finite(find_nonfinite(v), "lsq_export: weight", v.cols);
    int const zero = field_offset(s.element);
    std::vector<tile_params> params;
    for (float const step : steps) {
        if (rounded_scale(s.scale, step) != step)
            throw value_error("lsq_export: scales of " + to_string(s) + " cannot hold the step " +
                              std::to_string(step) + ". Hint: f32 scales");
        params.push_back({step, zero});
    }
    result.set_params(params);
    std::vector<std::uint8_t> fields(v.cols);
    for (std::size_t r = 0; r < v.rows; ++r) {
        for (std::size_t c = 0; c < v.cols; ++c) {
            float const u = std::clamp(v(r, c) / steps[r / height], -q.below, q.above);
            fields[c] = static_cast<std::uint8_t>(static_cast<int>(round_half_even(u)) + zero);
        }
        result.set_row(r, fields);
    }
    return result;
}

static_assert(lsq_levels_of(i3) == lsq_levels{4.0f, 3.0f} &&
              lsq_levels_of(u4) == lsq_levels{0.0f, 15.0f});

}  // namespace qtk
