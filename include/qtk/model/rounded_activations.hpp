// SPDX-License-Identifier: Apache-2.0
//
// What is left of activations that a product rounds on the way? The rules of the kernels
// (kernel/quantized_rows.hpp, kernel/llm_int8.hpp) in plain floats, so that a fast run can be compared
// with a simulated one:
//
//   int8  x' = s * round_half_even(x / s), |x / s| at most 127, s = max|x| / 127 over a row or a
//         piece of a row; or a grid known beforehand (activation_grid.hpp)
#pragma once

#include <qtk/core/matrix.hpp>
#include <qtk/core/matrix_view.hpp>
#include <qtk/core/scheme.hpp>
#include <qtk/format/half.hpp>
#include <qtk/format/round.hpp>
#include <qtk/kernel/outlier_columns.hpp>
#include <qtk/kernel/product_options.hpp>
#include <qtk/kernel/quantized_rows.hpp>
#include <qtk/model/activation_grid.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace qtk {

/// What activations are while a layer multiplies them: a product's types, or int8 beside outlier columns
/// that stay floats (LLM.int8(), kernel/llm_int8.hpp).
struct layer_activations {
    activation_type type = activation_type::f32;
    bool has_outliers = false;  ///< then type is a8_row
    float threshold = 6.0f;     ///< of outliers
    activation_grid grid = {};  ///< of a8_static; its scale is positive, from calibration
    /// Outlier columns that calibration has chosen, ascending; null: the threshold decides.
    std::shared_ptr<std::vector<std::uint32_t> const> columns = nullptr;
    friend bool operator==(layer_activations const&, layer_activations const&) = default;
};

namespace detail {

/// One scale for all of `x`: that of its largest value.
inline void round_to_int8(std::span<float> x) noexcept {
    float const largest = largest_bits(x.data(), x.size());
    float const scale = is_nonfinite(largest) ? std::nanf("") : int8_scale(largest);
    for (float& v : x) v = scale * round_half_even(std::clamp(v / scale, -127.0f, 127.0f));
}
/// Every value becomes scale * (code - shift); all of them NaN where one is not finite.
inline void round_to_grid(std::span<float> x, activation_grid const& grid, int shift) noexcept {
    bool const is_finite = !is_nonfinite(largest_bits(x.data(), x.size()));
    float const scale = is_finite ? grid.scale : std::nanf("");
    auto const center = static_cast<float>(shift);
    for (float& v : x) v = scale * (grid.code(v) - center);
}

/// How many columns share a scale of int8 activations.
[[nodiscard]] inline std::size_t columns_of_a_scale(std::size_t cols, scheme const& weights,
                                                    activation_type type) noexcept {
    if (type != activation_type::a8_group) return std::max<std::size_t>(cols, 1);
    constexpr std::size_t longest = 512, piece = 128;
    auto const group = static_cast<std::size_t>(weights.grain.cols);
    return group != 0 && group <= longest ? group : std::min(piece, std::max<std::size_t>(cols, 1));
}

}  // namespace detail

/// x [m, in] as the product of weights of that scheme sees it.
[[nodiscard]] inline matrix rounded_activations(matrix_view<float const> x, scheme const& weights,
                                                layer_activations const& how) {
    matrix out(x.rows, x.cols);
    for (std::size_t r = 0; r < x.rows; ++r) std::ranges::copy(x.row(r), out.view().row(r).begin());
    if (how.type == activation_type::f32) return out;
    if (how.type == activation_type::bf16) {
        for (float& v : out.view().flat()) v = bf16_to_float(float_to_bf16(v));
        return out;
    }
    std::vector<std::uint32_t> outliers;
    if (how.type == activation_type::a8_static) {
        for (std::size_t r = 0; r < x.rows; ++r)
            detail::round_to_grid(out.view().row(r), how.grid, 0);
        return out;
    }
    if (how.has_outliers)
        outliers = how.columns ? *how.columns : detail::outlier_columns_of(x, how.threshold);
    std::size_t const shared = detail::columns_of_a_scale(x.cols, weights, how.type);
    for (std::size_t r = 0; r < x.rows; ++r) {
        std::span<float> const row = out.view().row(r);
        for (std::uint32_t const c : outliers) row[c] = 0.0f;
        for (std::size_t c = 0; c < row.size(); c += shared)
            detail::round_to_int8(row.subspan(c, std::min(shared, row.size() - c)));
        for (std::uint32_t const c : outliers) row[c] = x(r, c);
    }
    return out;
}

}  // namespace qtk
