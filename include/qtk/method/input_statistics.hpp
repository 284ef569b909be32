// SPDX-License-Identifier: Apache-2.0
//
// What is known of the rows x [in] that a linear layer will multiply? Calibration shows it some of
// them; every method that needs data asks here. Over N rows:
//
//   mean, mean |x|, mean x^2, max |x|     of each column
//   range     the least and the greatest of all values
//   hessian   H = 2/N sum x^T x, [in, in]: the second derivative of |x W^T - x W'^T|^2 (GPTQ,
//             Frantar et al. 2022, section 3.1)
//   rows      a sample of the rows themselves, drawn evenly from all of them
//
// Sums of columns are doubles; the Hessian is summed in floats, in an order that does not depend on
// the number of threads.
#pragma once

#include <qtk/core/checked.hpp>
#include <qtk/core/concepts.hpp>
#include <qtk/core/error.hpp>
#include <qtk/core/matrix.hpp>
#include <qtk/core/matrix_view.hpp>
#include <qtk/core/nonfinite.hpp>
#include <qtk/core/random.hpp>
#include <qtk/kernel/parallel.hpp>
#include <qtk/math/blas.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace qtk {

/// What is kept beside the sums of columns.
struct statistics_options {
    bool has_hessian = true;    ///< 4 in^2 bytes.
    std::size_t kept_rows = 0;  ///< Rows of the sample, 4 in bytes each.
    std::uint64_t seed = 0;     ///< Of the sample.
};

class input_statistics {
  public:
    input_statistics() = default;
    explicit input_statistics(std::size_t columns, statistics_options const& options = {})
        : options_(options),
          sum_(columns),
          magnitude_(columns),
          square_(columns),
          largest_(columns),
          hessian_(options.has_hessian ? columns : 0, options.has_hessian ? columns : 0) {}

    [[nodiscard]] std::size_t columns() const noexcept { return sum_.size(); }
    [[nodiscard]] std::size_t count() const noexcept { return count_; }

    /// Takes rows x [n, columns]. Throws shape_error for another width, nonfinite_error (and counts
    /// nothing) if a value is NaN or infinite.
    void add(matrix_view<float const> x) {
        if (x.cols != columns())
            throw shape_error("input statistics: expected rows of " + std::to_string(columns()) +
                              ", found " + std::to_string(x.cols));
        require_finite(find_nonfinite(x), "input statistics: a row", x.cols);
        add_columns(x);
        if (options_.has_hessian) add_products(x);
        for (std::size_t r = 0; r < x.rows; ++r) sample(x.row(r), count_ + r);
        count_ += x.rows;
    }

    [[nodiscard]] std::vector<float> mean() const { return over_count(sum_); }
    [[nodiscard]] std::vector<float> abs_mean() const { return over_count(magnitude_); }
    [[nodiscard]] std::vector<float> square_mean() const { return over_count(square_); }
    [[nodiscard]] std::span<float const> abs_max() const noexcept { return largest_; }
    /// Of all columns together; {0, 0} before the first row.
    [[nodiscard]] interval range() const noexcept { return range_; }
    /// The sample, [min(kept_rows, count()), columns].
    [[nodiscard]] matrix_view<float const> rows() const noexcept {
        return {rows_.data(), columns() == 0 ? 0 : rows_.size() / columns(), columns()};
    }
    /// 2/N sum x^T x, symmetric. Throws value_error if none was asked for or no row was seen.
    [[nodiscard]] matrix hessian() const {
        if (!options_.has_hessian || count_ == 0)
            throw value_error("input statistics: there is no Hessian, " +
                              std::string(count_ == 0 ? "no row was added" : "none was asked for"));
        matrix h(columns(), columns());
        float const scale = 2.0f / static_cast<float>(count_);
        parallel_for(columns(), h.view().size(), [&](std::size_t i) {
            for (std::size_t j = 0; j < columns(); ++j)
                h(i, j) = scale * hessian_(std::min(i, j), std::max(i, j));
        });
        return h;
    }

  private:
    [[nodiscard]] std::vector<float> over_count(std::vector<double> const& sums) const {
        std::vector<float> means(sums.size());
        double const n = static_cast<double>(std::max<std::size_t>(count_, 1));
        for (std::size_t i = 0; i < sums.size(); ++i) means[i] = static_cast<float>(sums[i] / n);
        return means;
    }

    void add_columns(matrix_view<float const> x) noexcept {
        if (count_ == 0 && x.size() > 0) range_ = {x(0, 0), x(0, 0)};
        for (std::size_t r = 0; r < x.rows; ++r) {
            std::span<float const> const row = x.row(r);
            for (std::size_t c = 0; c < row.size(); ++c) {
                double const v = static_cast<double>(row[c]), size = std::fabs(v);
                sum_[c] += v;
                magnitude_[c] += size;
                square_[c] += v * v;
                largest_[c] = std::max(largest_[c], std::fabs(row[c]));
                range_.lowest = std::min(range_.lowest, row[c]);
                range_.highest = std::max(range_.highest, row[c]);
            }
        }
    }

    /// The upper triangle of sum x^T x, in strips of its rows.
    void add_products(matrix_view<float const> x) {
        constexpr std::size_t most = 512, strip = 128;
        std::size_t const n = columns();
        single_threaded_blas const one_thread;
        for (std::size_t first = 0; first < x.rows; first += most) {
            std::size_t const count = std::min(most, x.rows - first);
            matrix_view<float const> const part(x.data + first * x.stride, count, n, x.stride);
            matrix columns_of(n, count);  // a factor that lies by columns
            parallel_for(n, n * count, [&](std::size_t c) {
                for (std::size_t r = 0; r < count; ++r) columns_of(c, r) = part(r, c);
            });
            parallel_for(div_ceil(n, strip), n * n * count / 32, [&](std::size_t s) {
                std::size_t const top = s * strip, height = std::min(strip, n - top);
                matrix_view<float const> const all = columns_of.view();
                matmul({all.data + top * count, height, count},
                       {all.data + top * count, n - top, count},
                       matrix_view<float>(hessian_.data() + top * n + top, height, n - top, n),
                       {.beta = 1.0f});
            });
        }
    }

    /// Algorithm R (Vitter 1985): row i replaces a kept one with the probability that keeps all
    /// rows equally likely.
    void sample(std::span<float const> row, std::size_t i) {
        if (options_.kept_rows == 0) return;
        if (i < options_.kept_rows) {
            rows_.insert(rows_.end(), row.begin(), row.end());
            return;
        }
        // A word modulo i + 1: its bias is below 2^-32 for any number of rows one will see.
        std::uint64_t const at = word_at(options_.seed, i) % (i + 1);
        if (at < options_.kept_rows)
            std::copy(row.begin(), row.end(),
                      rows_.begin() + static_cast<std::ptrdiff_t>(at * columns()));
    }

    statistics_options options_;
    std::size_t count_ = 0;
    std::vector<double> sum_, magnitude_, square_;
    std::vector<float> largest_, rows_;
    interval range_{};
    matrix hessian_;
};

}  // namespace qtk
