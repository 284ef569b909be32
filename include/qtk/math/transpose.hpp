// SPDX-License-Identifier: Apache-2.0
//
// How do rows become columns? In squares, so that both the rows that are read and those that are written
// stay in the cache.
#pragma once

#include <qtk/core/matrix.hpp>
#include <qtk/core/matrix_view.hpp>

#include <algorithm>
#include <cstddef>

namespace qtk {

/// [cols, rows] of m [rows, cols].
[[nodiscard]] inline matrix transposed(matrix_view<float const> m) {
    constexpr std::size_t side = 32;
    matrix t(m.cols, m.rows);
    for (std::size_t top = 0; top < m.rows; top += side)
        for (std::size_t left = 0; left < m.cols; left += side)
            for (std::size_t r = top; r < std::min(top + side, m.rows); ++r)
                for (std::size_t c = left; c < std::min(left + side, m.cols); ++c)
                    t(c, r) = m(r, c);
    return t;
}

}  // namespace qtk
