// SPDX-License-Identifier: Apache-2.0
//
// Which columns of a layer's input are outliers, if calibration decides once instead of every product
// anew? LLM.int8() (Dettmers et al. 2022, arXiv:2208.07339) multiplies the columns in which some |x|
// reaches 6 as floats and the rest as int8, and finds them in every product; its section 4 shows that
// they are few and stay the same from token to token. Here rows of a calibration text are counted:
//
//   reach[j]   rows in which |x_j| reaches the threshold
//   peak[j]    max |x_j| over all rows
//
// and a column is an outlier if it reaches the threshold in a given share of the rows. The set goes to
// llm_int8_options::columns or layer_activations::columns; the weight is plain i8/channel.
//
// Differs from the paper: a fixed set needs no search in the product, and rows do not depend on their
// neighbours; a value beyond the threshold in another column is rounded with its row. The float columns
// multiply decoded int8 weights, as in kernel/llm_int8.hpp; the paper keeps half-precision ones.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/core/matrix_view.hpp>
#include <qtk/core/nonfinite.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace qtk {

/// The columns that stay floats, and what calibration says about them.
struct calibrated_outliers {
    std::vector<std::uint32_t> columns;  ///< ascending
    float threshold = 6.0f;
    double column_fraction = 0.0;  ///< outlier columns over all columns
    double row_fraction = 0.0;     ///< rows with a value at or beyond the threshold, in any column
    double missed = 0.0;           ///< of all values at or beyond it, those in other columns
};

class outlier_statistics {
  public:
    /// Throws value_error for a threshold that is not positive.
    explicit outlier_statistics(std::size_t columns, float threshold = 6.0f)
        : threshold_(threshold), reach_(columns), peak_(columns) {
        if (!(threshold > 0.0f))
            throw value_error("outlier statistics: expected a threshold above 0, found " +
                              std::to_string(threshold));
    }

    [[nodiscard]] std::size_t columns() const noexcept { return peak_.size(); }
    [[nodiscard]] std::size_t count() const noexcept { return count_; }

    /// Counts rows x [n, columns]. Throws shape_error for another width, nonfinite_error (and counts
    /// nothing) if a value is NaN or infinite.
    void add(matrix_view<float const> x) {
        if (x.cols != columns())
            throw shape_error("outlier statistics: expected rows of " + std::to_string(columns()) +
                              ", found " + std::to_string(x.cols));
        require_finite(find_nonfinite(x), "outlier statistics: a row", x.cols);
        for (std::size_t r = 0; r < x.rows; ++r) {
            bool is_reached = false;
            for (std::size_t c = 0; c < x.cols; ++c) {
                float const size = std::fabs(x(r, c));
                peak_[c] = std::max(peak_[c], size);
                if (size < threshold_) continue;
                ++reach_[c];
                is_reached = true;
            }
            rows_reached_ += is_reached ? 1 : 0;
        }
        count_ += x.rows;
    }

    /// Columns that reach the threshold in more than `share` of the rows; 0: in any row. Throws
    /// value_error for a share outside [0, 1) and before a row was added.
    [[nodiscard]] calibrated_outliers outliers(double share = 0.0) const {
        require_rows();
        require_share(share);
        calibrated_outliers found{.columns = {}, .threshold = threshold_};
        double const rows = static_cast<double>(count_);
        double inside = 0.0, all = 0.0;
        for (std::size_t c = 0; c < columns(); ++c) {
            double const reach = static_cast<double>(reach_[c]);
            all += reach;
            if (!(reach > share * rows)) continue;
            inside += reach;
            found.columns.push_back(static_cast<std::uint32_t>(c));
        }
        if (columns() > 0)
            found.column_fraction =
                static_cast<double>(found.columns.size()) / static_cast<double>(columns());
        found.row_fraction = static_cast<double>(rows_reached_) / rows;
        found.missed = all > 0.0 ? (all - inside) / all : 0.0;
        return found;
    }

    /// The least threshold that at most `share` of the columns ever reach: for a product that looks for
    /// outliers itself. Throws like outliers().
    [[nodiscard]] float threshold_for(double share) const {
        require_rows();
        require_share(share);
        std::vector<float> peaks = peak_;
        std::ranges::sort(peaks, std::greater{});
        auto const most =
            static_cast<std::size_t>(std::floor(share * static_cast<double>(peaks.size())));
        if (peaks.empty()) return threshold_;
        return std::nextafter(peaks[most], HUGE_VALF);
    }

  private:
    void require_rows() const {
        if (count_ == 0) throw value_error("outlier statistics: no row was added");
    }
    static void require_share(double share) {
        if (!(share >= 0.0 && share < 1.0))
            throw value_error("outlier statistics: expected a share in [0, 1), found " +
                              std::to_string(share));
    }

    float threshold_;
    std::size_t count_ = 0, rows_reached_ = 0;
    std::vector<std::size_t> reach_;
    std::vector<float> peak_;
};

}  // namespace qtk
