// SPDX-License-Identifier: Apache-2.0
//
// What bends the line between two linear layers?
//
//   gelu_tanh  x s(2 sqrt(2/pi) (x + 0.044715 x^3)): the tanh form of Hendrycks and Gimpel 2016,
//              since (1 + tanh z) / 2 = s(2z); Hugging Face's gelu_new and gelu_pytorch_tanh
//   gelu_erf   x (1 + erf(x / sqrt 2)) / 2, the exact form; Hugging Face's gelu
//   silu       x s(x)
//   relu       max(x, 0)
//
// with s(z) = 1 / (1 + e^-z).
#pragma once

#include <qtk/kernel/row_math.hpp>

#include <cstdint>
#include <numbers>
#include <span>

namespace qtk {

enum class activation : std::uint8_t { gelu_tanh, gelu_erf, silu, relu };

inline namespace QTK_ABI_NS {

/// Applies the activation to every value in place.
inline void activate(activation kind, std::span<float> x) noexcept {
    switch (kind) {
        case activation::gelu_tanh:
            detail::row_map(x, [](float v) {
                constexpr float twice_root_two_over_pi =
                    2.0f * std::numbers::sqrt2_v<float> * std::numbers::inv_sqrtpi_v<float>;
                float const z = twice_root_two_over_pi * (v + 0.044715f * v * v * v);
                return v / (1.0f + detail::fast_exp(-z));
            });
            break;
        case activation::gelu_erf:
            detail::row_map(
                x, [](float v) __attribute__((always_inline)) { return detail::exact_gelu(v); });
            break;
        case activation::silu:
            detail::row_map(x, [](float v) { return v / (1.0f + detail::fast_exp(-v)); });
            break;
        case activation::relu:
            // Kept as a comparison with v on the left of the choice, so that NaN stays NaN.
            detail::row_map(x, [](float v) { return v < 0.0f ? 0.0f : v; });
            break;
    }
}

}  // namespace QTK_ABI_NS
}  // namespace qtk
