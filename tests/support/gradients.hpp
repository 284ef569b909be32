// SPDX-License-Identifier: Apache-2.0
//
// Is a gradient right? Compared with differences of the loss itself.
#pragma once

#include <qtk/core/matrix.hpp>
#include <qtk/core/random.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>

namespace qtk_test {

/// Moves every parameter by `step` both ways and compares with `gradient`, to within `tolerance` of its
/// largest value. loss() reads the parameters, and is a double made of floats.
template <typename F>
void check_gradient(std::span<float> parameters, std::span<float const> gradient, F const& loss,
                    double tolerance = 5e-3, float step = 5e-3f) {
    REQUIRE(parameters.size() == gradient.size());
    double largest = 0.0, worst = 0.0;
    for (float const g : gradient) largest = std::max(largest, std::fabs(static_cast<double>(g)));
    for (std::size_t i = 0; i < parameters.size(); ++i) {
        float const kept = parameters[i];
        parameters[i] = kept + step;
        double const above = loss(), up = static_cast<double>(parameters[i]);
        parameters[i] = kept - step;
        double const below = loss(), down = static_cast<double>(parameters[i]);
        parameters[i] = kept;
        worst = std::max(
            worst, std::fabs((above - below) / (up - down) - static_cast<double>(gradient[i])));
    }
    CHECK(largest > 0.0);
    CHECK(worst <= tolerance * largest);
}

/// Sum of c y: a loss whose gradient by y is c.
inline double weighted_sum(qtk::matrix_view<float const> c, qtk::matrix_view<float const> y) {
    double sum = 0.0;
    for (std::size_t r = 0; r < y.rows; ++r)
        for (std::size_t i = 0; i < y.cols; ++i)
            sum += static_cast<double>(c(r, i)) * static_cast<double>(y(r, i));
    return sum;
}

}  // namespace qtk_test
