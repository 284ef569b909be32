// SPDX-License-Identifier: Apache-2.0
//
// Which kernel multiplies packed weights on which instruction set? The one place that knows: a set
// without a kernel of its own takes the next plainer one's.
#pragma once

#include <qtk/core/abi.hpp>
#include <qtk/kernel/amx/product_bf16.hpp>
#include <qtk/kernel/amx/product_int8.hpp>
#include <qtk/kernel/avx2/product_bf16.hpp>
#include <qtk/kernel/avx2/product_f32.hpp>
#include <qtk/kernel/avx2/product_int8.hpp>
#include <qtk/kernel/avx2/quantize_rows.hpp>
#include <qtk/kernel/avx512/product_bf16.hpp>
#include <qtk/kernel/avx512/product_f32.hpp>
#include <qtk/kernel/avx512/product_int8.hpp>
#include <qtk/kernel/avx512/quantize_rows.hpp>
#include <qtk/kernel/isa.hpp>
#include <qtk/kernel/portable/product_bf16.hpp>
#include <qtk/kernel/portable/product_f32.hpp>
#include <qtk/kernel/portable/product_int8.hpp>
#include <qtk/kernel/product_scalar.hpp>
#include <qtk/kernel/quantized_rows.hpp>

#include <cstddef>

namespace qtk::detail {
inline namespace QTK_ABI_NS {

#if defined(QTK_KERNELS_ELSEWHERE)
void quantize_row_on(instruction_set, float const*, std::size_t, packed_layout const&,
                     quantized_rows const&);
void product_int8_on(instruction_set, packed_view const&, quantized_rows const&,
                     product_part const&, output_rows const&);
void product_f32_on(instruction_set, packed_view const&, float_rows const&, product_part const&,
                    output_rows const&);
void product_bf16_on(instruction_set, packed_view const&, float_rows const&, product_part const&,
                     output_rows const&);
#else

/// Row `row` of activations to int8.
QTK_KERNEL_ENTRY void quantize_row_on(instruction_set isa, float const* x, std::size_t row,
                                      packed_layout const& w, quantized_rows const& to) {
    switch (isa) {
#if QTK_HAS_X86
        case instruction_set::amx:
        case instruction_set::avx512:
            return avx512::quantize_row(x, row, w, to);
        case instruction_set::avx2:
            return avx2::quantize_row(x, row, w, to);
#endif
        default:
            return quantize_row_scalar(x, row, w, to);
    }
}

/// A part of a product with int8 activations.
QTK_KERNEL_ENTRY void product_int8_on(instruction_set isa, packed_view const& w,
                                      quantized_rows const& x, product_part const& part,
                                      output_rows const& y) {
    switch (isa) {
#if QTK_HAS_X86
        case instruction_set::amx:
            return amx::product_int8(w, x, part, y);
        case instruction_set::avx512:
            return avx512::product_int8(w, x, part, y);
        case instruction_set::avx2:
            return avx2::product_int8(w, x, part, y);
#endif
#if QTK_HAS_XSIMD
        case instruction_set::xsimd:
            return portable::product_int8(w, x, part, y);
#endif
        default:
            return scalar::product_int8(w, x, part, y);
    }
}

/// A part of a product with float activations.
QTK_KERNEL_ENTRY void product_f32_on(instruction_set isa, packed_view const& w, float_rows const& x,
                                     product_part const& part, output_rows const& y) {
    switch (isa) {
#if QTK_HAS_X86
        case instruction_set::amx:
        case instruction_set::avx512:
            return avx512::product_f32(w, x, part, y);
        case instruction_set::avx2:
            return avx2::product_f32(w, x, part, y);
#endif
#if QTK_HAS_XSIMD
        case instruction_set::xsimd:
            return portable::product_f32(w, x, part, y);
#endif
        default:
            return scalar::product_f32(w, x, part, y);
    }
}

/// A part of a product with float activations that are rounded to bf16.
QTK_KERNEL_ENTRY void product_bf16_on(instruction_set isa, packed_view const& w,
                                      float_rows const& x, product_part const& part,
                                      output_rows const& y) {
    switch (isa) {
#if QTK_HAS_X86
        case instruction_set::amx:
            return amx::product_bf16(w, x, part, y);
        case instruction_set::avx512:
            return avx512::product_bf16(w, x, part, y);
        case instruction_set::avx2:
            return avx2::product_bf16(w, x, part, y);
#endif
#if QTK_HAS_XSIMD
        case instruction_set::xsimd:
            return portable::product_bf16(w, x, part, y);
#endif
        default:
            return scalar::product_bf16(w, x, part, y);
    }
}

#endif

}  // namespace QTK_ABI_NS
}  // namespace qtk::detail
