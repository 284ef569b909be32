// SPDX-License-Identifier: Apache-2.0
//
// On which text is a model judged, and by which protocol? The flags that all measuring commands share, and
// what they mean for one model.
#pragma once

#include <qtk/eval/perplexity.hpp>

#include "language_model.hpp"
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace app {

struct evaluation_text {
    std::vector<qtk::language_tokens> corpus;
    qtk::perplexity_protocol protocol;
    std::string sentence;  ///< The protocol in words.
};

/// A number of windows above 0, or "all", which is 0; throws qtk::value_error otherwise.
[[nodiscard]] std::size_t parse_windows(std::string const& text);

struct text_options {
    std::string corpus =
        QTK_DATA_DIR "/corpus";      ///< Folder of LANG.txt; lines 81 to 160 are evaluated.
    std::vector<std::string> texts;  ///< LANG=FILE, instead of the corpus; whole files.
    std::vector<std::string> languages{qtk::corpus_languages.begin(), qtk::corpus_languages.end()};
    std::string windows = "8";           ///< A number or "all".
    std::size_t window = 0, stride = 0;  ///< 0: 256 or the context; the window.
    std::string join = "newline", bos = "auto";

    void add_to(CLI::App& command);
    /// Throws qtk::value_error for a flag that makes no sense, before anything is read.
    void require() const;
    /// Reads and tokenizes the texts. Throws what reading throws.
    [[nodiscard]] evaluation_text read(language_model const& model) const;
    /// The same in parts: the texts, the token before each, the windows, and all of it in words; `more` is
    /// added to the name of the data.
    [[nodiscard]] std::vector<qtk::language_text> read_texts() const;
    [[nodiscard]] std::optional<std::int32_t> first_token(language_model const& model) const;
    [[nodiscard]] qtk::perplexity_protocol protocol_for(language_model const& model) const;
    [[nodiscard]] std::string describe(language_model const& model, std::size_t count,
                                       std::string const& more = {}) const;
};

}  // namespace app
