// SPDX-License-Identifier: Apache-2.0
//
// Which text is a model measured on? A folder with one file a language, `<code>.txt`, whose line i
// says the same in every language, or a file of one's own. Of the embedded corpus lines 1 to 80
// calibrate and lines 81 to 160 evaluate, so that nothing is measured on what it was fitted to.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/io/descriptor.hpp>
#include <qtk/io/mapped_file.hpp>
#include <qtk/io/tokenizer.hpp>
#include <qtk/io/utf8.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace qtk {

/// Lines `first` to `last`, both included, counted from 1.
struct line_range {
    static constexpr std::size_t end = std::numeric_limits<std::size_t>::max();
    std::size_t first = 1, last = end;
};
inline constexpr line_range all_lines{}, calibration_lines{1, 80}, evaluation_lines{81, 160};

/// The languages of the embedded corpus, in the order in which calibration runs through them.
inline constexpr std::array<std::string_view, 11> corpus_languages{
    "en", "de", "fr", "es", "ru", "he", "ar", "hi", "zh", "ja", "ko"};

/// The lines of a UTF-8 file joined by one newline, none at the end. Throws system_error if it
/// cannot be opened, io_error if it is not UTF-8 or ends before the range does, value_error for a
/// range that is none.
[[nodiscard]] inline std::string read_lines(std::filesystem::path const& path,
                                            line_range lines = all_lines) {
    bool const is_open = lines.last == line_range::end;
    std::string const range = "lines " + std::to_string(lines.first) + " to " +
                              (is_open ? "the end" : std::to_string(lines.last));
    if (lines.first < 1 || lines.last < lines.first)
        throw value_error(
            "expected a range of lines that starts at 1 or later and does not run "
            "backwards, found " +
            range);
    mapped_file const file = mapped_file::open(path, io_mode::read);
    std::string_view rest = file.text();
    if (std::size_t const fault = find_utf8_fault(rest); fault != std::string_view::npos)
        throw io_error(file.path(), "the text is not UTF-8", fault);
    std::string text;
    std::size_t line = 0;
    while (!rest.empty() && line < lines.last) {
        std::size_t const length = std::min(rest.find('\n'), rest.size());
        if (++line >= lines.first) {
            if (line > lines.first) text += '\n';
            text += rest.substr(0, length);
        }
        rest.remove_prefix(std::min(length + 1, rest.size()));
    }
    // From line 1 to the end may be nothing at all; any other range names lines that must be there.
    std::size_t const needed = !is_open ? lines.last : (lines.first > 1 ? lines.first : 0);
    if (line < needed)
        throw io_error(file.path(),
                       "expected " + range + ", the file has " + std::to_string(line) + " lines");
    return text;
}

/// The text of one language; `language` is a code, or any name that a report should show.
struct language_text {
    std::string language, text;
};

/// The languages of which a folder has `<language>.txt`, in the order of the alphabet.
[[nodiscard]] inline std::vector<std::string> languages_of(std::filesystem::path const& folder) {
    std::vector<std::string> languages;
    for (auto const& entry : std::filesystem::directory_iterator(folder))
        if (entry.path().extension() == ".txt") languages.push_back(entry.path().stem().string());
    std::ranges::sort(languages);
    return languages;
}

/// Reads `<language>.txt` of `folder` for each language. Throws like read_lines; where a language is
/// missing, the error names those that are there.
[[nodiscard]] inline std::vector<language_text> read_corpus(
    std::filesystem::path const& folder, line_range lines,
    std::span<std::string_view const> languages = corpus_languages) {
    std::vector<language_text> texts;
    for (std::string_view const language : languages) {
        std::string const name(language);
        std::filesystem::path const file = folder / (name + ".txt");
        if (!std::filesystem::exists(file) && std::filesystem::is_directory(folder)) {
            std::string known;
            for (auto const& other : languages_of(folder))
                known += (known.empty() ? "" : ", ") + other;
            if (!known.empty())
                detail::throw_system_error(file.string(), "open the file", ENOENT,
                                           "the folder has " + known);
        }
        texts.push_back({name, read_lines(file, lines)});
    }
    return texts;
}

/// The tokens of one language, BOS first if there is one.
struct language_tokens {
    std::string language;
    std::vector<std::int32_t> tokens;
};

/// Encodes every text as a whole, after `bos` if there is one.
[[nodiscard]] inline std::vector<language_tokens> tokenize(std::span<language_text const> texts,
                                                           tokenizer const& encoder,
                                                           std::optional<std::int32_t> bos) {
    std::vector<language_tokens> corpus;
    for (auto const& [language, text] : texts) {
        std::vector<std::int32_t> tokens;
        if (bos) tokens.push_back(*bos);
        std::vector<std::int32_t> const encoded = encoder.encode(text);
        tokens.insert(tokens.end(), encoded.begin(), encoded.end());
        corpus.push_back({language, std::move(tokens)});
    }
    return corpus;
}

}  // namespace qtk
