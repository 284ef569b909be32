// SPDX-License-Identifier: Apache-2.0
//
// How are float activations multiplied with packed weights where no kernel is written for the
// processor? Decoded weights, scales and zeros applied, meet all rows of a part, 128 k at a time.
#pragma once

#include <qtk/core/abi.hpp>
#include <qtk/kernel/aligned_bytes.hpp>
#include <qtk/kernel/portable/decoded_panel.hpp>
#include <qtk/kernel/product_scalar.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#if QTK_HAS_XSIMD

namespace qtk::portable {
inline namespace QTK_ABI_NS {

/// What a product does with decoded weights before it uses them.
struct as_decoded {
    static void run(float*, std::size_t) noexcept {}
};

/// A part of a product with floats; x are the rows of the part.
template <typename Finish>
void product_floats(packed_view const& w, float_rows const& x, product_part const& part,
                    output_rows const& y) {
    constexpr std::size_t units_together = 4;
    packed_layout const& layout = w.layout;
    panel_decoder const decode{layout.planes, w.element.is_integer(), levels_of(w.element)};
    std::size_t const rows = part.row_end - part.row, sums = rows * panel_columns;
    std::size_t const decoded = units_together * unit_depth * panel_columns;
    struct purpose;
    auto* const weights =
        reinterpret_cast<float*>(thread_scratch<purpose>((decoded + sums) * sizeof(float)));
    float* const c = weights + decoded;
    for (std::size_t p = part.panel; p < part.panel_end; ++p) {
        std::memset(c, 0, sums * sizeof(float));
        for (std::size_t g = 0; g < layout.groups; ++g) {
            std::uint8_t const* const block = w.block(p, g);
            float scale[panel_columns], zero[panel_columns];
            for (std::size_t i = 0; i < panel_columns; ++i) {
                header_params const h = read_header(layout, block, i);
                scale[i] = h.scale * w.tensor_scale;
                zero[i] = static_cast<float>(layout.has_zero ? h.zero : symmetric_zero(w.element));
            }
            for (std::size_t u = 0; u < layout.units_of(g); u += units_together) {
                std::size_t const count = std::min(units_together, layout.units_of(g) - u);
                decode(block + layout.header_bytes + u * layout.unit_bytes, count,
                       layout.unit_bytes, zero, scale, weights);
                Finish::run(weights, count * unit_depth * panel_columns);
                add_rows(weights, x.data + (g * layout.group_units + u) * unit_depth, x.stride,
                         count * unit_depth, rows, c);
            }
        }
        write_panel(c, rows, part.row, p, y);
    }
}

/// A part of a product with float activations; x lies along the filled-up axis.
inline void product_f32(packed_view const& w, float_rows const& x, product_part const& part,
                        output_rows const& y) {
    product_floats<as_decoded>(w, {x.data + part.row * x.stride, x.stride}, part, y);
}

}  // namespace QTK_ABI_NS
}  // namespace qtk::portable

#endif
