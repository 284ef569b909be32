// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "completion.hpp"
#include "program_tables.hpp"
#include <string>
#include <string_view>

namespace app {
namespace {

[[nodiscard]] std::string fish_quoted(std::string_view text) {
    std::string out = "'";
    for (char const c : text) {
        if (c == '\'' || c == '\\') out += '\\';
        out += c;
    }
    return out + "'";
}

/// The flags of `complete` that say what values are.
[[nodiscard]] std::string fish_values(option_table const& option) {
    std::string const words = fmt::format("{}", fmt::join(option.words, " "));
    if (option.takes_files)
        return option.words.empty() ? " -r -F" : " -r -F -a " + fish_quoted(words);
    if (option.takes_folders) return " -x -a '(__fish_complete_directories)'";
    if (option.words.empty()) return " -x";
    if (!option.is_list) return " -x -a " + fish_quoted(words);
    return " -x -a " +
           fish_quoted("(__fish_complete_list , \"string split ' ' " + fish_quoted(words) + "\")");
}

void add_fish_options(std::string& text, std::string const& begin, command_table const& command) {
    for (option_table const& option : command.options) {
        text += begin;
        for (std::string const& name : option.names)
            text += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
        if (option.takes_value()) text += fish_values(option);
        if (!option.description.empty()) text += " -d " + fish_quoted(option.description);
        text += "\n";
    }
}

}  // namespace

std::string fish_completion(command_table const& program) {
    std::string const all = "complete -c " + program.name;
    std::string text =
        fmt::format("# Completion of {0} for fish, written by `{0} completion fish`.\n{1} -f\n",
                    program.name, all);
    std::string const first = all + " -n __fish_use_subcommand";
    add_fish_options(text, first, program);
    for (command_table const& command : program.commands)
        text +=
            fmt::format("{} -a {} -d {}\n", first, command.name, fish_quoted(command.description));
    for (command_table const& command : program.commands) {
        std::string const begin =
            all + fmt::format(" -n '__fish_seen_subcommand_from {}'", command.name);
        add_fish_options(text, begin, command);
        for (option_table const& argument : command.arguments) {
            if (argument.takes_files) text += begin + " -F\n";
            if (!argument.words.empty())
                text += begin + " -a " +
                        fish_quoted(fmt::format("{}", fmt::join(argument.words, " "))) + "\n";
        }
    }
    return text;
}

}  // namespace app
