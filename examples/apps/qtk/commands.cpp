// SPDX-License-Identifier: Apache-2.0
//
// The commands of qtk, in the order of its help.
#include "commands.hpp"

namespace app {

void add_commands(CLI::App& program) {
    add_quickstart(program);
    add_generate(program);
    add_bench(program);
    add_eval(program);
    add_compare(program);
    add_study(program);
    add_doctor(program);
    add_quantize(program);
    add_dequantize(program);
    add_inspect(program);
}

}  // namespace app
