// SPDX-License-Identifier: Apache-2.0
//
// The commands of quant-fairness, in the order of its help.
#include "commands.hpp"

namespace app {

void add_commands(CLI::App& program) {
    add_sweep(program);
    add_recommend(program);
    add_hypothesis(program);
    add_task(program);
    add_compare(program);
}

}  // namespace app
