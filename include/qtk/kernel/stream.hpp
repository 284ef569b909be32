// SPDX-License-Identifier: Apache-2.0
//
// When should results bypass the caches? A plain store first reads the line that it fills and
// throws another one out. Where the whole result is larger than the last-level cache, nothing of it
// would be found there later, and stores that go around save that traffic (a factor of two and more
// for dequantize); below that size they only lose, because whoever reads next waits for memory.
#pragma once

#include <qtk/core/abi.hpp>
#include <qtk/kernel/target.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>

#if defined(__linux__)
#include <unistd.h>
#endif

namespace qtk {

/// Is a result of so many bytes larger than the last-level cache (32 MiB where the system does not
/// say)? Ask once, for the whole result, at the outermost call.
[[nodiscard]] inline bool outgrows_cache(std::size_t bytes) noexcept {
    constexpr std::size_t usual = std::size_t{32} << 20;
#if defined(__linux__) && defined(_SC_LEVEL3_CACHE_SIZE)
    static std::size_t const last = [] {
        long const said = sysconf(_SC_LEVEL3_CACHE_SIZE);
        return said > 0 ? static_cast<std::size_t>(said) : usual;
    }();
    return bytes > last;
#else
    return bytes > usual;
#endif
}

inline namespace QTK_ABI_NS {

/// Copies n floats from the cache around it. They are there for other threads after stream_fence().
inline void stream_floats(float* to, float const* from, std::size_t n) noexcept {
    std::size_t i = 0;
#if QTK_HAS_X86
    // Four 16-byte stores fill a line as one of 64 bytes does, and need no alignment beyond 16.
    for (; i < n && reinterpret_cast<std::uintptr_t>(to + i) % 16 != 0; ++i) to[i] = from[i];
    for (; i + 16 <= n; i += 16) {
        _mm_stream_ps(to + i, _mm_loadu_ps(from + i));
        _mm_stream_ps(to + i + 4, _mm_loadu_ps(from + i + 4));
        _mm_stream_ps(to + i + 8, _mm_loadu_ps(from + i + 8));
        _mm_stream_ps(to + i + 12, _mm_loadu_ps(from + i + 12));
    }
    for (; i + 4 <= n; i += 4) _mm_stream_ps(to + i, _mm_loadu_ps(from + i));
#endif
    if (i < n) std::memcpy(to + i, from + i, (n - i) * sizeof(float));
}

/// After the last stream_floats of a thread.
inline void stream_fence() noexcept {
#if QTK_HAS_X86
    _mm_sfence();
#endif
}

}  // namespace QTK_ABI_NS
}  // namespace qtk
