// SPDX-License-Identifier: Apache-2.0
//
// How is a function shared by the host and a CUDA kernel? QTK_HD marks it; what it calls is marked
// too, and the standard library's functions are not, so the few that shared code needs are here.
// They spare nvcc's users the flag --expt-relaxed-constexpr.
#pragma once

#include <cstddef>

#if defined(__CUDACC__)
#define QTK_HD __host__ __device__
#else
#define QTK_HD
#endif

namespace qtk {

/// std::bit_cast: the bits of a value as another type of the same size.
template <typename To, typename From>
[[nodiscard]] QTK_HD constexpr To bit_cast(From const& from) noexcept {
    static_assert(sizeof(To) == sizeof(From));
    return __builtin_bit_cast(To, from);
}

/// The smallest count of `step`s that covers n; n may be anything, step is positive.
[[nodiscard]] QTK_HD constexpr std::size_t div_ceil(std::size_t n, std::size_t step) noexcept {
    return n / step + (n % step != 0 ? 1 : 0);
}

static_assert(div_ceil(0, 32) == 0 && div_ceil(33, 32) == 2);
static_assert(bit_cast<unsigned>(1.0f) == 0x3f800000u);

}  // namespace qtk
