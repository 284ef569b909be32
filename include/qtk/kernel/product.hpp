// SPDX-License-Identifier: Apache-2.0
//
// Y = f(X W^T + bias) + residual with packed weights, on the widest instruction set there is:
//
//     qtk::packed_matrix const w = qtk::prepack(qtk::quantize<w4>(weight));     // once
//     qtk::gemm(w, x, y, {.activations = qtk::activation_type::a8_group});      // as often as needed
//
// X [m, in] is f32 or bf16, Y [m, out] too. Row m of Y does not depend on the other rows with int8
// activations, and never on the number of threads.
#pragma once

#include <qtk/core/abi.hpp>
#include <qtk/core/error.hpp>
#include <qtk/kernel/aligned_bytes.hpp>
#include <qtk/kernel/epilogue.hpp>
#include <qtk/kernel/isa.hpp>
#include <qtk/kernel/packed_matrix.hpp>
#include <qtk/kernel/parallel.hpp>
#include <qtk/kernel/product_isa.hpp>
#include <qtk/kernel/product_options.hpp>
#include <qtk/kernel/product_scalar.hpp>
#include <qtk/kernel/quantized_rows.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <span>
#include <string>

namespace qtk {

namespace detail {
inline namespace QTK_ABI_NS {

struct purpose_of_rows;  // names the scratch of activations

/// Rows of X that are worked on together: their codes stay in the second-level cache.
inline constexpr std::size_t rows_of_part = 128;
/// On tiles, which are fast enough to wait for weights, and on machines with twice that cache.
inline constexpr std::size_t rows_of_tiled_part = 256;

/// Splits a product into parts and calls body(part) for each, on several threads if that pays.
template <typename Body>
void for_each_part(std::size_t rows, packed_layout const& w, Body const& body,
                   std::size_t most = rows_of_part) {
    std::size_t const blocks = div_ceil(rows, most);
    std::size_t const work = checked_mul(checked_mul(w.rows, w.cols) / 16 + 1, rows);
    // Enough parts that threads end together, few enough that each streams for a while.
    std::size_t const wanted = div_ceil(4 * thread_count(), blocks);
    std::size_t const panels = std::max<std::size_t>(1, div_ceil(w.panels, wanted));
    std::size_t const across = div_ceil(w.panels, panels);
    parallel_for(blocks * across, work, [&](std::size_t i) {
        std::size_t const row = i / across * most, panel = i % across * panels;
        body(product_part{row, std::min(rows, row + most), panel,
                          std::min(w.panels, panel + panels)});
    });
}

/// `rows` rows as int8, in scratch of the calling thread; row_of(r) are the floats of row r.
template <typename RowOf>
[[nodiscard]] quantized_rows quantize_all(instruction_set isa, packed_layout const& w,
                                          std::size_t rows, product_options const& options,
                                          RowOf const& row_of) {
    segment_plan const plan = plan_for(w, options.activations);
    activation_scale const sharing =
        options.activations == activation_type::a8_group ? activation_scale::segment
        : options.activations == activation_type::a8_row ? activation_scale::row
                                                         : activation_scale::fixed;
    quantized_rows_storage const sizes(rows, w.depth(), plan.total);
    quantized_rows const codes = quantized_rows_in(thread_scratch<purpose_of_rows>(sizes.bytes()),
                                                   rows, w, plan, sharing, options.static_scale);
    std::size_t const all_rows = div_ceil(rows, codes.tile_rows) * codes.tile_rows;
    parallel_for(all_rows, rows * w.cols, [&](std::size_t r) {
        if (r >= rows) return clear_row(r, codes);
        quantize_row_on(isa, row_of(r), r, w, codes);
    });
    return codes;
}

inline void run_int8(instruction_set isa, packed_view const& w, input_rows const& x,
                     output_rows const& y, product_options const& options) {
    quantized_rows const codes = quantize_all(isa, w.layout, x.rows, options, [&](std::size_t r) {
        struct purpose_of_one;
        return x.row(r, x.is_bf16
                            ? reinterpret_cast<float*>(thread_scratch<purpose_of_one>(x.cols * 4))
                            : nullptr);
    });
    for_each_part(
        x.rows, w.layout,
        [&](product_part const& part) { product_int8_on(isa, w, codes, part, y); },
        isa == instruction_set::amx ? rows_of_tiled_part : rows_of_part);
}

/// Rows of floats along the filled-up axis: x itself where it lies so.
[[nodiscard]] inline float_rows filled_up(packed_layout const& w, input_rows const& x) {
    if (w.is_dense() && !x.is_bf16) return {static_cast<float const*>(x.data), x.stride};
    std::size_t const depth = div_ceil(w.depth(), std::size_t{16}) * 16;
    auto* const rows = reinterpret_cast<float*>(
        thread_scratch<purpose_of_rows>(checked_mul(checked_mul(x.rows, depth), sizeof(float))));
    parallel_for(x.rows, x.rows * x.cols, [&](std::size_t r) {
        float* const to = rows + r * depth;
        std::memset(to, 0, depth * sizeof(float));
        // A dense row is converted into its place; others are moved group by group.
        float* const flat = w.is_dense() ? to : nullptr;
        struct purpose_of_one;
        float* const scratch =
            flat != nullptr || !x.is_bf16
                ? flat
                : reinterpret_cast<float*>(thread_scratch<purpose_of_one>(x.cols * 4));
        float const* const from = x.row(r, scratch);
        if (from == to) return;
        for (std::size_t left = 0; left < w.cols; left += w.group)
            std::memcpy(to + w.depth_of(left), from + left,
                        std::min(w.group, w.cols - left) * sizeof(float));
    });
    return {rows, depth};
}

/// The product on one instruction set; shapes have been checked.
inline void run_product(instruction_set isa, packed_view const& w, input_rows const& x,
                        output_rows const& y, product_options const& options) {
    if (x.rows == 0 || w.layout.rows == 0) return;
    if (is_int8(options.activations)) return run_int8(isa, w, x, y, options);
    float_rows const rows = filled_up(w.layout, x);
    bool const is_bf16 = options.activations == activation_type::bf16;
    for_each_part(x.rows, w.layout, [&](product_part const& part) {
        if (is_bf16) return product_bf16_on(isa, w, rows, part, y);
        product_f32_on(isa, w, rows, part, y);
    });
}

/// All checks, then the product on `isa`, which this process must be able to run.
inline void checked_product(instruction_set isa, packed_matrix const& w, input_rows const& x,
                            output_rows y, product_options const& options) {
    require_product_shapes(w, x, y, options);
    if (is_int8(options.activations)) require_int8_product(w, options);
    y.end = options.end;
    run_product(isa, w.view(), x, y, options);
}

}  // namespace QTK_ABI_NS
}  // namespace detail

inline namespace QTK_ABI_NS {

/// Y = f(X W^T + bias) + residual; X is [m, in], Y [m, out], both f32 or bf16. Throws shape_error
/// for shapes that do not fit, value_error for options that do not, for a Y over X or over a part of the
/// residual, and if QTK_ISA names nothing.
template <typename In, typename Out>
void gemm(packed_matrix const& w, matrix_view<In> x, matrix_view<Out> y,
          product_options const& options = {}) {
    detail::checked_product(active_isa(), w, input_rows(x), output_rows(y), options);
}

/// y = f(W x + bias) + residual: gemm of one row.
inline void gemv(packed_matrix const& w, std::span<float const> x, std::span<float> y,
                 product_options const& options = {}) {
    gemm(w, matrix_view<float const>(x.data(), 1, x.size()),
         matrix_view<float>(y.data(), 1, y.size()), options);
}

}  // namespace QTK_ABI_NS
}  // namespace qtk
