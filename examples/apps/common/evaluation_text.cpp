// SPDX-License-Identifier: Apache-2.0
#include "evaluation_text.hpp"

#include <qtk/eval/corpus.hpp>

#include <CLI/CLI.hpp>

#include <algorithm>
#include <charconv>
#include <filesystem>

namespace app {

std::size_t parse_windows(std::string const& text) {
    if (text == "all") return 0;
    std::size_t value = 0;
    auto const [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (failure != std::errc{} || end != text.data() + text.size() || value == 0)
        throw qtk::value_error("--windows: expected a number above 0 or \"all\", found \"" + text +
                               "\"");
    return value;
}

namespace {

/// Lines with what stands between them; "file" leaves the text as it is.
std::string joined(std::string const& path, std::string const& join) {
    std::string lines = qtk::read_lines(path, qtk::all_lines);
    if (join == "newline") return lines;
    if (join == "file") return std::string(qtk::mapped_file::open(path, qtk::io_mode::read).text());
    std::string text;
    for (char const c : lines) text += c == '\n' ? std::string("\n\n") : std::string(1, c);
    return text;
}

}  // namespace

void text_options::add_to(CLI::App& command) {
    command.add_option("--text", texts, "LANG=FILE instead of the embedded corpus; repeatable")
        ->type_name("LANG=FILE");
    command.add_option("--corpus", corpus, "folder of LANG.txt files")
        ->capture_default_str()
        ->type_name("DIR");
    command.add_option("--langs", languages, "languages of the corpus")
        ->delimiter(',')
        ->type_name("LANG");
    command.add_option("--windows", windows, "windows of each language, or all")
        ->capture_default_str()
        ->type_name("N|all");
    command.add_option("--window", window, "tokens of a window; 0: 256, or the context");
    command.add_option("--stride", stride, "from one window to the next; 0: the window");
    command
        .add_option("--join", join,
                    "between the lines of --text files: newline, blank (an empty line), or file: "
                    "the file as it is")
        ->check(CLI::IsMember({"newline", "blank", "file"}))
        ->capture_default_str();
    command
        .add_option("--bos", bos, "token before each text: auto, as the model wants it, or none")
        ->check(CLI::IsMember({"auto", "none"}))
        ->capture_default_str();
}

void text_options::require() const {
    static_cast<void>(parse_windows(windows));
    if (window == 1 || (stride > 0 && window > 0 && stride > window))
        throw qtk::value_error(
            "--window: expected 2 tokens or more and a --stride up to the window, found window " +
            std::to_string(window) + " and stride " + std::to_string(stride));
}

std::vector<qtk::language_text> text_options::read_texts() const {
    if (texts.empty()) {
        std::vector<std::string_view> const names(languages.begin(), languages.end());
        return qtk::read_corpus(corpus, qtk::evaluation_lines, names);
    }
    std::vector<qtk::language_text> read;
    for (std::string const& text : texts) {
        std::size_t const equals = text.find('=');
        bool const has_name = equals != text.npos && equals > 0;
        read.push_back({has_name ? text.substr(0, equals) : "text",
                        joined(has_name ? text.substr(equals + 1) : text, join)});
    }
    return read;
}

std::optional<std::int32_t> text_options::first_token(language_model const& model) const {
    return bos == "none" ? std::nullopt : model.bos();
}

qtk::perplexity_protocol text_options::protocol_for(language_model const& model) const {
    qtk::perplexity_protocol protocol;
    protocol.windows = parse_windows(windows);
    protocol.window =
        window > 0 ? window : std::min<std::size_t>(256, model.network().config().context);
    protocol.stride = stride > 0 ? stride : protocol.window;
    return protocol;
}

std::string text_options::describe(language_model const& model, std::size_t count,
                                   std::string const& more) const {
    std::string const data = texts.empty() ? std::filesystem::path(corpus).filename().string()
                                           : std::string("the given text");
    return qtk::describe(protocol_for(model),
                         {.data = data + more,
                          .lines = texts.empty() ? qtk::evaluation_lines : qtk::all_lines,
                          .languages = count,
                          .bos = first_token(model),
                          .tokenizer_hash = model.tokenizer().hash()});
}

evaluation_text text_options::read(language_model const& model) const {
    std::vector<qtk::language_text> const read = read_texts();
    return {qtk::tokenize(read, model.tokenizer(), first_token(model)), protocol_for(model),
            describe(model, read.size())};
}

}  // namespace app
