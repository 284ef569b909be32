// SPDX-License-Identifier: Apache-2.0
//
// What is quantization without data? Round to nearest: every tile gets an interval from a range
// estimator, the interval a scale and a zero, every value the nearest code. The baseline that every
// other method is compared with.
//
// Tiles of one row (groups, channels) are fitted and encoded in one pass over memory; taller tiles
// (blocks, the whole tensor) are fitted first. Two-level scales need the largest tile scale first,
// hence one pass more.
#pragma once

#include <qtk/core/concepts.hpp>
#include <qtk/core/nonfinite.hpp>
#include <qtk/format/qmatrix.hpp>
#include <qtk/kernel/encode.hpp>
#include <qtk/kernel/parallel.hpp>
#include <qtk/quantizer/tile_quantizer.hpp>

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

namespace qtk {

/// What the caller decides beside the scheme and the range.
struct quantize_options {
    nonfinite on_nonfinite = nonfinite::error;
    std::uint64_t seed =
        0;  ///< Stochastic rounding: value i of the matrix, row-major, takes word i of the stream.
    char const* name = "weight";  ///< What error messages call the matrix.
};

namespace detail {

/// Round to nearest over the tiles of one matrix, [rows, cols]. Holds what the passes share.
template <quantizer Q, range_estimator E>
class rtn_pass {
  public:
    rtn_pass(scheme const& s, matrix_view<float const> w, E const& estimator,
             quantize_options const& options)
        : estimator_(estimator),
          options_(options),
          w_(w),
          result_(s, w.rows, w.cols),
          grid_(result_.grid()) {}

    any_qmatrix run() && {
        clean();
        params_.resize(grid_.count());
        intervals_.resize(grid_.count());
        bool const is_two_level = result_.scheme().scale == scale_type::e4m3;
        bool const is_one_row = grid_.rows == 1;
        if (is_two_level || !is_one_row)
            parallel_for(grid_.down, work(), [&](std::size_t i) { measure(i); });
        if (is_two_level) {
            float largest = 0.0f;
            for (interval const& range : intervals_)
                largest = std::max(largest, Q::ideal_scale(range));
            tensor_scale_ = two_level_tensor_scale(largest);
        }
        Q const q(result_.scheme().scale, tensor_scale_);
        if (!is_one_row) parallel_for(grid_.down, grid_.count(), [&](std::size_t i) { fit(q, i); });
        parallel_for(w_.rows, work(), [&](std::size_t r) {
            if (is_one_row) {
                if (!is_two_level) measure(r);
                fit(q, r);
            }
            encode(q, r);
        });
        result_.set_params(params_, tensor_scale_);
        return std::move(result_);
    }

  private:
    std::size_t work() const noexcept { return w_.rows * w_.cols; }

    /// Looks for NaN and infinity and does what the options say.
    void clean() {
        nonfinite_scan const found = find_nonfinite(w_);
        if (found.count == 0) return;
        if (options_.on_nonfinite == nonfinite::error)
            require_finite(found, options_.name, w_.cols);
        has_nonfinite_ = true;
        if (options_.on_nonfinite == nonfinite::propagate) return;
        copy_.reserve(work());
        for (std::size_t r = 0; r < w_.rows; ++r)
            copy_.insert(copy_.end(), w_.row(r).begin(), w_.row(r).end());
        w_ = matrix_view<float const>(copy_.data(), w_.rows, w_.cols);
        std::vector<float> tile;
        for (std::size_t i = 0; i < grid_.down; ++i)
            for (std::size_t j = 0; j < grid_.across; ++j) {
                std::span<float const> const values = tile_values(i, j, tile);
                if (values.data() != tile.data()) tile.assign(values.begin(), values.end());
                replace_nonfinite(tile, options_.on_nonfinite);
                for (std::size_t r = 0; r < grid_.height(i); ++r)
                    for (std::size_t c = 0; c < grid_.width(j); ++c)
                        copy_[(i * grid_.rows + r) * w_.cols + j * grid_.cols + c] =
                            tile[r * grid_.width(j) + c];
            }
        has_nonfinite_ = false;
    }

