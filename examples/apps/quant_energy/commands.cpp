// SPDX-License-Identifier: Apache-2.0
//
// The commands of quant-energy, in the order of its help.
#include "commands.hpp"

namespace app {

void add_commands(CLI::App& program) {
    add_study(program);
    add_calibrate(program);
    add_search(program);
    add_train(program);
    add_attack(program);
}

}  // namespace app
