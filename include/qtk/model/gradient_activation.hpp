// SPDX-License-Identifier: Apache-2.0
//
// How steep is an activation function? Its derivative, with s(z) = 1 / (1 + e^-z):
//
//   gelu_tanh  s + x s (1 - s) u'      s = s(u),  u = 2 sqrt(2/pi) (x + 0.044715 x^3)
//   gelu_erf   (1 + erf(x / sqrt 2)) / 2 + x e^(-x^2 / 2) / sqrt(2 pi)
//   silu       s(x) (1 + x (1 - s(x)))
//   relu       1 where x > 0, else 0
#pragma once

#include <qtk/core/contract.hpp>
#include <qtk/kernel/activation.hpp>
#include <qtk/kernel/row_math.hpp>

#include <cmath>
#include <cstddef>
#include <numbers>
#include <span>

namespace qtk {

namespace detail {

[[nodiscard]] inline float gelu_tanh_slope(float x) noexcept {
    constexpr float rate = 2.0f * std::numbers::sqrt2_v<float> * std::numbers::inv_sqrtpi_v<float>;
    float const s = 1.0f / (1.0f + fast_exp(-rate * (x + 0.044715f * x * x * x)));
    return s + x * s * (1.0f - s) * rate * (1.0f + 3.0f * 0.044715f * x * x);
}

[[nodiscard]] inline float gelu_erf_slope(float x) noexcept {
    constexpr float height = std::numbers::inv_sqrtpi_v<float> / std::numbers::sqrt2_v<float>;
    return 0.5f * std::erfc(-x / std::numbers::sqrt2_v<float>) +
           x * height * fast_exp(-0.5f * x * x);
}

[[nodiscard]] inline float silu_slope(float x) noexcept {
    float const s = 1.0f / (1.0f + fast_exp(-x));
    return s * (1.0f + x * (1.0f - s));
}

}  // namespace detail

/// d[i] becomes d[i] f'(x[i]): dL/dx from dL/df(x).
inline void activation_gradient(activation kind, std::span<float const> x,
                                std::span<float> d) noexcept {
    QTK_EXPECTS(x.size() == d.size());
    auto const scale_by = [&](auto const& slope) {
        for (std::size_t i = 0; i < x.size(); ++i) d[i] *= slope(x[i]);
    };
    switch (kind) {
        case activation::gelu_tanh:
            return scale_by(detail::gelu_tanh_slope);
        case activation::gelu_erf:
            return scale_by(detail::gelu_erf_slope);
        case activation::silu:
            return scale_by(detail::silu_slope);
        case activation::relu:
            return scale_by([](float v) { return v > 0.0f ? 1.0f : 0.0f; });
    }
}

}  // namespace qtk
