// SPDX-License-Identifier: Apache-2.0
//
// What is quantization without data? Round to nearest: every tile gets an interval from a range
// estimator, the interval a scale and a zero, every value the nearest code. The baseline that every
// other method is compared with.
//
// Tiles of one row (groups, channels) are fitted and encoded in one pass over memory; taller tiles
// (blocks, the whole tensor) are fitted first. Two-level scales need the largest tile scale first,
// hence one pass more. That everything is finite is found out on the way; where it is not, the work
// starts again and looks for what is wrong first.
#pragma once

#include <qtk/core/abi.hpp>
#include <qtk/core/concepts.hpp>
#include <qtk/core/nonfinite.hpp>
#include <qtk/format/qmatrix.hpp>
#include <qtk/kernel/encode_row.hpp>
#include <qtk/kernel/isa.hpp>
#include <qtk/kernel/parallel.hpp>
#include <qtk/quantizer/tile_quantizer.hpp>
#include <qtk/range/minmax.hpp>

#include <algorithm>
#include <atomic>
#include <concepts>
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

[[noreturn]] inline void throw_lost_scale(char const* name, std::size_t i, std::size_t j,
                                          scale_type type) {
    throw value_error(std::string(name) + ": tile (" + std::to_string(i) + ", " +
                      std::to_string(j) + ") needs a larger scale than " +
                      std::string(word_for(scale_types, type)) +
                      " can hold. Hint: store scales as bf16 or f32");
}

inline namespace QTK_ABI_NS {

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
        params_.resize(grid_.count());
        if (!is_one_pass()) intervals_.resize(grid_.count());
        if (!run_sound()) {
            intervals_.resize(grid_.count());
            clean();
            run_any();
        }
        result_.set_params(params_, tensor_scale_);
        return std::move(result_);
    }

  private:
    /// Does the interval come from the smallest and the largest value? The kernels find those.
    static constexpr bool takes_extremes = std::same_as<E, minmax_range> && has_encoder<Q>;

    std::size_t work() const noexcept { return w_.rows * w_.cols; }
    scale_type type() const noexcept { return result_.scheme().scale; }
    bool is_two_level() const noexcept { return type() == scale_type::e4m3; }
    bool is_one_pass() const noexcept {
        return takes_extremes && grid_.rows == 1 && !is_two_level();
    }
    dither_source dither(std::size_t r) const noexcept { return {options_.seed, r * w_.cols}; }

    /// The whole work, as long as values are finite and scales fit their type; false, and nothing
    /// is decided, as soon as one is not.
    bool run_sound() {
        std::atomic<bool> is_sound{true};
        auto const go_on = [&](bool fine) {
            if (!fine) is_sound.store(false, std::memory_order_relaxed);
        };
        auto const goes_on = [&] { return is_sound.load(std::memory_order_relaxed); };
        bool const fits_rows = grid_.rows == 1 && !is_two_level();
        if (!fits_rows) {
            parallel_for(grid_.down, work(), [&](std::size_t i) {
                if (goes_on()) go_on(measure_sound(i));
            });
            if (!goes_on()) return false;
            choose_tensor_scale();
        }
        Q const q(result_.scheme(), tensor_scale_);
        if (!fits_rows)
            parallel_for(grid_.down, grid_.count(), [&](std::size_t i) { go_on(fit(q, i)); });
        parallel_for(w_.rows, work(), [&](std::size_t r) {
            if (!goes_on()) return;
            if constexpr (takes_extremes)
                if (fits_rows)
                    return go_on(quantize_row(isa_, q, w_.row(r), grid_.cols, dither(r),
                                              tiles_of_row(r),
                                              result_.writable_row_codes(r).data()));
            if (!fits_rows || (measure_sound(r) && fit(q, r)))
                encode_whole(q, r);
            else
                go_on(false);
        });
        return goes_on();
    }

    /// The same for whatever `clean` has left.
    void run_any() {
        bool const is_one_row = grid_.rows == 1;
        if (is_two_level() || !is_one_row)
            parallel_for(grid_.down, work(), [&](std::size_t i) { measure(i); });
        if (is_two_level()) choose_tensor_scale();
        Q const q(result_.scheme(), tensor_scale_);
        if (!is_one_row)
            parallel_for(grid_.down, grid_.count(), [&](std::size_t i) { require_fit(q, i); });
        parallel_for(w_.rows, work(), [&](std::size_t r) {
            if (is_one_row) {
                if (!is_two_level()) measure(r);
                require_fit(q, r);
            }
            encode(q, r);
        });
    }

    void choose_tensor_scale() {
        if (!is_two_level()) return;
        float largest = 0.0f;
        Q const q(result_.scheme());
        for (interval const& range : intervals_) largest = std::max(largest, q.ideal_scale(range));
        tensor_scale_ = two_level_tensor_scale(largest);
    }

    tile_params* tiles_of_row(std::size_t r) noexcept {
        return params_.data() + r / grid_.rows * grid_.across;
    }

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

    /// The intervals of tile row i; false if a value is not finite.
    bool measure_sound(std::size_t i) {
        interval* const range = intervals_.data() + i * grid_.across;
        if constexpr (takes_extremes) {
            std::vector<extremes> found(grid_.across);
            for (std::size_t r = i * grid_.rows; r < i * grid_.rows + grid_.height(i); ++r) {
                if (!measure_tiles(isa_, w_.row(r), grid_.cols, result_.scheme().has_zero_point(),
                                   found.data()))
                    return false;
                for (std::size_t j = 0; j < grid_.across; ++j)
                    range[j] = {std::min(range[j].lowest, found[j].lowest),
                                std::max(range[j].highest, found[j].highest)};
            }
        } else {
            for (std::size_t r = i * grid_.rows; r < i * grid_.rows + grid_.height(i); ++r) {
                extremes whole{};
                if (!measure_tiles(isa_, w_.row(r), std::max<std::size_t>(w_.cols, 1), false,
                                   &whole))
                    return false;
            }
            measure(i);
        }
        return true;
    }

    void measure(std::size_t i) {
        scheme s = result_.scheme();
        if (is_two_level()) s.scale = scale_type::f32;
        Q const q(s);
        std::vector<float> scratch;
        for (std::size_t j = 0; j < grid_.across; ++j) {
            std::span<float const> const values = tile_values(i, j, scratch);
            bool const is_lost = has_nonfinite_ && find_nonfinite(values).count > 0;
            intervals_[i * grid_.across + j] =
                is_lost ? interval{} : estimate_range(estimator_, values, q);
            params_[i * grid_.across + j].zero = is_lost ? lost : 0;
        }
    }

    /// The parameters of tile row i; false if a scale does not fit its type.
    bool fit(Q const& q, std::size_t i) {
        bool fits = true;
        for (std::size_t j = 0; j < grid_.across; ++j) {
            tile_params& p = params_[i * grid_.across + j];
            bool const is_lost = p.zero == lost;
            if (is_lost)
                p = {std::numeric_limits<float>::quiet_NaN(), symmetric_zero(q.element)};
            else
                p = q.fit(intervals_[i * grid_.across + j]);
            fits = fits && (is_lost || !is_nonfinite(p.scale));
        }
        return fits;
    }
    void require_fit(Q const& q, std::size_t i) {
        if (fit(q, i)) return;
        std::size_t j = 0;
        while (!is_nonfinite(q.fit(intervals_[i * grid_.across + j]).scale)) ++j;
        throw_lost_scale(options_.name, i, j, type());
    }

    void encode_whole(Q const& q, std::size_t r) {
        encode_row(isa_, q, tiles_of_row(r), w_.row(r), 0, grid_.cols, takes_extremes, dither(r),
                   result_.writable_row_codes(r).data());
    }

    /// Tiles that are lost have no codes.
    void encode(Q const& q, std::size_t r) {
        tile_params const* const p = tiles_of_row(r);
        if (!has_nonfinite_) return encode_whole(q, r);
        std::vector<std::uint8_t> fields(w_.cols);
        for (std::size_t j = 0; j < grid_.across; ++j) {
            std::size_t const left = j * grid_.cols, width = grid_.width(j);
            if (p[j].scale != p[j].scale)
                std::fill_n(fields.data() + left, width, static_cast<std::uint8_t>(p[j].zero));
            else
                encode_span(isa_, q, w_.row(r).subspan(left, width), p[j], fields.data() + left,
                            dither(r).from(left));
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
    instruction_set isa_ = active_isa();
};

}  // namespace QTK_ABI_NS
}  // namespace detail

