// SPDX-License-Identifier: Apache-2.0
//
// y = W x on packed codes: each row is decoded into a cache line's neighbourhood and multiplied at
// once, so memory sees the packed bytes alone. Rows are split between threads; the result is the
// same for any number of them.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/format/qmatrix.hpp>
#include <qtk/kernel/decode.hpp>
#include <qtk/kernel/dot.hpp>
#include <qtk/kernel/parallel.hpp>

#include <algorithm>
#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace qtk {

namespace detail {
inline void require_gemv_shapes(any_qmatrix const& w, std::size_t x, std::size_t y) {
    if (x != w.cols() || y != w.rows())
        throw shape_error("gemv: W is " + std::to_string(w.rows()) + " x " +
                          std::to_string(w.cols()) + ", so x needs " + std::to_string(w.cols()) +
                          " values and y " + std::to_string(w.rows()) + "; found " +
                          std::to_string(x) + " and " + std::to_string(y));
}
inline void require_gemv(any_qmatrix const& w, std::span<float const> x, std::span<float const> y) {
    require_gemv_shapes(w, x.size(), y.size());
    require_apart("gemv", "x", matrix_view<float const>(x.data(), 1, x.size()),
                  matrix_view<float const>(y.data(), 1, y.size()));
}
}  // namespace detail

/// What gemv means: element by element, sums in double precision. y[r] = sum over c of W(r, c)
/// x[c].
inline void gemv_scalar(any_qmatrix const& w, std::span<float const> x, std::span<float> y) {
    detail::require_gemv(w, x, y);
    auto const level = levels_of(w.scheme().element);
    bool const has_offset = w.scheme().element.is_integer();
    for (std::size_t r = 0; r < w.rows(); ++r) {
        double sum = 0.0;
        for (std::size_t c = 0; c < w.cols(); ++c) {
            tile_params const p = w.params(r / w.grid().rows, c / w.grid().cols);
            float const value =
                (level[w.field(r, c)] - static_cast<float>(has_offset ? p.zero : 0)) * p.scale;
            sum += static_cast<double>(value) * static_cast<double>(x[c]);
        }
        y[r] = static_cast<float>(sum);
    }
}

inline namespace QTK_ABI_NS {

/// y = W x; W is [rows, cols], x has cols values, y rows. Within (cols + 1) * 2^-23 * sum |W x| of
/// gemv_scalar. Throws shape_error, and value_error if y lies over x.
inline void gemv(any_qmatrix const& w, std::span<float const> x, std::span<float> y) {
    detail::require_gemv(w, x, y);
    instruction_set const isa = active_isa();
    // Rows of one decoder, and of one dot_all: the kernels of wide machines take 32 together.
    constexpr std::size_t strip = panel_columns;
    std::size_t const panel = isa >= instruction_set::avx2 ? strip : 4;
    parallel_for(div_ceil(w.rows(), strip), w.size(), [&](std::size_t s) {
        row_decoder decoder(w);
        std::vector<float> weights(panel * w.cols());
        std::size_t const end = std::min(w.rows(), (s + 1) * strip);
        for (std::size_t r = s * strip; r < end; r += panel) {
            std::size_t const count = std::min(panel, end - r);
            decoder.decode(r, count, weights.data());
            detail::dot_all_on(isa, {x.data(), 1, x.size()}, {weights.data(), count, w.cols()},
                               w.cols(), y.data() + r, y.size());
        }
    });
}

}  // namespace QTK_ABI_NS
}  // namespace qtk
