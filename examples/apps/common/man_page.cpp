// SPDX-License-Identifier: Apache-2.0
#include "man_page.hpp"

#include <qtk/version.hpp>

#include <fmt/format.h>

#include "exit_code.hpp"
#include "program_tables.hpp"
#include <cstddef>
#include <string>
#include <string_view>

namespace app {
namespace {

/// The tables are those of a release: its pages all have the day on which their form was last changed.
constexpr char const* page_date = "November 30, 2026";

/// A word on a line of macros: never a macro itself.
[[nodiscard]] std::string macro_word(std::string_view text) {
    std::string out = "\\&";
    for (char const c : text) {
        if (c == '\\')
            out += "\\e";
        else if (c == '"')
            out += "\\(dq";
        else if (c == '-')
            out += "\\-";
        else if (c == ' ')
            out += "\\ ";
        else
            out += c;
    }
    return out;
}

/// Running text: lines of at most 78 characters, a sentence begins a line.
[[nodiscard]] std::string man_text(std::string_view text) {
    std::string out, line;
    auto const end_line = [&] {
        if (line.empty()) return;
        if (line.front() == '.' || line.front() == '\'') out += "\\&";
        out += line + "\n";
        line.clear();
    };
    while (!text.empty()) {
        std::size_t const space = std::min(text.find(' '), text.size());
        std::string shown;
        for (char const c : text.substr(0, space))
            shown += c == '\\' ? std::string("\\e") : std::string(1, c);
        text.remove_prefix(std::min(space + 1, text.size()));
        if (shown.empty()) continue;
        if (line.size() + 1 + shown.size() > 78) end_line();
        line += (line.empty() ? "" : " ") + shown;
        bool const ends_sentence = shown.ends_with('.') && shown != "e.g.";
        if (ends_sentence || shown.ends_with('?')) end_line();
    }
    end_line();
    return out;
}

[[nodiscard]] std::string sentence(std::string text) {
    if (text.empty()) return text;
    bool const is_ended = text.back() == '.' || text.back() == '?';
    // A first word such as "w4" or "fp32" is a spelling.
    if (text.front() >= 'a' && text.front() <= 'z') {
        std::size_t const end = std::min(text.find_first_of(" ,;:"), text.size());
        bool is_plain = true;
        for (char const c : std::string_view(text).substr(0, end))
            is_plain = is_plain && c >= 'a' && c <= 'z';
        bool const is_enumeration = end < text.size() && text[end] != ' ';
        if (is_plain && !is_enumeration) text.front() = static_cast<char>(text.front() - 'a' + 'A');
    }
    return is_ended ? text : text + ".";
}

void add_man_entry(std::string& text, option_table const& option, bool is_argument) {
    text += ".It";
    for (std::size_t i = 0; i < option.names.size(); ++i) {
        std::string_view name = option.names[i];
        if (is_argument) {
            text += " Ar " + macro_word(name);
            continue;
        }
        text += i == 0 ? " Fl " : " , Fl ";
        // Fl brings the first dash.
        text += macro_word(name.substr(1));
    }
    if (option.has_optional_value)
        text += " Ns Op = Ns Ar " + macro_word(option.value);
    else if (!option.value.empty() && !is_argument)
        text += " Ar " + macro_word(option.value);
    text += "\n";
    std::string said = sentence(option.description);
    if (option.value == "WORD")
        said += (said.empty() ? "One of " : " One of ") + [&] {
            std::string list;
            for (char const c : option.allowed) list += c == ',' ? ", " : std::string(1, c);
            return list;
        }() + ".";
    else if (!option.allowed.empty())
        said += (said.empty() ? "" : " ") + std::string("Allowed: ") + option.allowed + ".";
    if (option.is_list) said += " Several are joined by commas.";
    if (option.is_repeatable && !is_argument && said.find("repeatable") == said.npos &&
        said.find("several times") == said.npos)
        said += " May be given several times.";
    if (option.is_required && !is_argument) said += " Required.";
    if (!option.preset.empty()) said += " Default: " + option.preset + ".";
    text += man_text(said);
}

void add_man_list(std::string& text, std::vector<option_table> const& options, bool is_argument) {
    if (options.empty()) return;
    text += ".Bl -tag -width Ds\n";
    for (option_table const& option : options) add_man_entry(text, option, is_argument);
    text += ".El\n";
}

[[nodiscard]] std::string synopsis_of(command_table const& command) {
    std::string text = ".Cm " + macro_word(command.name) + "\n.Op Ar option ...\n";
    for (option_table const& argument : command.arguments)
        text += (argument.is_required ? ".Ar " : ".Op Ar ") + macro_word(argument.names.front()) +
                (argument.is_repeatable ? " ...\n" : "\n");
    return text;
}

/// "quantize language models" of "qtk: quantize language models".
[[nodiscard]] std::string after_name(std::string_view description) {
    std::size_t const colon = description.find(": ");
    return std::string(colon == description.npos ? description : description.substr(colon + 2));
}

[[nodiscard]] std::string page_head(std::string const& name, std::string_view description) {
    std::string title;
    for (char const c : name) title += c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    return fmt::format(".Dd {}\n.Dt {} 1\n.Os qtk {}\n.Sh NAME\n.Nm {}\n.Nd {}\n.Sh SYNOPSIS\n",
                       page_date, title, QTK_VERSION_STRING, name, description);
}

[[nodiscard]] std::string exit_status() {
    std::string text = ".Sh EXIT STATUS\n.Bl -tag -width Ds\n";
    for (auto const& [code, meaning] : exit_meanings)
        text += fmt::format(".It {}\n{}\n", static_cast<int>(code), sentence(std::string(meaning)));
    return text + ".El\n";
}

}  // namespace

std::string man_page(command_table const& program) {
    std::string text = page_head(program.name, after_name(program.description));
    text += fmt::format(".Nm\n.Op Ar option ...\n.Ar command\n.Op Ar argument ...\n");
    text += ".Sh DESCRIPTION\nOptions of the program itself come before the command:\n";
    add_man_list(text, program.options, false);
    text += ".Sh COMMANDS\n";
    for (command_table const& command : program.commands) {
        text += ".Ss " + macro_word(command.name) + "\n" + man_text(sentence(command.description)) +
                ".Pp\n.Nm " + macro_word(program.name) + "\n" + synopsis_of(command);
        add_man_list(text, command.arguments, true);
        add_man_list(text, command.options, false);
    }
    return text + exit_status();
}

std::string man_page(command_table const& program, command_table const& command) {
    std::string text = page_head(program.name + "-" + command.name, command.description);
    text += ".Nm " + macro_word(program.name) + "\n" + synopsis_of(command);
    text += ".Sh DESCRIPTION\n" + man_text(sentence(command.description));
    add_man_list(text, command.arguments, true);
    add_man_list(text, command.options, false);
    return text + exit_status();
}

}  // namespace app
