// SPDX-License-Identifier: Apache-2.0
//
// Y = X W^T for many rows of X at once: activations [m, in], weights [out, in], result [m, out]. A
// strip of weight rows is decoded once and used for every row of X. `sgemm` is the same product
// with float weights.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/core/matrix_view.hpp>
#include <qtk/kernel/decode.hpp>
#include <qtk/kernel/dot.hpp>
#include <qtk/kernel/gemv.hpp>
#include <qtk/kernel/parallel.hpp>

#include <algorithm>
#include <cstddef>
#include <string>
#include <vector>

namespace qtk {

namespace detail {
inline void require_gemm_shapes(char const* name, std::size_t out, std::size_t in,
                                matrix_view<float const> x, matrix_view<float const> y) {
    if (x.cols != in || y.rows != x.rows || y.cols != out)
        throw shape_error(std::string(name) + ": W is " + std::to_string(out) + " x " +
                          std::to_string(in) + ", X " + std::to_string(x.rows) + " x " +
                          std::to_string(x.cols) + ", so X needs " + std::to_string(in) +
                          " columns and Y is " + std::to_string(x.rows) + " x " +
                          std::to_string(out) + "; found " + std::to_string(y.rows) + " x " +
                          std::to_string(y.cols));
    require_apart(name, "X", x, y);
}

/// Weight rows that one task multiplies: whole panels, at most eight, which use copies of X
/// together; fewer where threads would go without.
[[nodiscard]] inline std::size_t strip_of_weights(std::size_t rows) noexcept {
    constexpr std::size_t most_panels = 8;
    std::size_t const wanted = 4 * thread_count();
    std::size_t const panels = div_ceil(div_ceil(rows, panel_columns), wanted);
    return std::clamp<std::size_t>(panels, 1, most_panels) * panel_columns;
}
}  // namespace detail

/// What gemm means: gemv_scalar for each row of X.
inline void gemm_scalar(any_qmatrix const& w, matrix_view<float const> x, matrix_view<float> y) {
    detail::require_gemm_shapes("gemm", w.rows(), w.cols(), x, y);
    for (std::size_t m = 0; m < x.rows; ++m) gemv_scalar(w, x.row(m), y.row(m));
}

inline namespace QTK_ABI_NS {

/// Y = X W^T with float weights, [out, in]. Each element is one dot(). Throws shape_error, and value_error
/// if Y lies over X.
inline void sgemm(matrix_view<float const> x, matrix_view<float const> w, matrix_view<float> y) {
    detail::require_gemm_shapes("sgemm", w.rows, w.cols, x, y);
    instruction_set const isa = active_isa();
    std::size_t const strip = detail::strip_of_weights(w.rows);
    parallel_for(div_ceil(w.rows, strip), w.size() * x.rows, [&](std::size_t s) {
        std::size_t const first = s * strip, count = std::min(w.rows - first, strip);
        detail::dot_all_on(isa, {x.data, x.rows, x.stride},
                           {w.data + first * w.stride, count, w.stride}, w.cols, y.data + first,
                           y.stride);
    });
}

/// Y = X W^T on packed codes; row m of Y is gemv of row m of X, bit for bit. Throws shape_error, and
/// value_error if Y lies over X.
inline void gemm(any_qmatrix const& w, matrix_view<float const> x, matrix_view<float> y) {
    detail::require_gemm_shapes("gemm", w.rows(), w.cols(), x, y);
    if (x.rows == 0) return;
    instruction_set const isa = active_isa();
    constexpr std::size_t strip = panel_columns;
    parallel_for(div_ceil(w.rows(), strip), w.size() * (x.rows + 1), [&](std::size_t s) {
        std::size_t const first = s * strip, count = std::min(w.rows() - first, strip);
        std::vector<float> panel(count * w.cols());
        decode_rows(w, first, count, panel.data());
        detail::dot_all_on(isa, {x.data, x.rows, x.stride}, {panel.data(), count, w.cols()},
                           w.cols(), y.data + first, y.stride);
    });
}

}  // namespace QTK_ABI_NS
}  // namespace qtk
