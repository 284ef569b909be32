// SPDX-License-Identifier: Apache-2.0
#include "program_tables.hpp"

#include <qtk/energy/published.hpp>
#include <qtk/eval/corpus.hpp>

#include <CLI/CLI.hpp>

#include "format_words.hpp"
#include <cstddef>
#include <string_view>
#include <utility>

namespace app {
namespace {

[[nodiscard]] std::vector<std::string> split_words(std::string_view list) {
    std::vector<std::string> words;
    while (!list.empty()) {
        std::size_t const comma = std::min(list.find(','), list.size());
        std::string_view word = list.substr(0, comma);
        // Of cifar10:DIR the part that is always the same.
        word = word.substr(0, std::min(word.find(':'), word.size() - 1) + 1);
        words.emplace_back(word);
        list.remove_prefix(std::min(comma + 1, list.size()));
    }
    return words;
}

/// From "TEXT:{a,b}", "{a,b}", "INT:INT in [0 - 9]" or "FILE".
void read_type(option_table& entry, std::string const& type) {
    std::size_t const brace = type.find('{');
    if (brace != type.npos && type.ends_with('}')) {
        entry.value = "WORD";
        entry.allowed = type.substr(brace + 1, type.size() - brace - 2);
        entry.words = split_words(entry.allowed);
        return;
    }
    std::size_t const colon = type.find(':');
    bool const has_check = colon != type.npos && type.find(" in [", colon) != type.npos;
    // "UINT:POSITIVE": a check by its name.
    bool const has_name =
        colon != type.npos && type.compare(0, colon, "folder") != 0 && type.find('[') == type.npos;
    entry.value = has_check || has_name ? type.substr(0, colon) : type;
    if (has_check || has_name) entry.allowed = type.substr(colon + 1);
    std::string const& value = entry.value;
    entry.takes_files = value == "FILE" || value == "MODEL" || value == "TABLE";
    entry.takes_folders = value == "DIR";
    if (value == "FORMAT") {
        entry.words = scheme_words();
        entry.words.insert(entry.words.end(), layer_format_words.begin(), layer_format_words.end());
    }
    if (value == "TABLE")
        entry.words.assign(qtk::energy_table_names.begin(), qtk::energy_table_names.end());
    if (value == "LANG")
        entry.words.assign(qtk::corpus_languages.begin(), qtk::corpus_languages.end());
    if (value == "METHOD")
        entry.words = {"rtn",       "mse",    "hqq",      "imatrix", "outliers",
                       "gptq",      "smooth", "adaround", "brecq",   "autoround",
                       "omniquant", "awq",    "rotate",   "bias"};
}

[[nodiscard]] option_table read_option(CLI::Option const& option) {
    option_table entry;
    for (std::string const& name : option.get_snames()) entry.names.push_back("-" + name);
    for (std::string const& name : option.get_lnames()) entry.names.push_back("--" + name);
    bool const is_argument = entry.names.empty();
    if (is_argument) entry.names.push_back(option.get_name(true));
    entry.description = option.get_description();
    entry.is_required = option.get_required();
    if (option.get_type_size_max() == 0 || option.get_items_expected_max() == 0) {
        // A flag; one that stands for a text, as --json does for "-", takes a file in its place.
        std::string const stands_for = is_argument || option.get_lnames().empty()
                                           ? std::string()
                                           : option.get_flag_value(option.get_lnames().front(), "");
        entry.has_optional_value = stands_for == "-";
        if (entry.has_optional_value) entry.value = "FILE", entry.takes_files = true;
        return entry;
    }
    read_type(entry, option.get_type_name());
    entry.preset = option.get_default_str();
    if (entry.preset.size() > 1 && entry.preset.front() == '[' && entry.preset.back() == ']')
        entry.preset = entry.preset.substr(1, entry.preset.size() - 2);
    entry.is_list = option.get_delimiter() == ',';
    entry.is_repeatable = !entry.is_list && option.get_items_expected_max() > 1;
    return entry;
}

}  // namespace

command_table tables_of(CLI::App const& program) {
    command_table table;
    table.name = program.get_name();
    table.description = program.get_description();
    for (CLI::Option const* const option : program.get_options()) {
        if (option->get_group().empty()) continue;
        (option->nonpositional() ? table.options : table.arguments).push_back(read_option(*option));
    }
    for (CLI::App const* const command :
         program.get_subcommands([](CLI::App const* one) { return !one->get_group().empty(); }))
        table.commands.push_back(tables_of(*command));
    return table;
}

}  // namespace app
