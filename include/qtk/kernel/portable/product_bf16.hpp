// SPDX-License-Identifier: Apache-2.0
//
// The same with weights and activations rounded to bf16: floats whose lower halves are zero.
#pragma once

#include <qtk/core/abi.hpp>
#include <qtk/kernel/aligned_bytes.hpp>
#include <qtk/kernel/portable/product_f32.hpp>
#include <qtk/kernel/product_scalar.hpp>
#include <qtk/kernel/simd.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>

#if QTK_HAS_XSIMD

namespace qtk::portable {
inline namespace QTK_ABI_NS {

/// Rounds n floats to bf16 and back: nearest even, NaN stays NaN.
inline void round_to_bf16(float* x, std::size_t n) noexcept {
    std::size_t i = 0;
    for (; i + lanes <= n; i += lanes) {
        floats const v = floats::load_unaligned(x + i);
        ints const bits = bits_of(v);
        ints const up = bits + ints(0x7fff) + ((bits >> 16) & ints(1));
        floats const rounded = floats_of_bits(up & ints(-0x10000));
        floats const quiet = floats_of_bits((bits | ints(0x400000)) & ints(-0x10000));
        xsimd::select(v == v, rounded, quiet).store_unaligned(x + i);
    }
    for (; i < n; ++i) x[i] = scalar::rounded_to_bf16(x[i]);
}

struct rounded_to_bf16 {
    static void run(float* weights, std::size_t n) noexcept { round_to_bf16(weights, n); }
};

/// A part of a product with activations rounded to bf16; x lies along the filled-up axis.
inline void product_bf16(packed_view const& w, float_rows const& x, product_part const& part,
                         output_rows const& y) {
    std::size_t const rows = part.row_end - part.row, depth = w.layout.depth();
    struct purpose;
    auto* const rounded =
        reinterpret_cast<float*>(thread_scratch<purpose>(rows * depth * sizeof(float)));
    for (std::size_t r = 0; r < rows; ++r)
        std::memcpy(rounded + r * depth, x.data + (part.row + r) * x.stride, depth * sizeof(float));
    round_to_bf16(rounded, rows * depth);
    product_floats<rounded_to_bf16>(w, {rounded, depth}, part, y);
}

}  // namespace QTK_ABI_NS
}  // namespace qtk::portable

#endif
