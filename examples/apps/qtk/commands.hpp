// SPDX-License-Identifier: Apache-2.0
//
// What can `qtk` do? Each command adds itself to the program: its flags, and what runs when it is chosen.
#pragma once

namespace CLI {
class App;
}

namespace app {

/// All of them.
void add_commands(CLI::App& program);

void add_quickstart(CLI::App& program);
void add_generate(CLI::App& program);
void add_bench(CLI::App& program);
void add_eval(CLI::App& program);
void add_compare(CLI::App& program);
void add_study(CLI::App& program);
void add_doctor(CLI::App& program);
void add_quantize(CLI::App& program);
void add_dequantize(CLI::App& program);
void add_inspect(CLI::App& program);

}  // namespace app
