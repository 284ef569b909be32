// SPDX-License-Identifier: Apache-2.0
//
// What bends the line between two linear layers?
//
//   gelu_tanh  x s(2 sqrt(2/pi) (x + 0.044715 x^3)): the tanh form of Hendrycks and Gimpel 2016,
//              since (1 + tanh z) / 2 = s(2z); Hugging Face's gelu_new and gelu_pytorch_tanh
//   gelu_erf   x (1 + erf(x / sqrt 2)) / 2, the exact form, within 5e-7 |x|; Hugging Face's gelu
//   silu       x s(x)
//   relu       max(x, 0)
//
// with s(z) = 1 / (1 + e^-z).
#pragma once

#include <qtk/kernel/row_math.hpp>

#include <bit>
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
            // x s(x) = max(x, 0) - |x| / 2 erfc(|x| / sqrt 2): no cancellation on either side.
            detail::row_map(x, [](float v) {
                // Beyond 14 what is taken off is below the least float. Clamped by its bits, as in fast_exp.
                constexpr auto end = std::bit_cast<std::int32_t>(14.0f);
                std::int32_t const magnitude = std::bit_cast<std::int32_t>(v) & 0x7fffffff;
                auto const near = std::bit_cast<float>(magnitude < end ? magnitude : end);
                float const tail = detail::fast_exp(-0.5f * near * near) *
                                   detail::fast_scaled_erfc(near / std::numbers::sqrt2_v<float>);
                return (v < 0.0f ? 0.0f : v) - 0.5f * near * tail;
            });
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
