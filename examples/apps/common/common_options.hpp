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

/// The spelling of number formats, for the help of a command.
inline constexpr char const* format_help =
    "stored, fp32, fp16, bf16, w8a8, llm_int8[:THRESHOLD], w4a8, w4, w3, w2, nf4, mxfp4, or "
    "SCHEME[@ACTIVATIONS], e.g. i4/g64/asym@a8";

}  // namespace app
