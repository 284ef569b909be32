// SPDX-License-Identifier: Apache-2.0
//
// The same work on one thread and on several: results must not differ by a bit.
#pragma once

#include <vector>

#if defined(_OPENMP)
#include <omp.h>
#endif

namespace cases {

/// What `work` returns on `threads` threads; without OpenMP there is one.
template <typename Work>
std::vector<float> on_threads([[maybe_unused]] int threads, Work const& work) {
#if defined(_OPENMP)
    int const before = omp_get_max_threads();
    omp_set_num_threads(threads);
    std::vector<float> result = work();
    omp_set_num_threads(before);
    return result;
#else
    return work();
#endif
}

}  // namespace cases
