// SPDX-License-Identifier: Apache-2.0
//
// Flags that mean the same in every command.
#pragma once

#include <CLI/CLI.hpp>

#if defined(_OPENMP)
#include <omp.h>
#endif

#include <string>

namespace app {

/// --threads takes effect when the flag is read.
inline void add_threads(CLI::App& command) {
    command
        .add_option_function<int>(
            "--threads",
            [](int threads) {
#if defined(_OPENMP)
                if (threads > 0) omp_set_num_threads(threads);
#else
                static_cast<void>(threads);
#endif
            },
            "0: as many as the machine has")
        ->check(CLI::Range(0, 1024));
}

}  // namespace app
