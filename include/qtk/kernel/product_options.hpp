// SPDX-License-Identifier: Apache-2.0
//
// What may one ask of a product with packed weights, and when is it refused? The options of gemm and
// gemv in product.hpp, and the checks that come before any work.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/core/matrix_view.hpp>
#include <qtk/kernel/epilogue.hpp>
#include <qtk/kernel/integer_levels.hpp>
#include <qtk/kernel/packed_matrix.hpp>
#include <qtk/kernel/quantized_rows.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>

namespace qtk {

/// What the activations are while they are multiplied.
enum class activation_type : std::uint8_t {
    f32,       ///< as they are: weight-only quantization
    bf16,      ///< rounded to bf16, and so are the decoded weights; sums are f32
    a8_row,    ///< int8 with one scale a row (per token)
    a8_group,  ///< int8 with one scale a row and group of the weights; of 128 where groups are longer
    a8_static  ///< int8 with one scale for all, known beforehand
};

struct product_options {
    activation_type activations = activation_type::f32;
    float static_scale =
        0.0f;  ///< a8_static: the scale, positive; codes are x / scale in [-127, 127]
    epilogue end = {};
};

namespace detail {

/// Throws value_error if the result lies over X, or over a residual that is not the result itself.
inline void require_result_apart(char const* name, input_rows const& x, output_rows const& y,
                                 epilogue const& end) {
    auto const rows = [](auto const& m) {
        std::size_t const size = m.is_bf16 ? sizeof(bf16_value) : sizeof(float);
        return byte_rows(m.data, m.rows, m.cols * size, m.stride * size);
    };
    require_apart(name, "X", rows(x), rows(y));
    bool const is_in_place = end.residual.data == y.data && !y.is_bf16 &&
                             (y.rows <= 1 || end.residual.stride == y.stride);
    if (!is_in_place) require_apart(name, "the residual", end.residual, rows(y));
}

inline void require_product_shapes(packed_matrix const& w, input_rows const& x,
                                   output_rows const& y, product_options const& options) {
    auto const shape = [](std::size_t rows, std::size_t cols) {
        return std::to_string(rows) + " x " + std::to_string(cols);
    };
    if (x.cols != w.cols() || y.rows != x.rows || y.cols != w.rows())
        throw shape_error("gemm: W is " + shape(w.rows(), w.cols()) + ", X " +
                          shape(x.rows, x.cols) + ", so X needs " + std::to_string(w.cols()) +
                          " columns and Y is " + shape(x.rows, w.rows()) + "; found " +
                          shape(y.rows, y.cols));
    epilogue const& end = options.end;
    if (!end.bias.empty() && end.bias.size() != w.rows())
        throw shape_error("gemm: expected " + std::to_string(w.rows()) + " biases, found " +
                          std::to_string(end.bias.size()));
    if (end.residual.data != nullptr &&
        (end.residual.rows != y.rows || end.residual.cols != y.cols))
        throw shape_error("gemm: expected a residual of " + shape(y.rows, y.cols) + ", found " +
                          shape(end.residual.rows, end.residual.cols));
    require_result_apart("gemm", x, y, end);
}

/// Are the activations integers while they are multiplied?
[[nodiscard]] constexpr bool is_int8(activation_type type) noexcept {
    return type != activation_type::f32 && type != activation_type::bf16;
}

inline void require_int8_product(packed_matrix const& w, product_options const& options) {
    if (!has_integer_levels(w.scheme().element))
        throw value_error("gemm: " + to_string(w.scheme()) +
                          " has levels that are no small integers, so int8 activations cannot be "
                          "multiplied with it. Hint: use activation_type::f32 or bf16");
    if (options.activations == activation_type::a8_static &&
        !(options.static_scale > 0.0f && std::isfinite(options.static_scale)))
        throw value_error("gemm: a8_static needs a positive finite static_scale, found " +
                          std::to_string(options.static_scale));
}

[[nodiscard]] inline segment_plan plan_for(packed_layout const& w, activation_type type) {
    constexpr std::size_t units_of_128 = 4, longest_group = 512 / unit_depth;
    if (type != activation_type::a8_group) return segment_plan(w, longest_segment);
    return segment_plan(w, w.group_units <= longest_group ? longest_group : units_of_128);
}

}  // namespace detail
}  // namespace qtk
