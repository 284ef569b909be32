// SPDX-License-Identifier: Apache-2.0
//
// LLM.int8() (Dettmers et al. 2022, arXiv:2208.07339, section 3.2): few columns of X hold values so
// large that one scale a row would round the others away. Columns in which some |x| reaches the
// threshold are multiplied as floats, the rest as int8 with the scale of what is left of the row:
//
//   Y = f(int8(X without outliers) W^T + sum of outlier columns c: x_c w_c^T + bias) + residual
//
// in that order of rounding: the int8 part as activation_type::a8_row gives it, then one fused
// multiply-add a column, ascending, with the decoded weights. All instruction sets give the same
// bits; which columns are outliers depends on all rows of X, unless they are given.
#pragma once

#include <qtk/core/abi.hpp>
#include <qtk/core/error.hpp>
#include <qtk/core/nonfinite.hpp>
#include <qtk/kernel/outlier_columns.hpp>
#include <qtk/kernel/product.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <vector>

namespace qtk {

struct llm_int8_options {
    float threshold = 6.0f;  ///< the paper's; infinity: no outliers, which is a8_row
    epilogue end = {};
    /// Columns that are outliers whatever they hold, ascending; none: the threshold decides.
    std::span<std::uint32_t const> columns = {};
};

/// How many columns of X went the slow way.
struct llm_int8_result {
    std::size_t outliers = 0, columns = 0;
    [[nodiscard]] constexpr double fraction() const noexcept {
        return columns == 0 ? 0.0 : static_cast<double>(outliers) / static_cast<double>(columns);
    }
};
static_assert(llm_int8_result{1, 4}.fraction() == 0.25 && llm_int8_result{}.fraction() == 0.0);

namespace detail {

/// W from panel p on, one panel.
[[nodiscard]] inline packed_view one_panel(packed_view const& w, std::size_t p) noexcept {
    packed_view one = w;
    one.data = w.panel(p);
    one.layout.rows = std::min(panel_columns, w.layout.rows - p * panel_columns);
    one.layout.panels = 1;
    return one;
}

/// Rows [first, first + count) of rows that share scales; first begins a row tile.
[[nodiscard]] inline quantized_rows rows_from(quantized_rows const& x, std::size_t first,
                                              std::size_t count) noexcept {
    quantized_rows part = x;
    part.codes += first * x.depth_tiles * tile_depth;
    part.scales += first;
    part.sums += first * x.plan.total;
    part.rows = count;
    return part;
}

inline namespace QTK_ABI_NS {

/// Outlier columns of X: their indices, and their values [m][count].
struct outlier_values {
    std::vector<std::uint32_t> columns;
    std::vector<float> x;

    outlier_values(input_rows const& from, llm_int8_options const& options)
        : columns(options.columns.empty()
                      ? outlier_columns_of(from, options.threshold)
                      : std::vector<std::uint32_t>(options.columns.begin(), options.columns.end())),
          x(checked_mul(from.rows, columns.size())) {}
};

/// Throws value_error for given columns that are not ascending columns of X.
inline void require_outlier_columns(std::span<std::uint32_t const> columns, std::size_t width) {
    for (std::size_t i = 0; i < columns.size(); ++i)
        if (columns[i] >= width || (i > 0 && columns[i] <= columns[i - 1]))
            throw value_error("llm_int8_gemm: expected ascending outlier columns below " +
                              std::to_string(width) + ", found " + std::to_string(columns[i]) +
                              (i > 0 ? " after " + std::to_string(columns[i - 1]) : ""));
}

/// Row r of X without its outliers, whose values move to `out`. What is no number stays: it makes
/// the row's scale NaN, and its products.
[[nodiscard]] inline float const* take_outliers(input_rows const& x, std::size_t r,
                                                outlier_values& out) {
    struct purpose_of_one;
    auto* const rest = reinterpret_cast<float*>(thread_scratch<purpose_of_one>(x.cols * 4 + 4));
    float const* const row = x.row(r, rest);
    if (row != rest && x.cols > 0) std::memcpy(rest, row, x.cols * sizeof(float));
    float* const taken = out.x.data() + r * out.columns.size();
    for (std::size_t j = 0; j < out.columns.size(); ++j) {
        float& value = rest[out.columns[j]];
        taken[j] = value;
        if (!is_nonfinite(value)) value = 0.0f;
    }
    return rest;
}

/// A part of the product: panel by panel, so that sums stay in the first cache until they are done.
inline void product_with_outliers(instruction_set isa, packed_view const& w,
                                  quantized_rows const& x, outlier_values const& outliers,
                                  product_part const& part, output_rows const& y) {
    constexpr std::size_t most = 256;  // decoded columns at a time: 32 KiB
    struct purpose_of_sums;
    std::size_t const rows = part.row_end - part.row, count = outliers.columns.size();
    auto* const sums = reinterpret_cast<float*>(
        thread_scratch<purpose_of_sums>((rows_of_part + most) * panel_columns * sizeof(float)));
    float* const columns = sums + rows_of_part * panel_columns;
    quantized_rows const codes = rows_from(x, part.row, rows);
    column_decoder const decoder(w);
    for (std::size_t p = part.panel; p < part.panel_end; ++p) {
        packed_view const panel = one_panel(w, p);
        output_rows const to(matrix_view<float>(sums, rows, panel.layout.rows, panel_columns));
        product_int8_on(isa, panel, codes, {0, rows, 0, 1}, to);
        for (std::size_t j = 0; j < count; j += most) {
            std::size_t const n = std::min(most, count - j);
            decoder.decode(p, outliers.columns.data() + j, n, columns);
            add_columns_on(isa, columns, n, outliers.x.data() + part.row * count + j, count, rows,
                           sums);
        }
        write_panel(sums, rows, part.row, p, y);
    }
}

/// All checks, then the product on `isa`, which this process must be able to run.
inline llm_int8_result checked_llm_int8(instruction_set isa, packed_matrix const& w,
                                        input_rows const& x, output_rows y,
                                        llm_int8_options const& options) {
    product_options product{.activations = activation_type::a8_row};
    product.end = options.end;
    require_product_shapes(w, x, y, product);
    require_int8_product(w, product);
    if (!(options.threshold > 0.0f))
        throw value_error("llm_int8_gemm: expected a threshold above 0, found " +
                          std::to_string(options.threshold) +
                          ". Hint: 6, or infinity for no outliers");
    require_outlier_columns(options.columns, x.cols);
    y.end = options.end;
    if (x.rows == 0 || w.rows() == 0) return {0, x.cols};
    outlier_values outliers(x, options);
    llm_int8_result const result{outliers.columns.size(), x.cols};
    if (outliers.columns.empty()) {
        run_product(isa, w.view(), x, y, product);
        return result;
    }
    packed_view const& view = w.view();
    quantized_rows const codes =
        quantize_all(isa, view.layout, x.rows, product,
                     [&](std::size_t r) { return take_outliers(x, r, outliers); });
    for_each_part(x.rows, view.layout, [&](product_part const& part) {
        product_with_outliers(isa, view, codes, outliers, part, y);
    });
    return result;
}

}  // namespace QTK_ABI_NS
}  // namespace detail

inline namespace QTK_ABI_NS {

/// X [m, in], Y [m, out], both f32 or bf16; W of a scheme with integer levels, i8/channel in the
/// paper. Throws shape_error for shapes that do not fit, value_error for a threshold that is not
/// positive, given columns that are none, a scheme without integer levels, and if QTK_ISA names nothing.
template <typename In, typename Out>
llm_int8_result llm_int8_gemm(packed_matrix const& w, matrix_view<In> x, matrix_view<Out> y,
                              llm_int8_options const& options = {}) {
    return detail::checked_llm_int8(active_isa(), w, input_rows(x), output_rows(y), options);
}

}  // namespace QTK_ABI_NS
}  // namespace qtk
