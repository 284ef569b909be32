// SPDX-License-Identifier: Apache-2.0
//
// What do all programs do alike around their commands? Signals, memory, and errors as exit codes.
#pragma once

#include <CLI/CLI.hpp>

#include "command_line.hpp"
#include "exit_code.hpp"
#include "lost_file.hpp"
#include "unknown_argument.hpp"
#if defined(__GLIBC__)
#include <malloc.h>
#endif

#include <cstdio>
#include <exception>

namespace app {

/// Before anything else.
inline void prepare_process() {
    end_cleanly_on_signals();
    end_cleanly_on_lost_files();
#if defined(__GLIBC__)
    // A prompt's activations are some megabytes a layer; glibc would take fresh pages for each and clear them.
    mallopt(M_MMAP_THRESHOLD, 64 << 20);
    mallopt(M_TRIM_THRESHOLD, 256 << 20);
#endif
}

/// Runs the command that the arguments name; what main() returns.
[[nodiscard]] inline int run_program(CLI::App& program, int argc, char** argv) {
    remember_command_line(argc, argv);
    program.require_subcommand(1);
    program.footer(
        "Exit codes: 0 ok, 2 usage, 3 bad input, 4 I/O, 5 NaN or infinity, 130 interrupted.");
    try {
        program.parse(argc, argv);
    } catch (CLI::ParseError const& e) {
        if (auto const text = unknown_argument(program); text && e.get_exit_code() != 0) {
            std::fprintf(stderr, "error: %s\n", text->c_str());
            return usage;
        }
        return program.exit(e) == 0 ? ok : usage;
    } catch (...) {
        return report(std::current_exception());
    }
    return ok;
}

}  // namespace app
