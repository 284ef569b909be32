// SPDX-License-Identifier: Apache-2.0
//
// What does every program say about itself? `completion SHELL` and `man [COMMAND]` print what shells and the manual
// want, and --check-arguments reads a command's arguments and runs nothing.
#pragma once

namespace CLI {
class App;
}

namespace app {

/// After all commands were added.
void add_self_description(CLI::App& program);

}  // namespace app
