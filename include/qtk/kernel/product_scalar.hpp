// SPDX-License-Identifier: Apache-2.0
//
// What do the packed products mean? One output at a time, one field at a time.
//
//   int8 activations, in the order of segments s of a row, with the block's scale w and zero z:
//     d = sum of L(field) code                              exact, 32 bits
//     y = fma(d, w a_s, y)                                  scales of segments: a_s
//     y = fma(w (L0 - z), a_s sum_s, y)                     asymmetric schemes, L0 = 2^(bits - 1)
//   and with one scale a for the row, a_s = 1 above and y a at the end. Every instruction set does
//   these roundings in this order, so all give the same bits.
//
//   float activations: sums in double precision of ((level - z) w) x. Kernels use floats in any
//   order, and may take z out of the sum: within (depth + 4) 2^-23 sum (|level| + |z|) w |x|.
//
//   bf16 activations: x and the float (level - z) w are rounded to bf16, nearest even, and those are
//   multiplied; kernels sum floats in any order: within (depth + 4) 2^-23 sum |w| |x|, where numbers
//   below 2^-126 may count as zero.
#pragma once

#include <qtk/kernel/epilogue.hpp>
#include <qtk/kernel/packed_matrix.hpp>
#include <qtk/kernel/product_part.hpp>
#include <qtk/kernel/quantized_rows.hpp>

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>

namespace qtk {

namespace scalar {

/// The integer product of output `column` of panel p with row `row`.
[[nodiscard]] inline float dot_int8(packed_view const& w, std::array<std::int8_t, 256> const& level,
                                    quantized_rows const& x, std::size_t p, std::size_t column,
                                    std::size_t row) noexcept {
    packed_layout const& layout = w.layout;
    auto const middle = static_cast<float>(symmetric_zero(w.element));
    float const unit = is_looked_up(w.element) ? integer_table_of(w.element).unit : 1.0f;
    float y = 0.0f;
    std::size_t segment = 0;
    for (std::size_t g = 0; g < layout.groups; ++g) {
        std::uint8_t const* const block = w.block(p, g);
        header_params const h = read_header(layout, block, column);
        float const scale = h.scale * w.tensor_scale * unit;
        for (std::size_t s = 0; s * x.plan.units < layout.units_of(g); ++s, ++segment) {
            segment_place const place = place_of_segment(layout, x.plan, g, s);
            std::int32_t dot = 0;
            for (std::size_t i = 0; i < place.depth_count; ++i) {
                std::size_t const within = s * x.plan.units * unit_depth + i;
                std::uint8_t const* const unit_bytes =
                    block + layout.header_bytes + within / unit_depth * layout.unit_bytes;
                std::uint8_t const field =
                    unit_field(unit_bytes, layout.planes, column, within % unit_depth);
                dot += level[field] * *x.code(row, place.depth + i);
            }
            float const a = x.has_row_scales() ? 1.0f : x.scale(row, segment);
            y = std::fma(static_cast<float>(dot), scale * a, y);
            if (layout.has_zero) {
                auto const sum = static_cast<float>(x.sums[x.at(row, segment)]);
                y = std::fma(scale * (middle - static_cast<float>(h.zero)), a * sum, y);
            }
        }
    }
    return x.has_row_scales() ? y * x.scale(row, 0) : y;
}

inline void product_int8(packed_view const& w, quantized_rows const& x, product_part const& part,
                         output_rows const& y) noexcept {
    auto const level = integer_levels_of(w.element);
    for (std::size_t p = part.panel; p < part.panel_end; ++p)
        for (std::size_t r = part.row; r < part.row_end; ++r) {
            std::array<float, panel_columns> sums;
            for (std::size_t c = 0; c < panel_columns; ++c)
                sums[c] = dot_int8(w, level, x, p, c, r);
            write_panel(sums.data(), 1, r, p, y);
        }
}

[[nodiscard]] inline float rounded_to_bf16(float v) noexcept {
    return bf16_to_float(float_to_bf16(v));
}

/// The float product of output `column` of panel p with x; both are rounded to bf16 on request.
[[nodiscard]] inline float dot_floats(packed_view const& w, std::array<float, 256> const& level,
                                      float const* x, std::size_t p, std::size_t column,
                                      bool is_bf16) noexcept {
    packed_layout const& layout = w.layout;
    double y = 0.0;
    for (std::size_t g = 0; g < layout.groups; ++g) {
        std::uint8_t const* const block = w.block(p, g);
        header_params const h = read_header(layout, block, column);
        float const zero = layout.has_zero          ? static_cast<float>(h.zero)
                           : w.element.is_integer() ? static_cast<float>(symmetric_zero(w.element))
                                                    : 0.0f;
        float const scale = h.scale * w.tensor_scale;
        for (std::size_t k = 0; k < layout.units_of(g) * unit_depth; ++k) {
            std::uint8_t const* const unit =
                block + layout.header_bytes + k / unit_depth * layout.unit_bytes;
            float value =
                (level[unit_field(unit, layout.planes, column, k % unit_depth)] - zero) * scale;
            float factor = x[g * layout.group_units * unit_depth + k];
            if (is_bf16) {
                value = rounded_to_bf16(value);
                factor = rounded_to_bf16(factor);
            }
            y += static_cast<double>(value) * static_cast<double>(factor);
        }
    }
    return static_cast<float>(y);
}

inline void product_floats(packed_view const& w, float_rows const& x, product_part const& part,
                           output_rows const& y, bool is_bf16) noexcept {
    auto const level = levels_of(w.element);
    for (std::size_t p = part.panel; p < part.panel_end; ++p)
        for (std::size_t r = part.row; r < part.row_end; ++r) {
            std::array<float, panel_columns> sums;
            for (std::size_t c = 0; c < panel_columns; ++c)
                sums[c] = dot_floats(w, level, x.data + r * x.stride, p, c, is_bf16);
            write_panel(sums.data(), 1, r, p, y);
        }
}

/// x lies along the filled-up axis.
inline void product_f32(packed_view const& w, float_rows const& x, product_part const& part,
                        output_rows const& y) noexcept {
    product_floats(w, x, part, y, false);
}
inline void product_bf16(packed_view const& w, float_rows const& x, product_part const& part,
                         output_rows const& y) noexcept {
    product_floats(w, x, part, y, true);
}

}  // namespace scalar
}  // namespace qtk
