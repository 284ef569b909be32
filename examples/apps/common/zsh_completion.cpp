// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "completion.hpp"
#include "program_tables.hpp"
#include <string>
#include <string_view>

namespace app {
namespace {

/// For a text in single quotes, with what _arguments would read as its own signs.
[[nodiscard]] std::string zsh_quoted(std::string_view text, std::string_view special) {
    std::string out;
    for (char const c : text) {
        if (c == '\'') {
            out += "'\\''";
            continue;
        }
        if (special.find(c) != special.npos) out += '\\';
        out += c;
    }
    return out;
}

/// What completes a value, as _arguments takes it behind the last colon.
[[nodiscard]] std::string zsh_action(option_table const& option) {
    std::string const words = zsh_quoted(fmt::format("{}", fmt::join(option.words, " ")), ":");
    if (option.takes_files)
        return option.words.empty() ? "_files" : "{compadd - " + words + "; _files}";
    if (option.takes_folders) return "_files -/";
    if (option.words.empty()) return " ";
    return option.is_list ? "_sequence compadd - " + words : "(" + words + ")";
}

void add_zsh_arguments(std::string& text, command_table const& command, char const* indent) {
    for (option_table const& option : command.options)
        for (std::string const& name : option.names) {
            std::string const bracket = "[" + zsh_quoted(option.description, "[]\\") + "]";
            std::string const value = zsh_quoted(option.value, ":\\");
            std::string spec = option.is_repeatable ? "*" : "";
            if (!option.is_repeatable && option.names.size() > 1)
                spec = fmt::format("({})", fmt::join(option.names, " "));
            if (option.value.empty())
                spec += name + bracket;
            else if (option.has_optional_value)
                spec += name + "=-" + bracket + "::" + value + ":" + zsh_action(option);
            else
                spec += name + (name.starts_with("--") ? "=" : "+") + bracket + ":" + value + ":" +
                        zsh_action(option);
            text += fmt::format(" \\\n{}'{}'", indent, spec);
        }
    for (option_table const& argument : command.arguments)
        text += fmt::format(" \\\n{}'{}:{}:{}'", indent, argument.is_repeatable ? "*" : "",
                            zsh_quoted(argument.names.front(), ":\\"), zsh_action(argument));
    text += "\n";
}

}  // namespace

std::string zsh_completion(command_table const& program) {
    std::string text = fmt::format(R"(#compdef {0}
# Completion of {0} for zsh, written by `{0} completion zsh`.
_{0}() {{
    local curcontext=$curcontext state line ret=1
    typeset -A opt_args
    local -a commands=(
)",
                                   program.name);
    for (command_table const& command : program.commands)
        text +=
            fmt::format("        '{}:{}'\n", command.name, zsh_quoted(command.description, ":\\"));
    text += "    )\n    _arguments -C";
    command_table top = program;
    top.arguments.clear();
    add_zsh_arguments(text, top, "        ");
    text.pop_back();
    text += R"( \
        '1:command:->command' \
        '*::argument:->argument' && ret=0
    case $state in
        command) _describe command commands && ret=0 ;;
        argument)
            case $words[1] in
)";
    for (command_table const& command : program.commands) {
        text += fmt::format("                {})\n                    _arguments", command.name);
        add_zsh_arguments(text, command, "                        ");
        text.pop_back();
        text += " && ret=0\n                    ;;\n";
    }
    text += fmt::format(R"(            esac
            ;;
    esac
    return ret
}}
if [[ $funcstack[1] == _{0} ]]; then
    _{0} "$@"
else
    compdef _{0} {0}
fi
)",
                        program.name);
    return text;
}

}  // namespace app
