// SPDX-License-Identifier: Apache-2.0
//
// How is work on rows shared between threads? Rows are independent, so any split gives the same
// result. OpenMP where the compiler has it on; inside a caller's parallel region, and for little
// work, one thread. What a body throws reaches the caller: an exception must not leave an OpenMP
// region by itself.
#pragma once

#include <qtk/core/abi.hpp>

#include <cstddef>
#include <cstdint>
#include <exception>

#if defined(_OPENMP)
#include <omp.h>
#endif

namespace qtk {
inline namespace QTK_ABI_NS {

/// Threads that parallel_for would start here: 1 without OpenMP and inside a parallel region.
[[nodiscard]] inline std::size_t thread_count() noexcept {
#if defined(_OPENMP)
    if (omp_in_parallel() == 0) return static_cast<std::size_t>(omp_get_max_threads());
#endif
    return 1;
}

/// Calls body(i) for i in [0, n), in any order, on several threads if `work` (about one unit a
/// nanosecond) pays for starting them. Rethrows the exception of the lowest i that threw.
template <typename Body>
void parallel_for(std::size_t n, std::size_t work, Body const& body) {
#if defined(_OPENMP)
    constexpr std::size_t worth_a_team = 100'000;
    if (n > 1 && work >= worth_a_team && omp_in_parallel() == 0) {
        std::exception_ptr failure;
        std::size_t failed_at = n;
#pragma omp parallel for schedule(static)
        for (std::int64_t i = 0; i < static_cast<std::int64_t>(n); ++i) {
            auto const at = static_cast<std::size_t>(i);
            try {
                body(at);
            } catch (...) {
#pragma omp critical(qtk_parallel_for)
                if (at < failed_at) {
                    failure = std::current_exception();
                    failed_at = at;
                }
            }
        }
        if (failure) std::rethrow_exception(failure);
        return;
    }
#endif
    static_cast<void>(work);
    for (std::size_t i = 0; i < n; ++i) body(i);
}

}  // namespace QTK_ABI_NS
}  // namespace qtk
