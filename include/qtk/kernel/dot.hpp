// SPDX-License-Identifier: Apache-2.0
//
// What is the sum of n products? The inner loop of every product here. Any order of n float
// products and sums is within n * 2^-23 of the sum of |products|: the bound that the vector path
// and its scalar twin are held against. The order does not depend on the number of threads.
#pragma once

#include <qtk/core/abi.hpp>
#include <qtk/kernel/isa.hpp>

#include <cstddef>

#if QTK_HAS_XSIMD
#include <xsimd/xsimd.hpp>
#endif

namespace qtk {

/// From the first to the last.
[[nodiscard]] inline float dot_scalar(float const* a, float const* b, std::size_t n) noexcept {
    float sum = 0.0f;
    for (std::size_t i = 0; i < n; ++i) sum += a[i] * b[i];
    return sum;
}

#if QTK_HAS_XSIMD
namespace portable {
inline namespace QTK_ABI_NS {

[[nodiscard]] inline float dot(float const* a, float const* b, std::size_t n) noexcept {
    using floats = xsimd::batch<float>;
    constexpr std::size_t lanes = floats::size,
                          chains = 4;  // four sums hide the latency of an addition
    floats sum[chains] = {floats(0.0f), floats(0.0f), floats(0.0f), floats(0.0f)};
    std::size_t i = 0;
    for (; i + chains * lanes <= n; i += chains * lanes)
        for (std::size_t k = 0; k < chains; ++k)
            sum[k] = xsimd::fma(floats::load_unaligned(a + i + k * lanes),
                                floats::load_unaligned(b + i + k * lanes), sum[k]);
    for (; i + lanes <= n; i += lanes)
        sum[0] = xsimd::fma(floats::load_unaligned(a + i), floats::load_unaligned(b + i), sum[0]);
    alignas(64) float lane[lanes];
    ((sum[0] + sum[1]) + (sum[2] + sum[3])).store_aligned(lane);
    float total = dot_scalar(a + i, b + i, n - i);
    for (float const part : lane) total += part;
    return total;
}

}  // namespace QTK_ABI_NS
}  // namespace portable
#endif

inline namespace QTK_ABI_NS {

/// a . b over n floats.
[[nodiscard]] inline float dot(float const* a, float const* b, std::size_t n) noexcept {
#if QTK_HAS_XSIMD
    if (active_isa() == instruction_set::xsimd) return portable::dot(a, b, n);
#endif
    return dot_scalar(a, b, n);
}

}  // namespace QTK_ABI_NS
}  // namespace qtk
