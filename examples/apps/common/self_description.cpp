// SPDX-License-Identifier: Apache-2.0
#include "self_description.hpp"

#include <qtk/core/error.hpp>

#include <CLI/CLI.hpp>

#include "completion.hpp"
#include "did_you_mean.hpp"
#include "man_page.hpp"
#include "output.hpp"
#include "program_tables.hpp"
#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace app {
namespace {

void print_completion(CLI::App const& program, std::string const& shell) {
    command_table const tables = tables_of(program);
    deliver("-", shell == "bash"  ? bash_completion(tables)
                 : shell == "zsh" ? zsh_completion(tables)
                                  : fish_completion(tables));
}

void print_man_page(CLI::App const& program, std::string const& name) {
    command_table const tables = tables_of(program);
    if (name.empty()) return deliver("-", man_page(tables));
    auto const command = std::ranges::find(tables.commands, name, &command_table::name);
    if (command == tables.commands.end()) {
        std::vector<std::string> names;
        for (command_table const& one : tables.commands) names.push_back(one.name);
        throw qtk::value_error(name + ": " + tables.name + " has no such command." +
                               did_you_mean(name, names));
    }
    deliver("-", man_page(tables, *command));
}

/// What a command runs. CLI11 keeps it to itself.
struct command_access : CLI::App {
    static std::function<void()> run_of(CLI::App const& command) {
        return command.*(&command_access::final_callback_);
    }
};

}  // namespace

void add_self_description(CLI::App& program) {
    auto const text = std::make_shared<std::string>();
    CLI::App& completion =
        *program.add_subcommand("completion", "Print the completion of this program for a shell");
    completion.add_option("shell", *text, "whose completion")
        ->required()
        ->check(CLI::IsMember({"bash", "zsh", "fish"}));
    completion.callback([&program, text] { print_completion(program, *text); });

    CLI::App& man = *program.add_subcommand("man", "Print the manual page, in mdoc");
    man.add_option("command", *text, "of this command alone")->type_name("COMMAND");
    man.callback([&program, text] { print_man_page(program, *text); });

    program.add_flag_callback(
        "--check-arguments",
        [&program] {
            for (CLI::App* const command : program.get_subcommands({}))
                // The command's options live in what it runs.
                command->final_callback([kept = command_access::run_of(*command)] {});
        },
        "before a command: read its arguments, say what is wrong with them, and run nothing");
}

}  // namespace app
