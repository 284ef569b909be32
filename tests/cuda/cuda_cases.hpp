// SPDX-License-Identifier: Apache-2.0
//
// Weights, activations and the naive product that the kernels of the T4 are compared with.
#pragma once

#include <qtk/core/matrix_view.hpp>
#include <qtk/core/scheme.hpp>
#include <qtk/format/half.hpp>
#include <qtk/format/qmatrix.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

inline std::vector<float> random_floats(std::size_t count, unsigned seed) {
    std::mt19937 source(seed);
    std::normal_distribution<float> normal(0.0f, 1.0f);
    std::vector<float> values(count);
    for (float& v : values) v = normal(source);
    return values;
}
inline std::vector<std::uint16_t> random_halves(std::size_t count, unsigned seed) {
    std::vector<std::uint16_t> halves;
    for (float const v : random_floats(count, seed)) halves.push_back(qtk::float_to_f16(v));
    return halves;
}

/// Calls f.operator()<S>() for schemes that differ in what kernels do.
template <typename F>
void for_each_scheme(F f) {
    using namespace qtk;
    constexpr auto floating = origin::floating;
    f.template
    operator()<scheme{.element = i4, .grain = per_group(128), .scale = scale_type::f16}>();
    f.template operator()<scheme{.element = i4, .grain = per_group(64), .zero = floating}>();
    f.template operator()<scheme{
        .element = u4, .grain = per_group(32), .zero = floating, .scale = scale_type::f16}>();
    f.template operator()<scheme{.element = i4, .grain = per_channel}>();
    f.template operator()<scheme{.element = i4}>();
    f.template operator()<scheme{.element = nf4, .grain = per_group(64)}>();
    f.template operator()<scheme{.element = fp4, .grain = per_group(32)}>();
    f.template operator()<scheme{.element = i8, .grain = per_channel}>();
    f.template operator()<scheme{.element = i8, .grain = per_group(96), .zero = floating}>();
}

/// X W^T in double, W decoded by the definition.
inline std::vector<double> naive_product(qtk::any_qmatrix const& q,
                                         std::vector<std::uint16_t> const& x, std::size_t m) {
    auto const level = qtk::levels_of(q.scheme().element);
    std::vector<double> y(m * q.rows());
    for (std::size_t n = 0; n < q.rows(); ++n)
        for (std::size_t k = 0; k < q.cols(); ++k) {
            auto const p = q.params(n / q.grid().rows, k / q.grid().cols);
            double const w =
                (static_cast<double>(level[q.field(n, k)]) - p.zero) * static_cast<double>(p.scale);
            for (std::size_t r = 0; r < m; ++r)
                y[r * q.rows() + n] +=
                    w * static_cast<double>(qtk::f16_to_float(x[r * q.cols() + k]));
        }
    return y;
}

/// ||found - expected|| / ||expected||
inline double relative_error(std::vector<double> const& expected,
                             std::vector<double> const& found) {
    double difference = 0.0, size = 0.0;
    for (std::size_t i = 0; i < expected.size(); ++i) {
        difference += (found[i] - expected[i]) * (found[i] - expected[i]);
        size += expected[i] * expected[i];
    }
    return std::sqrt(difference / size);
}
