// SPDX-License-Identifier: Apache-2.0
//
// How does each code make up for the errors of those before it? GPTQ (Frantar, Ashkboos, Hoefler, Alistarh
// 2022, "GPTQ: Accurate Post-Training Quantization for Generative Pre-trained Transformers", algorithm 1):
// column by column, minimizing tr((W - W') H (W - W')^T) with H = 2/N sum x^T x of the layer's inputs.
//
// The paper subtracts e_i U_ij from the columns that follow, with U the Cholesky factor of H^-1. Here R =
// U^-1, which factors H itself (H = R R^T, R upper), gives the same columns without an inverse (Chen et al.
// 2025, "The Geometry of LLM Quantization: GPTQ as Babai's Nearest Plane Algorithm"):
//
//   x_j = w_j + sum over i < j of (w_i - w'_i) R_ij / R_jj,   w'_j = Q(x_j)
//
// in blocks of about 128 columns: within one row by row, beyond it as a product of matrices.
//
// Differs from the paper's code: the grid of a group is fitted on weights that hold every error made before
// the group, those of its own block included; columns that were always zero are rounded instead of
// zeroed; min-max intervals contain zero.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/core/matrix.hpp>
#include <qtk/core/matrix_view.hpp>
#include <qtk/format/checkpoint_packing.hpp>
#include <qtk/format/ordered_qmatrix.hpp>
#include <qtk/format/qmatrix.hpp>
#include <qtk/kernel/parallel.hpp>
#include <qtk/kernel/row_math.hpp>
#include <qtk/math/blas.hpp>
#include <qtk/method/damping.hpp>
#include <qtk/method/tile_fit.hpp>
#include <qtk/quantize.hpp>
#include <qtk/quantizer/any_quantizer.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

namespace qtk {

/// In which order columns are quantized. `activation` ("act-order") begins with the largest diagonal of H;
/// columns that are quantized together then share scales, and lie apart in the weight.
enum class gptq_order : std::uint8_t { natural, activation };

/// When scales are fitted. `running`: on the weights as they are when a group begins. `fixed` ("static
/// groups"): on the original ones, so that act-order keeps every column in its place.
enum class gptq_groups : std::uint8_t { running, fixed };

/// What happens if no damping up to 1 makes the Hessian positive definite.
enum class gptq_failure : std::uint8_t { error, round_to_nearest };

struct gptq_options {
    float damping = 0.01f;  ///< The first fraction of the mean diagonal that is added to it.
    gptq_order order = gptq_order::natural;
    gptq_groups groups = gptq_groups::running;
    tile_range range = minmax_range{};
    gptq_failure on_failure = gptq_failure::error;
};

struct gptq_result {
    ordered_qmatrix weight;
    damping_report damping;
    double loss = 0.0;         ///< Half of tr((W - W') H (W - W')^T), damping included.
    bool is_fallback = false;  ///< Rounded to nearest, since there was no Cholesky factor.
};

namespace detail {

/// One matrix in work: rows are independent, so strips of them are the unit of parallel work.
class gptq_pass {
  public:
    /// `columns_of` is the unit upper triangular factor R_ij / R_jj, `diagonal` R_jj.
    gptq_pass(scheme const& s, matrix_view<float const> w, matrix const& factor,
              std::vector<float> const& diagonal, tile_range const& range, any_quantizer const& q,
              char const* name)
        : w_(w),
          factor_(factor),
          diagonal_(diagonal),
          range_(range),
          q_(q),
          name_(name),
          grid_(s.grain, w.rows, w.cols) {}

    /// Parameters of every column's tile, if they are fixed: tile_of[k] is the tile of column k.
    void fix(std::vector<tile_params> params, std::vector<std::uint32_t> tile_of) {
        params_ = std::move(params);
        tile_of_ = std::move(tile_of);
    }
    void run(row_major<std::uint8_t>& fields) {
        bool const fits = params_.empty();
        if (fits) params_.resize(grid_.count());
        losses_.assign(w_.rows, 0.0);
        // The size depends on the shape alone: products of strips round alike for any number of threads.
        std::size_t const strip = std::clamp<std::size_t>(div_ceil(w_.rows, 8), 16, 256);
        single_threaded_blas const one_thread;
        parallel_for(div_ceil(w_.rows, strip), w_.size() * w_.cols, [&](std::size_t s) {
            std::size_t const first = s * strip;
            run_strip(first, std::min(strip, w_.rows - first), fits, fields);
        });
    }
    [[nodiscard]] std::vector<tile_params> const& params() const noexcept { return params_; }
    [[nodiscard]] double loss() const {
        return 0.5 * std::accumulate(losses_.begin(), losses_.end(), 0.0);
    }

