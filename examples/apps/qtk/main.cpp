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
    return app::run_program(program, argc, argv);
}
