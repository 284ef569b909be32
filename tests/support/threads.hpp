// SPDX-License-Identifier: Apache-2.0
//
// Does a result depend on the number of threads?
#pragma once

#include <doctest/doctest.h>

#if defined(_OPENMP)
#include <omp.h>
#endif

namespace qtk_test {

/// Checks that f() gives equal results on 1, 2 and 5 threads.
template <typename F>
void same_for_any_threads(F const& f) {
#if defined(_OPENMP)
    int const before = omp_get_max_threads();
    omp_set_num_threads(1);
    auto const alone = f();
    for (int const threads : {2, 5}) {
        omp_set_num_threads(threads);
        CHECK(f() == alone);
    }
    omp_set_num_threads(before);
#else
    CHECK(f() == f());
#endif
}

}  // namespace qtk_test
