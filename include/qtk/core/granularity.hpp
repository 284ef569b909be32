// SPDX-License-Identifier: Apache-2.0
//
// Who shares a scale? A tile of `rows` x `cols` weights, where 0 spans the whole axis. One type
// holds all four cases, since a channel is a tile of one whole row and a group is a block of one
// row. Weights are [out, in]: groups run along `in`, and the last tile of an axis may be smaller
// than the others.
#pragma once

#include <qtk/core/checked.hpp>
#include <qtk/core/error.hpp>

#include <cstddef>

namespace qtk {

struct granularity {
    int rows = 0;
    int cols = 0;
    friend constexpr bool operator==(granularity const&, granularity const&) = default;
};

inline constexpr granularity per_tensor{};
inline constexpr granularity per_channel{.rows = 1};

/// `size` neighbours along a row share a scale.
consteval granularity per_group(int size) {
    if (size <= 0) throw value_error("qtk: a group needs at least one column: per_group(n), n > 0");
    return {.rows = 1, .cols = size};
}

/// A rectangle of `rows` x `cols` weights shares a scale.
consteval granularity per_block(int rows, int cols) {
    if (rows <= 0 || cols <= 0)
        throw value_error("qtk: a block needs at least one row and one column: per_block(r, c)");
    return {.rows = rows, .cols = cols};
}

/// Is this one of per_tensor, per_channel, per_group(n), per_block(r, c)?
[[nodiscard]] constexpr bool is_known(granularity const& g) noexcept {
    return g == per_tensor || g == per_channel || (g.rows > 0 && g.cols > 0);
}

/// How a matrix falls into tiles: tile (i, j) covers rows [i * rows, ...) and columns [j * cols,
/// ...).
struct tile_grid {
    std::size_t rows = 1, cols = 1;    ///< of a full tile
    std::size_t down = 0, across = 0;  ///< how many tiles along each axis
    std::size_t matrix_rows = 0, matrix_cols = 0;

    constexpr tile_grid(granularity const& g, std::size_t height, std::size_t width) noexcept
        : rows(g.rows > 0 ? static_cast<std::size_t>(g.rows) : (height > 0 ? height : 1)),
          cols(g.cols > 0 ? static_cast<std::size_t>(g.cols) : (width > 0 ? width : 1)),
          down(div_ceil(height, rows)),
          across(div_ceil(width, cols)),
          matrix_rows(height),
          matrix_cols(width) {}

    [[nodiscard]] constexpr std::size_t count() const noexcept { return down * across; }
    /// Rows and columns of tile (i, j): smaller at the lower and right edge.
    [[nodiscard]] constexpr std::size_t height(std::size_t i) const noexcept {
        return i + 1 < down ? rows : matrix_rows - i * rows;
    }
    [[nodiscard]] constexpr std::size_t width(std::size_t j) const noexcept {
        return j + 1 < across ? cols : matrix_cols - j * cols;
    }
};

static_assert(tile_grid(per_group(64), 2, 100).count() == 4);
static_assert(tile_grid(per_group(64), 2, 100).width(1) == 36, "a last partial group");
static_assert(tile_grid(per_tensor, 3, 5).count() == 1 &&
              tile_grid(per_channel, 3, 5).count() == 3);
static_assert(tile_grid(per_tensor, 0, 5).count() == 0, "an empty matrix has no tiles");
static_assert(!is_known(granularity{.rows = 4}) && !is_known(granularity{.cols = -1}));

}  // namespace qtk