inline namespace QTK_ABI_NS {

/// Round to nearest with quantizer Q, whose element and symmetry are those of `s`; w is [rows,
/// cols]. Throws nonfinite_error by default, value_error if a tile's scale does not fit the
/// scheme's scale type.
template <quantizer Q, range_estimator E>
[[nodiscard]] any_qmatrix round_to_nearest(scheme const& s, matrix_view<float const> w,
                                           E const& estimator,
                                           quantize_options const& options = {}) {
    return detail::rtn_pass<Q, E>(s, w, estimator, options).run();
}

/// The values that round to nearest leaves, without codes in between: bit for bit what decoding
/// round_to_nearest gives, where tiles have one row, scales one level, and the interval is that of
/// the extremes. Writes them to `out`, [rows, cols]; false, with `out` half written, if a value is
/// not finite or a scale does not fit.
template <quantizer Q>
[[nodiscard]] bool fake_round_to_nearest(scheme const& s, matrix_view<float const> w,
                                         matrix_view<float> out,
                                         quantize_options const& options = {}) {
    tile_grid const grid(s.grain, w.rows, w.cols);
    QTK_EXPECTS(grid.rows == 1 && s.scale != scale_type::e4m3);
    instruction_set const set = active_isa();
    bool const is_large = outgrows_cache(w.size() * sizeof(float));
    Q const q(s);
    level_rule const rule(q.element);
    std::atomic<bool> is_sound{true};
    constexpr std::size_t strip = 16;  // rows between two fences
    parallel_for(div_ceil(w.rows, strip), w.size(), [&](std::size_t at) {
        std::vector<tile_params> params(grid.across);
        for (std::size_t r = at * strip; r < std::min(w.rows, (at + 1) * strip); ++r)
            if (is_sound.load(std::memory_order_relaxed) &&
                !fake_quantize_row(set, q, rule, w.row(r), grid.cols, {options.seed, r * w.cols},
                                   is_large, params.data(), out.row(r).data()))
                is_sound.store(false, std::memory_order_relaxed);
        if (is_large) stream_fence();
    });
    return is_sound.load();
}

}  // namespace QTK_ABI_NS

}  // namespace qtk
