// SPDX-License-Identifier: Apache-2.0
//
// quant-fairness: which languages pay for quantization, and which layers to protect.
#include <qtk/version.hpp>

#include "program.hpp"
#include "sweep.hpp"

int main(int argc, char** argv) {
    app::prepare_process();
    CLI::App program(
        "quant-fairness: which languages pay for quantization, and which layers to protect",
        "quant-fairness");
    program.set_version_flag("--version", "quant-fairness " QTK_VERSION_STRING);
    app::add_sweep(program);
    return app::run_program(program, argc, argv);
}
