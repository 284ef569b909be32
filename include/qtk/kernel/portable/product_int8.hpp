// SPDX-License-Identifier: Apache-2.0
//
// How are int8 activations multiplied with packed weights where no kernel is written for the
// processor? As floats, which hold every sum of 512 products of small integers exactly: |sum| <=
// 128 * 127 * 512 < 2^24. Pieces of 128 k are added as 32-bit integers, and one fused step a segment
// joins them to the result, so that the bits are those of the twin.
#pragma once

#include <qtk/core/abi.hpp>
#include <qtk/kernel/aligned_bytes.hpp>
#include <qtk/kernel/portable/decoded_panel.hpp>
#include <qtk/kernel/product_scalar.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#if QTK_HAS_XSIMD

namespace qtk::portable {
inline namespace QTK_ABI_NS {

/// What joins the sums of a segment to the results of a panel.
struct segment_params {
    float scale[panel_columns] = {};
    float zero_scale[panel_columns] = {};  // scale (middle - zero)
    bool has_zero = false;
};

[[nodiscard]] inline segment_params params_of(packed_view const& w, std::uint8_t const* block,
                                              float unit) noexcept {
    segment_params p;
    p.has_zero = w.layout.has_zero;
    auto const middle = static_cast<float>(symmetric_zero(w.element));
    for (std::size_t i = 0; i < panel_columns; ++i) {
        header_params const h = read_header(w.layout, block, i);
        p.scale[i] = h.scale * w.tensor_scale * unit;
        p.zero_scale[i] = p.scale[i] * (middle - static_cast<float>(h.zero));
    }
    return p;
}

/// y [32] of one row; std::fma is fused everywhere, xsimd::fma only where the processor has it.
inline void join_segment(float* y, std::int32_t const* dot, segment_params const& p, float a,
                         float sum) noexcept {
    for (std::size_t i = 0; i < panel_columns; ++i) {
        y[i] = std::fma(static_cast<float>(dot[i]), p.scale[i] * a, y[i]);
        if (p.has_zero) y[i] = std::fma(p.zero_scale[i], a * sum, y[i]);
    }
}

/// Codes [rows][depth] as floats.
inline void codes_to_floats(quantized_rows const& x, std::size_t row, std::size_t rows,
                            std::size_t first, std::size_t depth, float* to) noexcept {
    for (std::size_t r = 0; r < rows; ++r)
        for (std::size_t k = 0; k < depth; k += unit_depth, to += unit_depth) {
            std::int8_t const* const code = x.code(row + r, first + k);
            for (std::size_t i = 0; i < unit_depth; ++i) to[i] = static_cast<float>(code[i]);
        }
}

/// A part of a product with int8 activations; the format has integer levels.
inline void product_int8(packed_view const& w, quantized_rows const& x, product_part const& part,
                         output_rows const& y) {
    constexpr std::size_t units_together = 4, depth_together = units_together * unit_depth;
    packed_layout const& layout = w.layout;
    bool const is_table = is_looked_up(w.element);
    panel_decoder decode{layout.planes, !is_table, {}};
    if (is_table) {
        auto const level = integer_levels_of(w.element);
        std::copy(level.begin(), level.end(), decode.level.begin());
    }
    float const unit = is_table ? integer_table_of(w.element).unit : 1.0f;
    float ones[panel_columns], middle[panel_columns];
    std::fill_n(ones, panel_columns, 1.0f);
    std::fill_n(middle, panel_columns, static_cast<float>(symmetric_zero(w.element)));

    std::size_t const rows = part.row_end - part.row, sums = rows * panel_columns;
    struct purpose;
    auto* const weights = reinterpret_cast<float*>(thread_scratch<purpose>(
        (depth_together * (panel_columns + rows) + 3 * sums) * sizeof(float)));
    float* const codes = weights + depth_together * panel_columns;
    float* const c = codes + depth_together * rows;
    float* const piece = c + sums;
    auto* const dot = reinterpret_cast<std::int32_t*>(piece + sums);
    for (std::size_t p = part.panel; p < part.panel_end; ++p) {
        std::memset(c, 0, sums * sizeof(float));
        std::size_t segment = 0;
        for (std::size_t g = 0; g < layout.groups; ++g) {
            std::uint8_t const* const block = w.block(p, g);
            segment_params const params = params_of(w, block, unit);
            for (std::size_t s = 0; s < layout.units_of(g); s += x.plan.units, ++segment) {
                std::memset(dot, 0, sums * sizeof(std::int32_t));
                std::size_t const end = std::min(layout.units_of(g), s + x.plan.units);
                for (std::size_t u = s; u < end; u += units_together) {
                    std::size_t const count = std::min(units_together, end - u);
                    std::size_t const depth = count * unit_depth;
                    decode(block + layout.header_bytes + u * layout.unit_bytes, count,
                           layout.unit_bytes, middle, ones, weights);
                    codes_to_floats(x, part.row, rows, (g * layout.group_units + u) * unit_depth,
                                    depth, codes);
                    std::memset(piece, 0, sums * sizeof(float));
                    add_rows(weights, codes, depth, depth, rows, piece);
                    for (std::size_t i = 0; i < sums; ++i)
                        dot[i] += static_cast<std::int32_t>(piece[i]);
                }
                for (std::size_t r = 0; r < rows; ++r) {
                    std::size_t const row = part.row + r;
                    join_segment(c + r * panel_columns, dot + r * panel_columns, params,
                                 x.has_row_scales() ? 1.0f : x.scale(row, segment),
                                 static_cast<float>(x.sums[x.at(row, segment)]));
                }
            }
        }
        if (x.has_row_scales())
            for (std::size_t i = 0; i < sums; ++i) c[i] *= x.scale(part.row + i / panel_columns, 0);
        write_panel(c, rows, part.row, p, y);
    }
}

}  // namespace QTK_ABI_NS
}  // namespace qtk::portable

#endif