  private:
    /// The column after the block that begins at `first`: whole small groups, or a part of a large one.
    [[nodiscard]] std::size_t block_end(std::size_t first) const noexcept {
        constexpr std::size_t most = 128;
        std::size_t const group = grid_.cols;
        std::size_t const step =
            group <= most ? most / group * group : std::min(most, group - first % group);
        return std::min(w_.cols, first + step);
    }

    void run_strip(std::size_t first, std::size_t rows, bool fits,
                   row_major<std::uint8_t>& fields) {
        matrix moved(rows, w_.cols), errors(rows, 128);
        for (std::size_t r = 0; r < rows; ++r)
            std::ranges::copy(w_.row(first + r), moved.view().row(r).begin());
        std::vector<float> scratch;
        for (std::size_t left = 0; left < w_.cols; left = block_end(left)) {
            std::size_t const right = block_end(left);
            for (std::size_t r = 0; r < rows; ++r)
                run_row(first + r, left, right, fits, moved.view().row(r), errors.view().row(r),
                        fields.values.data() + (first + r) * w_.cols, scratch);
            if (right == w_.cols) break;
            std::size_t const n = w_.cols;
            matmul<factor::plain>({errors.data(), rows, right - left, 128},
                                  {factor_.data() + left * n + right, right - left, n - right, n},
                                  matrix_view<float>(moved.data() + right, rows, n - right, n),
                                  {.beta = 1.0f});
        }
    }

    /// Columns left .. right of one row: codes, and the errors w - w' that later columns make up for.
    void run_row(std::size_t row, std::size_t left, std::size_t right, bool fits,
                 std::span<float> x, std::span<float> errors, std::uint8_t* fields,
                 std::vector<float>& scratch) {
        std::span<float const> const w = w_.row(row);
        for (std::size_t j = left; j < right; ++j) {
            if (fits && j % grid_.cols == 0) fit_group(row, j, w, x, scratch);
            tile_params const p = params_of(row, j);
            fields[j] = q_.encode(x[j], p);
            float const left_over = x[j] - q_.decode(fields[j], p);
            float const error = w[j] - q_.decode(fields[j], p);
            errors[j - left] = error;
            double const scaled =
                static_cast<double>(left_over) * static_cast<double>(diagonal_[j]);
            losses_[row] += scaled * scaled;
            row_add_scaled(x.subspan(j + 1, right - j - 1), error,
                           factor_.data() + j * w_.cols + j + 1);
        }
    }

    /// The parameters of the group that begins at column j, from its weights as the paper would have them
    /// now: w + (x - w) F^-1 with F the group's part of the factor, whose rows are not applied yet.
    void fit_group(std::size_t row, std::size_t j, std::span<float const> w,
                   std::span<float const> x, std::vector<float>& scratch) {
        std::size_t const count = grid_.width(j / grid_.cols);
        scratch.resize(count);
        for (std::size_t i = 0; i < count; ++i) scratch[i] = x[j + i] - w[j + i];
        for (std::size_t i = 0; i < count && j > 0; ++i)
            row_add_scaled(std::span(scratch).subspan(i + 1), -scratch[i],
                           factor_.data() + (j + i) * (w_.cols + 1) + 1);
        for (std::size_t i = 0; i < count; ++i) scratch[i] += w[j + i];
        std::size_t const tile = row * grid_.across + j / grid_.cols;
        params_[tile] = q_.fit(interval_of(range_, scratch, q_));
        require_finite_scale(params_[tile], name_, tile);
    }

    [[nodiscard]] tile_params params_of(std::size_t row, std::size_t j) const noexcept {
        std::size_t const across = tile_of_.empty() ? j / grid_.cols : tile_of_[j];
        return params_[row / grid_.rows * grid_.across + across];
    }

    matrix_view<float const> w_;
    matrix const& factor_;
    std::vector<float> const& diagonal_;
    tile_range const& range_;
    any_quantizer const& q_;
    char const* name_;
    tile_grid grid_;
    std::vector<tile_params> params_;
    std::vector<std::uint32_t> tile_of_;
    std::vector<double> losses_;
};

/// Columns by falling diagonal; equal ones stay in order.
[[nodiscard]] inline std::vector<std::uint32_t> activation_order(matrix_view<float const> h) {
    std::vector<std::uint32_t> order(h.rows);
    std::iota(order.begin(), order.end(), 0u);
    std::ranges::stable_sort(order,
                             [&](std::uint32_t a, std::uint32_t b) { return h(a, a) > h(b, b); });
    return order;
}

}  // namespace detail

/// GPTQ on a plain matrix: qtk::quantize<w4>(weight, qtk::gptq{hessian}).
class gptq {
  public:
    /// `hessian` is [in, in]: input_statistics::hessian(), or any multiple of sum x^T x. Borrowed, or kept
    /// if it is given away.
    explicit gptq(kept_matrix hessian, gptq_options options = {})
        : hessian_(std::move(hessian)), options_(std::move(options)) {}

