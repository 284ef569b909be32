// SPDX-License-Identifier: Apache-2.0
//
// qtk: quantize language models and see what it costs.
#include <qtk/version.hpp>

#include "commands.hpp"
#include "program.hpp"

int main(int argc, char** argv) {
    app::prepare_process();
    CLI::App program("qtk: quantize language models and see what it costs", "qtk");
    program.set_version_flag("--version", "qtk " QTK_VERSION_STRING);
    app::add_commands(program);
    return app::run_program(program, argc, argv);
}
