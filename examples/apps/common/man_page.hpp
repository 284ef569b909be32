// SPDX-License-Identifier: Apache-2.0
//
// What does the manual say? A page in mdoc, from the tables of the program.
#pragma once

#include <string>

namespace app {

struct command_table;

/// NAME(1) with all commands and options.
[[nodiscard]] std::string man_page(command_table const& program);

/// NAME-COMMAND(1): one command alone.
[[nodiscard]] std::string man_page(command_table const& program, command_table const& command);

}  // namespace app
