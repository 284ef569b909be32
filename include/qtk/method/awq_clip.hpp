// SPDX-License-Identifier: Apache-2.0
//
// Is the largest weight of a group worth the step that it forces on the others? AWQ's second search
// (Lin et al. 2024, as published with the paper): for each row and group the threshold whose clipped
// and rounded weights change the group's part of the dot products least,
//
//   m = max|w| (1 - i/20), i = 0..9;   error(m) = sum over rows of x of (x_g w_g - x_g Q(clip(w_g)))^2
//
// With D = w - Q(clip(w)) for many rows of W at once this is |X_g D^T|^2, or D G D^T with G = X_g^T X_g
// where there are more rows of x than columns in the group.
//
// Differs from the publication: rows of x are every n-th one, and the last group may be shorter.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/core/matrix.hpp>
#include <qtk/core/matrix_view.hpp>
#include <qtk/core/nonfinite.hpp>
#include <qtk/core/scheme.hpp>
#include <qtk/format/qmatrix.hpp>
#include <qtk/kernel/parallel.hpp>
#include <qtk/math/blas.hpp>
#include <qtk/method/tile_method.hpp>
#include <qtk/quantize.hpp>
#include <qtk/quantizer/any_quantizer.hpp>
#include <qtk/range/minmax.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <span>
#include <string>
#include <vector>

namespace qtk {

/// A weight method: quantize<w4>(weight, awq_clip{rows}).
struct awq_clip {
    matrix_view<float const> rows;  ///< x [n, in], n > 0
    std::size_t most_rows = 512;    ///< of them that are looked at
    int steps = 20;                 ///< of the largest magnitude
    float most_clipped = 0.5f;      ///< the share of it that may be clipped, in [0, 1)

    /// W [out, in] clipped, then rounded to nearest. Throws shape_error for rows of another length,
    /// value_error without rows, for options out of range and for tiles taller than a row, and
    /// what round to nearest throws.
    [[nodiscard]] any_qmatrix quantize(scheme const& s, matrix_view<float const> w,
                                       quantize_options const& options = {}) const {
        return round_tiles(s, clipped(s, w, options).view(), minmax_range{}, options);
    }

    /// W with every group clipped at its threshold. Throws as above.
    [[nodiscard]] matrix clipped(scheme const& s, matrix_view<float const> w,
                                 quantize_options const& options = {}) const {
        require(s, w, options);
        matrix out(w.rows, w.cols);
        for (std::size_t r = 0; r < w.rows; ++r)
            std::ranges::copy(w.row(r), out.view().row(r).begin());
        matrix const x = looked_at();
        tile_grid const grid(s.grain, w.rows, w.cols);
        constexpr std::size_t strip = 64;  // rows of W that are tried together
        single_threaded_blas const one_thread;
        for (std::size_t j = 0; j < grid.across; ++j) {
            group_error const error(x.view(), j * grid.cols, grid.width(j));
            std::size_t const work = w.rows * grid.width(j) * grid.width(j);
            parallel_for(div_ceil(w.rows, strip), work, [&](std::size_t i) {
                std::size_t const top = i * strip, height = std::min(strip, w.rows - top);
                clip_strip(
                    s, error,
                    {out.data() + top * w.cols + j * grid.cols, height, grid.width(j), w.cols});
            });
        }
        return out;
    }

  private:
    /// error(D) for rows D [n, width] of one group.
    class group_error {
      public:
        group_error(matrix_view<float const> x, std::size_t first, std::size_t width)
            : is_gram_(x.rows > width), factor_(is_gram_ ? width : x.rows, width) {
            matrix part(width, x.rows);  // X_g^T, contiguous
            for (std::size_t r = 0; r < x.rows; ++r)
                for (std::size_t c = 0; c < width; ++c) part(c, r) = x(r, first + c);
            if (is_gram_)
                matmul(part.view(), part.view(), factor_.view());
            else
                for (std::size_t r = 0; r < x.rows; ++r)
                    for (std::size_t c = 0; c < width; ++c) factor_(r, c) = part(c, r);
        }
        [[nodiscard]] std::vector<double> of(matrix const& d) const {
            matrix product(d.rows(), factor_.rows());
            matmul(d.view(), factor_.view(), product.view());
            matrix const& other = is_gram_ ? d : product;
            std::vector<double> sums(d.rows());
            for (std::size_t r = 0; r < d.rows(); ++r)
                for (std::size_t c = 0; c < product.cols(); ++c)
                    sums[r] +=
                        static_cast<double>(product(r, c)) * static_cast<double>(other(r, c));
            return sums;
        }

