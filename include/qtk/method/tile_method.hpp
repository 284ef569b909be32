// SPDX-License-Identifier: Apache-2.0
//
// How does a method that chooses scale and zero tile by tile make a quantized matrix? It gives one
// function, from the values of a tile to its parameters; what is the same for all such methods (tiles
// of any shape, values that are no numbers, two-level scales, threads, codes) is here.
//
//     fit(q, tile) -> tile_params     q: any_quantizer of the scheme, tile: tile_values
//
// Of two-level schemes the tensor scale is the one of round to nearest: the largest min-max scale lands
// on the largest e4m3 value.
#pragma once

#include <qtk/core/abi.hpp>
#include <qtk/core/concepts.hpp>
#include <qtk/core/nonfinite.hpp>
#include <qtk/format/qmatrix.hpp>
#include <qtk/kernel/code_rule.hpp>
#include <qtk/kernel/parallel.hpp>
#include <qtk/method/rtn.hpp>
#include <qtk/method/tile_fit.hpp>
#include <qtk/quantizer/any_quantizer.hpp>
#include <qtk/range/minmax.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <variant>
#include <vector>

namespace qtk {

/// The values of one tile, row by row, and the columns of the matrix that they are from.
struct tile_values {
    std::span<float const> values;
    std::size_t left = 0, width = 0;

    /// The column of value i.
    [[nodiscard]] constexpr std::size_t column(std::size_t i) const noexcept {
        return left + i % width;
    }
};
static_assert(tile_values{{}, 6, 3}.column(4) == 7);

namespace detail {
inline namespace QTK_ABI_NS {

/// One matrix, [rows, cols], on its way through a method.
template <typename Fit>
class tile_pass {
  public:
    tile_pass(scheme const& s, matrix_view<float const> w, quantize_options const& options,
              Fit const& fit)
        : w_(w),
          options_(options),
          fit_(fit),
          result_(s, w.rows, w.cols),
          grid_(result_.grid()),
          params_(grid_.count()) {}

    any_qmatrix run() && {
        if (options_.on_nonfinite == nonfinite::error)
            require_finite(find_nonfinite(w_), options_.name, w_.cols);
        scheme const& s = result_.scheme();
        float const tensor_scale = s.scale == scale_type::e4m3 ? chosen_tensor_scale() : 1.0f;
        any_quantizer const q(s, tensor_scale);
        constexpr std::size_t nanoseconds_a_value = 100;
        parallel_for(grid_.down, checked_mul(w_.size(), nanoseconds_a_value),
                     [&](std::size_t i) { quantize_tiles(q, i); });
        result_.set_params(params_, tensor_scale);
        return std::move(result_);
    }

  private:
    /// The values of tile (i, j), replaced where the options say so; empty if the tile is lost.
    [[nodiscard]] std::span<float const> gather(std::size_t i, std::size_t j,
                                                std::vector<float>& to) const {
        gather_tile(w_, grid_, i, j, to);
        replace_nonfinite(to, options_.on_nonfinite);
        if (options_.on_nonfinite == nonfinite::propagate && find_nonfinite(to).count > 0)
            to.clear();
        return to;
    }

    [[nodiscard]] float chosen_tensor_scale() const {
        any_quantizer const q(result_.scheme());
        std::vector<float> tile;
        float largest = 0.0f;
        for (std::size_t i = 0; i < grid_.down; ++i)
            for (std::size_t j = 0; j < grid_.across; ++j)
                largest =
                    std::max(largest, q.ideal_scale(minmax_range{}.estimate(gather(i, j, tile))));
        return two_level_tensor_scale(largest);
    }

    /// Parameters and codes of tile row i.
    void quantize_tiles(any_quantizer const& q, std::size_t i) {
        std::size_t const height = grid_.height(i);
        std::vector<std::uint8_t> fields(height * w_.cols);
        std::vector<float> tile;
        for (std::size_t j = 0; j < grid_.across; ++j) {
            std::size_t const left = j * grid_.cols, width = grid_.width(j);
            std::span<float const> const values = gather(i, j, tile);
            bool const is_lost = values.empty();
            tile_params p{std::numeric_limits<float>::quiet_NaN(), symmetric_zero(q.element)};
            if (!is_lost) {
                p = fit_(q, tile_values{values, left, width});
                if (is_nonfinite(p.scale))
                    throw_lost_scale(options_.name, i, j, result_.scheme().scale);
            }
            params_[i * grid_.across + j] = p;
            for (std::size_t r = 0; r < height; ++r) {
                dither_source const dither{options_.seed, (i * grid_.rows + r) * w_.cols + left};
                for (std::size_t c = 0; c < width; ++c)
                    fields[r * w_.cols + left + c] =
                        is_lost ? static_cast<std::uint8_t>(p.zero)
                                : q.encode(values[r * width + c], p, dither.at(c));
            }
        }
        for (std::size_t r = 0; r < height; ++r)
            result_.set_row(i * grid_.rows + r, std::span(fields).subspan(r * w_.cols, w_.cols));
    }

    matrix_view<float const> w_;
    quantize_options options_;
    Fit const& fit_;
    any_qmatrix result_;
    tile_grid grid_;
    std::vector<tile_params> params_;
};

}  // namespace QTK_ABI_NS
}  // namespace detail

inline namespace QTK_ABI_NS {

/// Quantizes w, [rows, cols], with the parameters that fit(q, tile) gives for each tile of finite
/// values. Throws like round to nearest. The result does not depend on the number of threads.
template <typename Fit>
[[nodiscard]] any_qmatrix quantize_tiles(scheme const& s, matrix_view<float const> w,
                                         quantize_options const& options, Fit const& fit) {
    return detail::tile_pass<Fit>(s, w, options, fit).run();
}

/// Round to nearest with an interval estimator that is known at run time. Throws like round to nearest.
[[nodiscard]] inline any_qmatrix round_tiles(scheme const& s, matrix_view<float const> w,
                                             tile_range const& range = minmax_range{},
                                             quantize_options const& options = {}) {
    return std::visit(
        [&](auto const& how) { return round_to_nearest<any_quantizer>(s, w, how, options); },
        range);
}

}  // namespace QTK_ABI_NS
}  // namespace qtk