    /// The values of tile (i, j): in place where they are neighbours, else gathered into `scratch`.
    std::span<float const> tile_values(std::size_t i, std::size_t j,
                                       std::vector<float>& scratch) const {
        std::size_t const top = i * grid_.rows, left = j * grid_.cols;
        std::size_t const height = grid_.height(i), width = grid_.width(j);
        float const* const first = w_.data + top * w_.stride + left;
        if (height == 1 || (width == w_.cols && w_.is_contiguous())) return {first, height * width};
        scratch.clear();
        for (std::size_t r = 0; r < height; ++r)
            scratch.insert(scratch.end(), first + r * w_.stride, first + r * w_.stride + width);
        return scratch;
    }

    void measure(std::size_t i) {
        Q const q(result_.scheme().scale == scale_type::e4m3 ? scale_type::f32
                                                             : result_.scheme().scale);
        std::vector<float> scratch;
        for (std::size_t j = 0; j < grid_.across; ++j) {
            std::span<float const> const values = tile_values(i, j, scratch);
            bool const is_lost = has_nonfinite_ && find_nonfinite(values).count > 0;
            intervals_[i * grid_.across + j] =
                is_lost ? interval{} : estimate_range(estimator_, values, q);
            params_[i * grid_.across + j].zero = is_lost ? lost : 0;
        }
    }

    void fit(Q const& q, std::size_t i) {
        for (std::size_t j = 0; j < grid_.across; ++j) {
            tile_params& p = params_[i * grid_.across + j];
            if (p.zero == lost) {
                p = {std::numeric_limits<float>::quiet_NaN(), symmetric_zero(Q::element)};
                continue;
            }
            p = q.fit(intervals_[i * grid_.across + j]);
            if (is_nonfinite(p.scale))
                throw value_error(std::string(options_.name) + ": tile (" + std::to_string(i) +
                                  ", " + std::to_string(j) + ") needs a larger scale than " +
                                  std::string(word_for(scale_types, q.type())) +
                                  " can hold. Hint: store scales as bf16 or f32");
        }
    }

    void encode(Q const& q, std::size_t r) {
        std::vector<std::uint8_t> fields(w_.cols);
        for (std::size_t j = 0; j < grid_.across; ++j) {
            tile_params const p = params_[r / grid_.rows * grid_.across + j];
            std::size_t const left = j * grid_.cols, width = grid_.width(j);
            if (p.scale != p.scale)
                std::fill_n(fields.data() + left, width, static_cast<std::uint8_t>(p.zero));
            else
                encode_span(q, w_.row(r).subspan(left, width), p, fields.data() + left,
                            {.seed = options_.seed, .first = r * w_.cols + left});
        }
        result_.set_row(r, fields);
    }

    static constexpr int lost =
        -1;  ///< Marks a tile that holds NaN or infinity under nonfinite::propagate.

    E const& estimator_;
    quantize_options options_;
    matrix_view<float const> w_;
    any_qmatrix result_;
    tile_grid grid_;
    std::vector<float> copy_;
    std::vector<interval> intervals_;
    std::vector<tile_params> params_;
    float tensor_scale_ = 1.0f;
    bool has_nonfinite_ = false;
};

}  // namespace detail

/// Round to nearest with quantizer Q, whose element and symmetry are those of `s`; w is [rows,
/// cols]. Throws nonfinite_error by default, value_error if a tile's scale does not fit the
/// scheme's scale type.
template <quantizer Q, range_estimator E>
[[nodiscard]] any_qmatrix round_to_nearest(scheme const& s, matrix_view<float const> w,
                                           E const& estimator,
                                           quantize_options const& options = {}) {
    return detail::rtn_pass<Q, E>(s, w, estimator, options).run();
}

}  // namespace qtk