      private:
        bool is_gram_;
        matrix factor_;  // G [width, width], or X_g [n, width]
    };

    /// Clips w [height, width], the rows of one group.
    void clip_strip(scheme const& s, group_error const& error, matrix_view<float> w) const {
        // Two-level scales depend on the whole matrix; here every tile has its own.
        scheme judged = s;
        if (judged.scale == scale_type::e4m3) judged.scale = scale_type::f32;
        any_quantizer const q(judged);
        std::vector<float> best(w.rows), largest(w.rows);
        std::vector<double> least(w.rows, std::numeric_limits<double>::infinity());
        for (std::size_t r = 0; r < w.rows; ++r)
            for (float const v : w.row(r)) largest[r] = std::max(largest[r], std::fabs(v));
        int const tried = std::max(1, static_cast<int>(most_clipped * static_cast<float>(steps)));
        matrix d(w.rows, w.cols);
        for (int i = 0; i < tried; ++i) {
            float const share = 1.0f - static_cast<float>(i) / static_cast<float>(steps);
            for (std::size_t r = 0; r < w.rows; ++r)
                round_off(q, w.row(r), largest[r] * share, d.view().row(r));
            std::vector<double> const found = error.of(d);
            for (std::size_t r = 0; r < w.rows; ++r)
                if (found[r] < least[r]) least[r] = found[r], best[r] = largest[r] * share;
        }
        for (std::size_t r = 0; r < w.rows; ++r)
            for (float& v : w.row(r)) v = std::clamp(v, -best[r], best[r]);
    }

    /// d = w - Q(clip(w)) of one tile.
    static void round_off(any_quantizer const& q, std::span<float const> w, float threshold,
                          std::span<float> d) noexcept {
        for (std::size_t c = 0; c < w.size(); ++c) d[c] = std::clamp(w[c], -threshold, threshold);
        tile_params const p = q.fit(minmax_range{}.estimate(d));
        for (std::size_t c = 0; c < w.size(); ++c) d[c] = w[c] - q.round_trip(d[c], p);
    }

    [[nodiscard]] matrix looked_at() const {
        std::size_t const step = div_ceil(rows.rows, most_rows);
        matrix x(div_ceil(rows.rows, step), rows.cols);
        for (std::size_t r = 0; r < x.rows(); ++r)
            std::ranges::copy(rows.row(r * step), x.view().row(r).begin());
        return x;
    }

    void require(scheme const& s, matrix_view<float const> w,
                 quantize_options const& options) const {
        std::string const name = std::string("awq_clip: ") + options.name;
        if (rows.cols != w.cols)
            throw shape_error(name + " has " + std::to_string(w.cols) + " columns, found rows of " +
                              std::to_string(rows.cols));
        if (rows.rows == 0 || most_rows == 0)
            throw value_error(name + ": there are no rows to measure the error on");
        if (steps < 1 || !(most_clipped >= 0.0f && most_clipped < 1.0f))
            throw value_error("awq_clip: expected at least 1 step and a share in [0, 1), found " +
                              std::to_string(steps) + " and " + std::to_string(most_clipped));
        if (s.grain.rows != 1)
            throw value_error("awq_clip: expected groups or channels, found " + to_string(s));
        require_finite(find_nonfinite(w), options.name, w.cols);
    }
};
static_assert(weight_method<awq_clip>);

}  // namespace qtk
