// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace CLI {
class App;
}

namespace app {

/// All of them.
void add_commands(CLI::App& program);

void add_study(CLI::App& program);
void add_attack(CLI::App& program);
void add_calibrate(CLI::App& program);
void add_search(CLI::App& program);
void add_train(CLI::App& program);

}  // namespace app
