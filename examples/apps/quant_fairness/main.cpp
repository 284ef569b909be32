// SPDX-License-Identifier: Apache-2.0
//
// quant-fairness: which languages pay for quantization, and which layers to protect.
#include <qtk/version.hpp>

#include "commands.hpp"
#include "program.hpp"
#include "work_sharing.hpp"

int main(int argc, char** argv) {
    app::prepare_process();
    app::join_ranks();
    CLI::App program(
        "quant-fairness: which languages pay for quantization, and which layers to protect",
        "quant-fairness");
    program.set_version_flag("--version", "quant-fairness " QTK_VERSION_STRING);
    app::add_commands(program);
    return app::leave_ranks(app::run_program(program, argc, argv, app::is_first_rank()));
}
