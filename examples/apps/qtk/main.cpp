// SPDX-License-Identifier: Apache-2.0
//
// qtk: quantize language models and see what it costs.
#include <qtk/version.hpp>

#include <CLI/CLI.hpp>

#include "commands.hpp"
#include "exit_code.hpp"
#include "lost_file.hpp"
#include "unknown_argument.hpp"
#if defined(__GLIBC__)
#include <malloc.h>
#endif

#include <cstdio>
#include <exception>

int main(int argc, char** argv) {
    app::end_cleanly_on_signals();
    app::end_cleanly_on_lost_files();
#if defined(__GLIBC__)
    // A prompt's activations are some megabytes a layer; glibc would take fresh pages for each and clear them.
    mallopt(M_MMAP_THRESHOLD, 64 << 20);
    mallopt(M_TRIM_THRESHOLD, 256 << 20);
#endif

    CLI::App program("qtk: quantize language models and see what it costs", "qtk");
    program.set_version_flag("--version", "qtk " QTK_VERSION_STRING);
    program.require_subcommand(1);
    program.footer(
        "Exit codes: 0 ok, 2 usage, 3 bad input, 4 I/O, 5 NaN or infinity, 130 interrupted.");

    app::add_quickstart(program);
    app::add_generate(program);
    app::add_bench(program);
    app::add_eval(program);
    app::add_compare(program);
    app::add_study(program);
    app::add_doctor(program);
    app::add_quantize(program);
    app::add_dequantize(program);
    app::add_inspect(program);
    try {
        program.parse(argc, argv);
    } catch (CLI::ParseError const& e) {
        if (auto const text = app::unknown_argument(program); text && e.get_exit_code() != 0) {
            std::fprintf(stderr, "error: %s\n", text->c_str());
            return app::usage;
        }
        return program.exit(e) == 0 ? app::ok : app::usage;
    } catch (...) {
        return app::report(std::current_exception());
    }
    return app::ok;
}
