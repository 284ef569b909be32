// SPDX-License-Identifier: Apache-2.0
//
// How are rows of floats multiplied with packed weights on AVX-512? One row goes straight through
// the stream (gemv_f32.hpp). For more, a piece of a panel is decoded once and all rows pass over it
// (panel_product.hpp): the weights are then exactly those that decoding gives.
#pragma once

#include <qtk/core/abi.hpp>
#include <qtk/kernel/avx512/decode_panel.hpp>
#include <qtk/kernel/avx512/gemv_f32.hpp>
#include <qtk/kernel/avx512/panel_product.hpp>
#include <qtk/kernel/panel_product.hpp>
#include <qtk/kernel/product_scalar.hpp>
#include <qtk/kernel/target.hpp>

#include <cstddef>

#if QTK_HAS_X86

namespace qtk::avx512 {
inline namespace QTK_ABI_NS {

/// Packed weights as floats.
struct decoded_panels {
    packed_view const& w;
    unit_decoder decode;
    std::size_t depth;

    explicit decoded_panels(packed_view const& weights) noexcept
        : w(weights), decode(unit_decoder_of(weights.element)), depth(weights.layout.depth()) {}

    void load(std::size_t p, std::size_t k, std::size_t n, float* to) const noexcept {
        decode(w, p, k / unit_depth, n / unit_depth, to);
    }
    void prepare(float*, std::size_t) const noexcept {}
};

/// Rows of floats along the filled-up axis, times packed weights.
inline void product_f32(packed_view const& w, float_rows const& x, product_part const& part,
                        output_rows const& y) {
    if (part.row_end - part.row == 1) return gemv_f32(w, x.data + part.row * x.stride, part, y);
    qtk::detail::product_by_pieces(engine, decoded_panels(w), x, part, y);
}

}  // namespace QTK_ABI_NS
}  // namespace qtk::avx512

#endif
