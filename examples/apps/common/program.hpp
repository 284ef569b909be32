// SPDX-License-Identifier: Apache-2.0
//
// What do all programs do alike around their commands? Signals, memory, and errors as exit codes.
#pragma once

#include <CLI/CLI.hpp>

#include "command_line.hpp"
#include "exit_code.hpp"
#include "lost_file.hpp"
#include "output.hpp"
#include "self_description.hpp"
#include "unknown_argument.hpp"
#if defined(__GLIBC__)
#include <malloc.h>
#endif

#include <cstdio>
#include <exception>
#include <string>

namespace app {

/// Before anything else.
inline void prepare_process() {
    keep_standard_streams();
    end_cleanly_on_uncaught();
    end_cleanly_on_signals();
    end_cleanly_on_lost_files();
#if defined(__GLIBC__)
    // A prompt's activations are some megabytes a layer; glibc would take fresh pages for each and clear them.
    mallopt(M_MMAP_THRESHOLD, 64 << 20);
    mallopt(M_TRIM_THRESHOLD, 256 << 20);
#endif
}

/// The files that every command may write; those of one command alone say it themselves.
inline void check_outputs(CLI::App& program) {
    for (CLI::App* const command : program.get_subcommands({}))
        for (char const* const name : {"--json", "--csv", "--report"})
            if (CLI::Option* const option = command->get_option_no_throw(name))
                option->check(file_to_write());
}

namespace detail {

[[nodiscard]] inline int run_command(CLI::App& program, int argc, char** argv, bool writes_files) {
    remember_command_line(argc, argv);
    if (writes_files) check_outputs(program);
    program.require_subcommand(1);
    add_self_description(program);
    std::string codes;
    for (auto const& [code, meaning] : exit_meanings)
        codes += (codes.empty() ? "Exit codes: " : ", ") + std::to_string(code) + " " + meaning;
    program.footer(codes + ".");
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

}  // namespace detail

/// Runs the command that the arguments name; what main() returns. Of several processes one writes files.
[[nodiscard]] inline int run_program(CLI::App& program, int argc, char** argv,
                                     bool writes_files = true) {
    return after_output(detail::run_command(program, argc, argv, writes_files));
}

}  // namespace app
