// SPDX-License-Identifier: Apache-2.0
//
// What is a vector here? The few words that the portable kernels need of xsimd, at the width that
// the compile flags allow. The one place that knows xsimd: nothing below changed its name or
// meaning between 8.1 and 14 (reduce_add and bitwise_cast did, so neither is used).
#pragma once

#include <qtk/core/abi.hpp>

#if QTK_HAS_XSIMD

#include <xsimd/xsimd.hpp>

#include <bit>
#include <cstddef>
#include <cstdint>

#if XSIMD_VERSION_MAJOR < 8
#error "qtk: xsimd 8.1 or newer is needed; define QTK_NO_XSIMD to do without"
#endif

namespace qtk::portable {
inline namespace QTK_ABI_NS {

using floats = xsimd::batch<float>;
using ints = xsimd::batch<std::int32_t>;
inline constexpr std::size_t lanes = floats::size;
static_assert(ints::size == lanes && sizeof(floats) == sizeof(ints));

/// Values that a kernel converts between bytes and vectors at a time: a constant of at least 16, so
/// that the compiler turns the loop over bytes into a few pack or unpack instructions.
inline constexpr std::size_t block = lanes > 16 ? lanes : 16;

[[nodiscard]] inline ints bits_of(floats v) noexcept {
    return std::bit_cast<ints>(v);
}
[[nodiscard]] inline floats floats_of_bits(ints v) noexcept {
    return std::bit_cast<floats>(v);
}

/// 1 where the mask holds, else 0.
template <typename Mask>
[[nodiscard]] floats one_where(Mask mask) noexcept {
    return xsimd::select(mask, floats(1.0f), floats(0.0f));
}

/// The sum of the lanes, from the first to the last.
[[nodiscard]] inline float sum_of(floats v) noexcept {
    alignas(64) float lane[lanes];
    v.store_aligned(lane);
    float sum = 0.0f;
    for (float const part : lane) sum += part;
    return sum;
}

}  // namespace QTK_ABI_NS
}  // namespace qtk::portable

#endif
