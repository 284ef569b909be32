// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace CLI {
class App;
}

namespace app {

/// All of them.
void add_commands(CLI::App& program);

void add_sweep(CLI::App& program);
void add_recommend(CLI::App& program);
void add_hypothesis(CLI::App& program);
void add_task(CLI::App& program);
void add_compare(CLI::App& program);

}  // namespace app
