// SPDX-License-Identifier: Apache-2.0
//
// What are the scales and zeros of a whole matrix before a method moves a single weight? Those of round
// to nearest, in any granularity: where tiles are taller than a row, or a method is told to fix its grid
// first, they stay.
#pragma once

#include <qtk/core/concepts.hpp>
#include <qtk/core/error.hpp>
#include <qtk/core/granularity.hpp>
#include <qtk/core/matrix_view.hpp>
#include <qtk/core/nonfinite.hpp>
#include <qtk/core/scheme.hpp>
#include <qtk/kernel/parallel.hpp>
#include <qtk/quantizer/any_quantizer.hpp>
#include <qtk/range/minmax.hpp>
#include <qtk/range/mse.hpp>

#include <algorithm>
#include <cstddef>
#include <span>
#include <string>
#include <variant>
#include <vector>

namespace qtk {

/// How a method finds the interval of a tile.
using tile_range = std::variant<minmax_range, mse_range>;

/// The interval of a tile; throws value_error like its estimator.
[[nodiscard]] inline interval interval_of(tile_range const& range, std::span<float const> tile,
                                          any_quantizer const& q) {
    return std::visit([&](auto const& how) { return estimate_range(how, tile, q); }, range);
}

namespace detail {

/// The values of tile (i, j) one after the other.
inline void gather_tile(matrix_view<float const> w, tile_grid const& grid, std::size_t i,
                        std::size_t j, std::vector<float>& to) {
    to.clear();
    for (std::size_t r = 0; r < grid.height(i); ++r) {
        float const* const first = w.data + (i * grid.rows + r) * w.stride + j * grid.cols;
        to.insert(to.end(), first, first + grid.width(j));
    }
}

/// The tensor scale of a two-level scheme, 1 for the others: the largest scale of all is stored as the
/// largest e4m3 value.
[[nodiscard]] inline float tensor_scale_of(scheme const& s, matrix_view<float const> w) {
    if (s.scale != scale_type::e4m3) return 1.0f;
    any_quantizer const q(s);
    tile_grid const grid(s.grain, w.rows, w.cols);
    std::vector<float> tile;
    float largest = 0.0f;
    for (std::size_t i = 0; i < grid.down; ++i)
        for (std::size_t j = 0; j < grid.across; ++j) {
            gather_tile(w, grid, i, j, tile);
            largest = std::max(largest, q.ideal_scale(minmax_range{}.estimate(tile)));
        }
    return two_level_tensor_scale(largest);
}

}  // namespace detail

/// Throws value_error if a scale is too small for its type; `name` is the matrix, `tile` counts row by row.
inline void require_finite_scale(tile_params const& p, char const* name, std::size_t tile) {
    if (!is_nonfinite(p.scale)) return;
    throw value_error(
        std::string(name) + ": tile " + std::to_string(tile) +
        " needs a larger scale than its type can store. Hint: scale_type f32 or bf16");
}

/// Parameters of every tile of w, tiles row by row, and the tensor scale that `q` was made with. Throws
/// value_error where a scale does not fit its type.
[[nodiscard]] inline std::vector<tile_params> fit_tiles(scheme const& s, matrix_view<float const> w,
                                                        any_quantizer const& q,
                                                        tile_range const& range, char const* name) {
    tile_grid const grid(s.grain, w.rows, w.cols);
    std::vector<tile_params> params(grid.count());
    parallel_for(grid.down, w.size() * 8, [&](std::size_t i) {
        std::vector<float> tile;
        for (std::size_t j = 0; j < grid.across; ++j) {
            detail::gather_tile(w, grid, i, j, tile);
            std::size_t const at = i * grid.across + j;
            params[at] = q.fit(interval_of(range, tile, q));
            require_finite_scale(params[at], name, at);
        }
    });
    return params;
}

}  // namespace qtk
