// SPDX-License-Identifier: Apache-2.0
//
// Y = f(X W^T + bias) + residual with weights that stay the GGUF blocks of their file:
//
//     qtk::gguf_view const w{qtk::gguf_type::q4_K, bytes, out, in};
//     qtk::gguf_gemm(w, x, y, {.activations = qtk::activation_type::a8_group});
//
// Nothing is packed and nothing is copied: a mapped file can be multiplied. Every type with a decoder
// is multiplied with f32 activations, q4_0, q8_0, q4_K and q6_K with int8 ones too. With a8_group
// activations share a scale with the values of a block (32, or 256 for the K types). Row m of Y depends neither
// on the other rows nor on the number of threads.
#pragma once

#include <qtk/core/abi.hpp>
#include <qtk/format/gguf_blocks.hpp>
#include <qtk/kernel/avx2/gguf_dot.hpp>
#include <qtk/kernel/avx512/gguf_dot.hpp>
#include <qtk/kernel/gguf_activations.hpp>
#include <qtk/kernel/gguf_float.hpp>
#include <qtk/kernel/gguf_scalar.hpp>
#include <qtk/kernel/product.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <string>

namespace qtk {
namespace detail {

inline void require_gguf_product(gguf_view const& w, input_rows const& x, output_rows const& y,
                                 product_options const& options) {
    require_gguf(w);
    auto const shape = [](std::size_t rows, std::size_t cols) {
        return std::to_string(rows) + " x " + std::to_string(cols);
    };
    if (x.cols != w.cols || y.rows != x.rows || y.cols != w.rows)
        throw shape_error("gguf_gemm: W is " + shape(w.rows, w.cols) + ", X " +
                          shape(x.rows, x.cols) + ", so X needs " + std::to_string(w.cols) +
                          " columns and Y is " + shape(x.rows, w.rows) + "; found " +
                          shape(y.rows, y.cols));
    epilogue const& end = options.end;
    if (!end.bias.empty() && end.bias.size() != w.rows)
        throw shape_error("gguf_gemm: expected " + std::to_string(w.rows) + " biases, found " +
                          std::to_string(end.bias.size()));
    if (end.residual.data != nullptr &&
        (end.residual.rows != y.rows || end.residual.cols != y.cols))
        throw shape_error("gguf_gemm: expected a residual of " + shape(y.rows, y.cols) +
                          ", found " + shape(end.residual.rows, end.residual.cols));
    require_result_apart("gguf_gemm", x, y, end);
    if (options.activations != activation_type::f32 && !has_int8_kernel(w.type))
        throw value_error("gguf_gemm: " + std::string(name_of(w.type)) +
                          " is multiplied with float activations only. Hint: use "
                          "activation_type::f32");
    if (options.activations == activation_type::a8_static &&
        !(options.static_scale > 0.0f && std::isfinite(options.static_scale)))
        throw value_error("gguf_gemm: a8_static needs a positive finite static_scale, found " +
                          std::to_string(options.static_scale));
}

inline namespace QTK_ABI_NS {

#if defined(QTK_KERNELS_ELSEWHERE)
void gguf_int8_on(instruction_set, gguf_view const&, gguf_activations const&, product_part const&,
                  output_rows const&);
#else
/// A part of a product with int8 activations.
QTK_KERNEL_ENTRY void gguf_int8_on(instruction_set isa, gguf_view const& w,
                                   gguf_activations const& x, product_part const& part,
                                   output_rows const& y) {
#if QTK_HAS_X86
    if (isa >= instruction_set::avx512) return avx512::gguf_int8(w, x, part, y);
    if (isa == instruction_set::avx2) return avx2::gguf_int8(w, x, part, y);
#endif
    static_cast<void>(isa);
    scalar::gguf_int8(w, x, part, y);
}
#endif

/// Splits a product into parts of `block` rows of X and some panels of W.
template <typename Body>
void for_each_gguf_part(std::size_t rows, gguf_view const& w, Body const& body) {
    constexpr std::size_t block = 128;
    std::size_t const blocks = div_ceil(rows, block), panels = div_ceil(w.rows, panel_columns);
    std::size_t const work = checked_mul(checked_mul(w.rows, w.cols) / 16 + 1, rows);
    std::size_t const some =
        std::max<std::size_t>(1, div_ceil(panels, div_ceil(4 * thread_count(), blocks)));
    std::size_t const across = div_ceil(panels, some);
    parallel_for(blocks * across, work, [&](std::size_t i) {
        std::size_t const row = i / across * block, panel = i % across * some;
        body(product_part{row, std::min(rows, row + block), panel, std::min(panels, panel + some)});
    });
}

inline void run_gguf_int8(instruction_set isa, gguf_view const& w, input_rows const& x,
                          output_rows const& y, product_options const& options) {
    struct purpose_of_gguf_rows;
    activation_scale const sharing =
        options.activations == activation_type::a8_group ? activation_scale::segment
        : options.activations == activation_type::a8_row ? activation_scale::row
                                                         : activation_scale::fixed;
    gguf_activations const codes =
        gguf_activations_in(thread_scratch<purpose_of_gguf_rows>(gguf_activation_bytes(x.rows, w)),
                            x.rows, w, sharing, options.static_scale);
    parallel_for(x.rows, x.rows * x.cols, [&](std::size_t r) {
        struct purpose_of_one;
        float* const scratch =
            x.is_bf16 ? reinterpret_cast<float*>(thread_scratch<purpose_of_one>(x.cols * 4))
                      : nullptr;
        quantize_gguf_row_scalar(x.row(r, scratch), r, codes);
    });
    for_each_gguf_part(x.rows, w,
                       [&](product_part const& part) { gguf_int8_on(isa, w, codes, part, y); });
}

inline void run_gguf_f32(instruction_set isa, gguf_view const& w, input_rows const& x,
                         output_rows const& y) {
    float_rows rows{static_cast<float const*>(x.data), x.stride};
    if (x.is_bf16) {
        struct purpose_of_float_rows;
        auto* const floats = reinterpret_cast<float*>(thread_scratch<purpose_of_float_rows>(
            checked_mul(checked_mul(x.rows, x.cols), sizeof(float))));
        for (std::size_t r = 0; r < x.rows; ++r) static_cast<void>(x.row(r, floats + r * x.cols));
        rows = {floats, x.cols};
    }
    for_each_gguf_part(x.rows, w,
                       [&](product_part const& part) { gguf_f32_on(isa, w, rows, part, y); });
}

/// All checks, then the product on `isa`, which this process must be able to run.
inline void checked_gguf_product(instruction_set isa, gguf_view const& w, input_rows const& x,
                                 output_rows y, product_options const& options) {
    require_gguf_product(w, x, y, options);
    y.end = options.end;
    if (x.rows == 0 || w.rows == 0) return;
    if (options.activations == activation_type::f32) return run_gguf_f32(isa, w, x, y);
    run_gguf_int8(isa, w, x, y, options);
}

}  // namespace QTK_ABI_NS
}  // namespace detail

inline namespace QTK_ABI_NS {

/// Y = f(X W^T + bias) + residual; X is [m, in], Y [m, out], both f32 or bf16. Throws shape_error
/// for shapes and bytes that do not fit, value_error for a type without a kernel, for options that
/// do not fit, and if QTK_ISA names nothing.
template <typename In, typename Out>
void gguf_gemm(gguf_view const& w, matrix_view<In> x, matrix_view<Out> y,
               product_options const& options = {}) {
    detail::checked_gguf_product(active_isa(), w, input_rows(x), output_rows(y), options);
}

}  // namespace QTK_ABI_NS
}  // namespace qtk
