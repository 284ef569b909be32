// SPDX-License-Identifier: Apache-2.0
//
// Weights and inputs for tests of methods that look at data: neighbouring columns are alike, as those of
// activations are.
#pragma once

#include <qtk/core/matrix.hpp>
#include <qtk/core/random.hpp>
#include <qtk/method/input_statistics.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace qtk_test {

/// Standard normal values.
inline qtk::matrix random_matrix(std::size_t rows, std::size_t cols, std::uint64_t seed) {
    qtk::matrix m(rows, cols);
    std::ranges::copy(qtk::gaussian_vector(rows * cols, seed), m.data());
    return m;
}

/// 2/N sum x^T x of 4 `columns` rows in which each value is 0.9 times its left neighbour and noise.
inline qtk::matrix correlated_hessian(std::size_t columns, std::uint64_t seed) {
    qtk::matrix x = random_matrix(4 * columns, columns, seed);
    for (std::size_t r = 0; r < x.rows(); ++r)
        for (std::size_t c = 1; c < columns; ++c) x(r, c) = 0.9f * x(r, c - 1) + 0.436f * x(r, c);
    qtk::input_statistics seen(columns);
    seen.add(x.view());
    return seen.hessian();
}

}  // namespace qtk_test
