// SPDX-License-Identifier: Apache-2.0
//
// What on the command line does nobody know, and what may have been meant?
#pragma once

#include <CLI/CLI.hpp>

#include "did_you_mean.hpp"
#include <algorithm>
#include <optional>
#include <string>
#include <vector>

namespace app {

/// After a parse that failed: a sentence about the first argument that was left over, a flag before others; none
/// where nothing was left over.
[[nodiscard]] inline std::optional<std::string> unknown_argument(CLI::App const& program) {
    std::vector<std::string> const left = program.remaining(true);
    if (left.empty()) return std::nullopt;
    auto const flag =
        std::ranges::find_if(left, [](std::string const& s) { return s.starts_with('-'); });
    std::string const found = flag == left.end() ? left.front() : *flag;
    auto const chosen = program.get_subcommands();
    CLI::App const& command = chosen.empty() ? program : *chosen.front();
    std::string const own = program.get_name(),
                      name = chosen.empty() ? own : own + " " + command.get_name();
    std::string const help = " Hint: " + name + " --help lists what there is";
    std::vector<std::string> names;
    if (flag != left.end()) {
        for (CLI::Option const* const option : command.get_options())
            for (std::string const& one : option->get_lnames()) names.push_back("--" + one);
        std::string const word = found.substr(0, found.find('='));
        return word + ": " + name + " has no such option." + did_you_mean(word, names) + help;
    }
    if (!chosen.empty()) return found + ": " + name + " expects no further argument." + help;
    for (CLI::App const* const one : program.get_subcommands([](CLI::App const*) { return true; }))
        names.push_back(one->get_name());
    return found + ": " + own + " has no such command." + did_you_mean(found, names) + help;
}

}  // namespace app
