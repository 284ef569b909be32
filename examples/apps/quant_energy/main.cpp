// SPDX-License-Identifier: Apache-2.0
//
// quant-energy: what quantization saves in energy, and what an operation costs on this machine.
#include <qtk/version.hpp>

#include "commands.hpp"
#include "program.hpp"

int main(int argc, char** argv) {
    app::prepare_process();
    CLI::App program(
        "quant-energy: what quantization saves in energy, and what an operation costs here",
        "quant-energy");
    program.set_version_flag("--version", "quant-energy " QTK_VERSION_STRING);
    app::add_commands(program);
    return app::run_program(program, argc, argv);
}
