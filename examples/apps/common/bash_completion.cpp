// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "command_line.hpp"
#include "completion.hpp"
#include "program_tables.hpp"
#include <map>
#include <string>
#include <vector>

namespace app {
namespace {

[[nodiscard]] std::string spaced(std::vector<std::string> const& words) {
    return fmt::format("{}", fmt::join(words, " "));
}
[[nodiscard]] std::string names_in(std::vector<command_table> const& commands, char const* gap) {
    std::vector<std::string> names;
    for (command_table const& command : commands) names.push_back(command.name);
    return fmt::format("{}", fmt::join(names, gap));
}
[[nodiscard]] std::string names_in(std::vector<option_table> const& options) {
    std::vector<std::string> names;
    for (option_table const& option : options)
        names.insert(names.end(), option.names.begin(), option.names.end());
    return spaced(names);
}

/// What sets the variables that the end of the function reads.
[[nodiscard]] std::string bash_values(option_table const& option) {
    std::string text = "value=1";
    if (!option.words.empty()) text += " words=" + shell_word(spaced(option.words));
    if (option.takes_files) text += " files=-f";
    if (option.takes_folders) text += " files=-d";
    if (option.is_list) text += " list=1";
    return text;
}

/// Patterns "eval --formats" of the options with the same kind of values, in one branch.
void add_bash_patterns(std::map<std::string, std::string>& branches, command_table const& command,
                       std::string const& name) {
    for (option_table const& option : command.options)
        for (std::string const& one : option.names) {
            if (option.value.empty()) continue;
            std::string& patterns = branches[bash_values(option)];
            if (option.takes_value())
                patterns += fmt::format("{}'{} {}'", patterns.empty() ? "" : "|", name, one);
            patterns += fmt::format("{}'{} {}='", patterns.empty() ? "" : "|", name, one);
        }
}

}  // namespace

std::string bash_completion(command_table const& program) {
    std::string const function = "_" + [&] {
        std::string name = program.name;
        for (char& c : name) c = c == '-' ? '_' : c;
        return name;
    }();
    std::string text = fmt::format(
        R"(# Completion of {0} for bash, written by `{0} completion bash`.
{1}() {{
    local cur=${{COMP_WORDS[COMP_CWORD]}} option= command= options= words= files= list= value= head= i
    for ((i = 1; i < COMP_CWORD; ++i)); do
        case ${{COMP_WORDS[i]}} in
            {2}) command=${{COMP_WORDS[i]}} && break ;;
        esac
    done
    # bash hands on --option=value as three words.
    i=$((COMP_CWORD - 1))
    if [[ $cur == = ]]; then
        cur= option=${{COMP_WORDS[i]}}=
    elif [[ ${{COMP_WORDS[i]}} == = ]] && ((i > 1)); then
        option=${{COMP_WORDS[i - 1]}}=
    else
        option=${{COMP_WORDS[i]}}
    fi
    case "$command $option" in
)",
        program.name, function, names_in(program.commands, "|"));
    std::map<std::string, std::string> branches;
    add_bash_patterns(branches, program, "");
    for (command_table const& command : program.commands)
        add_bash_patterns(branches, command, command.name);
    for (auto const& [values, patterns] : branches)
        text += fmt::format("        {}) {} ;;\n", patterns, values);
    text += "    esac\n    if [[ -z $value ]]; then\n        case $command in\n";
    text += fmt::format("            '') options='{}' words='{}' ;;\n", names_in(program.options),
                        names_in(program.commands, " "));
    for (command_table const& command : program.commands) {
        std::string rest;
        for (option_table const& argument : command.arguments) {
            if (!argument.words.empty()) rest = " words=" + shell_word(spaced(argument.words));
            if (argument.takes_files) rest = " files=-f";
        }
        text += fmt::format("            {}) options='{}'{} ;;\n", command.name,
                            names_in(command.options), rest);
    }
    text += fmt::format(R"(        esac
        [[ $cur != -* ]] || words=$options files=
    fi
    # Of a,b,c the last one.
    [[ -z $list || $cur != *,* ]] || head=${{cur%,*}},
    mapfile -t COMPREPLY < <(
        compgen -P "$head" -W "$words" -- "${{cur#"$head"}}"
        [[ -z $files ]] || compgen $files -- "$cur"
    )
    [[ -z $files ]] || compopt -o filenames 2>/dev/null
    [[ -z $list ]] || compopt -o nospace 2>/dev/null
}}
complete -F {1} {0}
)",
                        program.name, function);
    return text;
}

}  // namespace app
