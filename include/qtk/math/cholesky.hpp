// SPDX-License-Identifier: Apache-2.0
//
// Which upper triangular R gives A = R R^T, for a symmetric positive definite A? The factorization that
// runs from the last row to the first. Its inverse is the upper Cholesky factor of A^-1: with U = R^-1,
// A^-1 = U^T U. Methods that need U of an inverse (GPTQ) therefore need no inverse at all.
//
// By blocks: one is factored in double precision, the panel above it multiplied by the block's inverse,
// and what is left reduced by a product of matrices, which is where the n^3/3 operations are. The result
// does not depend on the number of threads.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/core/matrix.hpp>
#include <qtk/core/matrix_view.hpp>
#include <qtk/kernel/parallel.hpp>
#include <qtk/kernel/row_math.hpp>
#include <qtk/math/blas.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace qtk {

namespace detail {

/// One block of at most a few hundred rows, in double precision.
class triangular_block {
  public:
    explicit triangular_block(std::size_t size)
        : size_(size), r_(size * size), inverse_(size * size) {}

    /// Reads the upper triangle of a, [size, size]; false if it is not positive definite.
    [[nodiscard]] bool factor(matrix_view<float const> a) {
        for (std::size_t i = 0; i < size_; ++i)
            for (std::size_t j = i; j < size_; ++j) row(i)[j] = static_cast<double>(a(i, j));
        std::vector<double> column(size_);
        for (std::size_t k = size_; k-- > 0;) {
            double const pivot = row(k)[k];
            if (!(pivot > 0.0) || !std::isfinite(pivot)) return false;
            row(k)[k] = std::sqrt(pivot);
            for (std::size_t i = 0; i < k; ++i) column[i] = row(i)[k] /= row(k)[k];
            for (std::size_t i = 0; i < k; ++i)
                row_add_scaled(std::span(row(i) + i, k - i), -column[i], column.data() + i);
        }
        return true;
    }
    /// Row by row from the last: R_ii u_i = (unit vector) - sum over k > i of R_ik u_k.
    void invert() {
        for (std::size_t i = size_; i-- > 0;) {
            double* const u = inverse_.data() + i * size_;
            u[i] = 1.0;
            for (std::size_t k = i + 1; k < size_; ++k)
                row_add_scaled(std::span(u + k, size_ - k), -row(i)[k],
                               inverse_.data() + k * size_ + k);
            for (std::size_t k = i; k < size_; ++k) u[k] /= row(i)[i];
        }
    }
    void store(matrix_view<float> a) const {
        for (std::size_t i = 0; i < size_; ++i)
            for (std::size_t j = i; j < size_; ++j) a(i, j) = static_cast<float>(r_[i * size_ + j]);
    }
    /// R^-1 with zeros below the diagonal.
    [[nodiscard]] matrix inverse_floats() const {
        matrix m(size_, size_);
        for (std::size_t i = 0; i < m.view().size(); ++i)
            m.data()[i] = static_cast<float>(inverse_[i]);
        return m;
    }

  private:
    double* row(std::size_t i) noexcept { return r_.data() + i * size_; }

    std::size_t size_;
    std::vector<double> r_, inverse_;
};

/// a(i, j) -= sum over k of p(i, k) p(j, k), j >= i: the upper triangle, a strip of rows at a time.
inline void reduce_upper(matrix_view<float> a, matrix_view<float const> p) {
    constexpr std::size_t strip = 128;
    std::size_t const strips = div_ceil(a.rows, strip);
    parallel_for(strips, a.rows * a.rows * p.cols / 32, [&](std::size_t at) {
        // Wide strips and narrow ones in turn, so that halves of them are the same work.
        std::size_t const s = at % 2 == 0 ? at / 2 : strips - 1 - at / 2;
        std::size_t const top = s * strip, height = std::min(strip, a.rows - top);
        matmul({p.data + top * p.stride, height, p.cols, p.stride},
               {p.data + top * p.stride, a.rows - top, p.cols, p.stride},
               matrix_view<float>(a.data + top * a.stride + top, height, a.cols - top, a.stride),
               {.alpha = -1.0f, .beta = 1.0f});
    });
}

}  // namespace detail

/// Puts R into the upper triangle of a [n, n]; what lies below the diagonal is neither read nor given a
/// meaning. False, with `a` half done, if it is not positive definite (or not finite) in floats. Throws
/// shape_error if a is not square.
[[nodiscard]] inline bool factor_upper(matrix_view<float> a) {
    if (a.rows != a.cols)
        throw shape_error("factor_upper: expected a square matrix, found [" +
                          std::to_string(a.rows) + ", " + std::to_string(a.cols) + "]");
    constexpr std::size_t most = 128, panel_strip = 256;
    single_threaded_blas const one_thread;
    std::size_t end = a.rows;
    while (end > 0) {
        // Blocks begin at multiples, so that the last one may be short and the others are not.
        std::size_t const first = (end - 1) / most * most, count = end - first;
        detail::triangular_block block(count);
        matrix_view<float> const diagonal(a.data + first * a.stride + first, count, count,
                                          a.stride);
        if (!block.factor(diagonal)) return false;
        block.store(diagonal);
        if (first == 0) return true;
        block.invert();
        matrix const inverse = block.inverse_floats();
        matrix_view<float> const panel(a.data + first, first, count, a.stride);
        parallel_for(div_ceil(first, panel_strip), first * count * count / 16, [&](std::size_t s) {
            std::size_t const top = s * panel_strip, height = std::min(panel_strip, first - top);
            matrix solved(height, count);
            matrix_view<float> const part(panel.data + top * a.stride, height, count, a.stride);
            matmul(part, inverse.view(), solved.view());
            for (std::size_t r = 0; r < height; ++r)
                std::ranges::copy(solved.view().row(r), part.row(r).begin());
        });
        detail::reduce_upper({a.data, first, first, a.stride}, panel);
        end = first;
    }
    return true;
}

}  // namespace qtk