    /// Throws shape_error for a Hessian of another size, value_error for one that no damping helps (unless
    /// the options say otherwise), nonfinite_error for weights or Hessians that are not finite.
    [[nodiscard]] gptq_result run(scheme const& s, matrix_view<float const> w,
                                  quantize_options const& options = {}) const {
        if (char const* fault = fault_of(s)) throw value_error("gptq: " + std::string(fault));
        require_hessian(hessian_.view(), w.cols);
        require_finite(find_nonfinite(w), options.name, w.cols);
        if (!(options_.damping >= 0.0f))
            throw value_error("gptq: expected a damping of 0 or more, found " +
                              std::to_string(options_.damping));
        bool const sorts = options_.order == gptq_order::activation;
        std::vector<std::uint32_t> order;
        if (sorts) order = detail::activation_order(hessian_.view());
        auto [factor, damping] = damped_factor(hessian_.view(), options_.damping, order);
        bool const falls_back = !damping.succeeded;
        if (falls_back) {
            if (options_.on_failure == gptq_failure::error)
                throw value_error(
                    std::string(options.name) +
                    ": the Hessian is not positive definite with a damping of " +
                    detail::fractions_text(damping.tried) +
                    ". Hint: more calibration text, or gptq_failure::round_to_nearest");
            factor = matrix(w.cols, w.cols);
            for (std::size_t i = 0; i < w.cols; ++i) factor(i, i) = 1.0f;
        }
        gptq_result result = work(s, w, order, factor, options);
        result.damping = std::move(damping);
        result.is_fallback = falls_back;
        return result;
    }

    /// The codes alone. Throws like run(), and value_error where act-order has moved columns: those need
    /// the order beside them.
    [[nodiscard]] any_qmatrix quantize(scheme const& s, matrix_view<float const> w,
                                       quantize_options const& options = {}) const {
        gptq_result result = run(s, w, options);
        if (!result.weight.order.empty())
            throw value_error(
                std::string(options.name) +
                ": act-order with running groups moves columns. Hint: gptq::run(), or "
                "gptq_groups::fixed");
        return std::move(result.weight.matrix);
    }

  private:
    [[nodiscard]] gptq_result work(scheme const& s, matrix_view<float const> w,
                                   std::vector<std::uint32_t> const& order, matrix& factor,
                                   quantize_options const& options) const {
        std::vector<float> diagonal(w.cols);
        for (std::size_t j = 0; j < w.cols; ++j) diagonal[j] = factor(j, j);
        parallel_for(w.cols, factor.view().size(), [&](std::size_t i) {
            for (std::size_t j = i; j < w.cols; ++j) factor(i, j) /= diagonal[j];
        });
        matrix sorted(order.empty() ? 0 : w.rows, w.cols);
        for (std::size_t r = 0; r < sorted.rows(); ++r)
            for (std::size_t k = 0; k < w.cols; ++k) sorted(r, k) = w(r, order[k]);
        any_qmatrix q(s, w.rows, w.cols);
        tile_grid const& grid = q.grid();
        float const tensor_scale = detail::tensor_scale_of(s, w);
        any_quantizer const quantizer(s, tensor_scale);
        bool const is_fixed = options_.groups == gptq_groups::fixed || grid.rows > 1;
        detail::gptq_pass pass(s, order.empty() ? w : sorted.view(), factor, diagonal,
                               options_.range, quantizer, options.name);
        if (is_fixed) {
            std::vector<std::uint32_t> tiles(w.cols);
            for (std::size_t k = 0; k < w.cols; ++k)
                tiles[k] = static_cast<std::uint32_t>((order.empty() ? k : order[k]) / grid.cols);
            pass.fix(fit_tiles(s, w, quantizer, options_.range, options.name), std::move(tiles));
        }
        row_major<std::uint8_t> fields{.rows = w.rows, .cols = w.cols};
        pass.run(fields);
        q.set_params(pass.params(), tensor_scale);
        // Columns stay where they were quantized if their neighbours there share a scale.
        bool const keeps_order = !order.empty() && !is_fixed && grid.across > 1;
        parallel_for(w.rows, w.size(), [&](std::size_t r) {
            std::vector<std::uint8_t> row(w.cols);
            for (std::size_t k = 0; k < w.cols; ++k)
                row[order.empty() || keeps_order ? k : order[k]] = fields(r, k);
            q.set_row(r, row);
        });
        return {.weight = {std::move(q), keeps_order ? order : std::vector<std::uint32_t>{}},
                .damping = {},
                .loss = pass.loss()};
    }

    kept_matrix hessian_;
    gptq_options options_;
};
static_assert(weight_method<gptq>);

}  // namespace qtk
