// SPDX-License-Identifier: Apache-2.0
//
// What does a program offer? Its commands and options as plain tables, read from what it parses with, so that the
// manual and the completions of shells never say anything else than --help.
//
// The type name of an option says what its values are: FILE and MODEL (a file or a folder), DIR, FORMAT, METHOD, LANG,
// TABLE (an energy table or a file), {a,b,c} for one of these words; any other name completes nothing.
#pragma once

#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace app {

/// An option, or an argument without a dash, whose only name is then that of its place.
struct option_table {
    std::vector<std::string> names;  ///< --formats, -h; in the order of --help
    std::string description;
    std::string value;               ///< FILE, INT, WORD; empty for a flag
    std::string allowed;             ///< "INT in [0 - 1024]"; empty where the value says it
    std::string preset;              ///< the default as it is typed; may be empty
    std::vector<std::string> words;  ///< what a value may begin with, where that is known
    bool takes_files = false, takes_folders = false;
    bool is_list = false;             ///< values are joined by commas
    bool has_optional_value = false;  ///< --json or --json=FILE
    bool is_required = false, is_repeatable = false;

    [[nodiscard]] bool takes_value() const noexcept {
        return !value.empty() && !has_optional_value;
    }
};

struct command_table {
    std::string name, description;
    std::vector<option_table> options, arguments;
    std::vector<command_table> commands;
};

/// Options of the group "" are hidden, here as in --help.
[[nodiscard]] command_table tables_of(CLI::App const& program);

}  // namespace app
