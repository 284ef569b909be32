// SPDX-License-Identifier: Apache-2.0
//
// How does a shell know what may come next? One script for each shell, from the tables of the program. Each completes
// commands, options, values (of lists the one at the cursor), files and folders.
#pragma once

#include <string>

namespace app {

struct command_table;

/// To be sourced, or installed as share/bash-completion/completions/NAME. Needs bash 4.4 and nothing else.
[[nodiscard]] std::string bash_completion(command_table const& program);

/// To be installed as _NAME in a folder of $fpath, or sourced after compinit.
[[nodiscard]] std::string zsh_completion(command_table const& program);

/// To be installed as NAME.fish in ~/.config/fish/completions, or sourced.
[[nodiscard]] std::string fish_completion(command_table const& program);

}  // namespace app
