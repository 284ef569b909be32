// SPDX-License-Identifier: Apache-2.0
//
// To which passage of a text does a token belong? A passage is a line with the newline that ends it; a token
// belongs to the passage that holds its first byte. Passages are what chance draws: a text has many, and
// the tokens within one hang together.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/eval/corpus.hpp>
#include <qtk/eval/perplexity.hpp>
#include <qtk/io/tokenizer.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace qtk {

/// The tokens of one language, BOS first if there is one; passage and bytes of each, 0 for BOS.
struct passage_tokens {
    language_tokens text;
    std::vector<std::uint32_t> passage, bytes;
    std::size_t passages = 0;
};

/// Encodes a text as a whole and finds the passage of each token. Throws value_error where the tokens do not
/// spell the text, so that nobody can say which byte is whose.
[[nodiscard]] inline passage_tokens tokens_of_passages(language_text const& text,
                                                       tokenizer const& encoder,
                                                       std::optional<std::int32_t> bos) {
    passage_tokens found;
    found.text.language = text.language;
    if (bos) {
        found.text.tokens.push_back(*bos);
        found.passage.push_back(0), found.bytes.push_back(0);
    }
    std::vector<std::int32_t> const ids = encoder.encode(text.text);
    std::size_t spelled = 0;
    for (std::int32_t const id : ids) spelled += encoder.piece(id).size();
    // SentencePiece puts a space in front, which no byte of the text stands for.
    std::size_t added = spelled - text.text.size();
    if (spelled < text.text.size() || added > 1)
        throw value_error(text.language + ": the tokens spell " + std::to_string(spelled) +
                          " bytes of a text of " + std::to_string(text.text.size()) +
                          ", so they cannot be told apart by passage");
    std::size_t at = 0;
    std::uint32_t line = 0;
    for (std::int32_t const id : ids) {
        std::size_t length = encoder.piece(id).size();
        if (added > 0) --length, added = 0;
        found.text.tokens.push_back(id);
        found.passage.push_back(line);
        found.bytes.push_back(static_cast<std::uint32_t>(length));
        for (char const c : std::string_view(text.text).substr(at, length))
            if (c == '\n') ++line;
        at += length;
    }
    bool const ends_with_newline = !text.text.empty() && text.text.back() == '\n';
    found.passages = text.text.empty() ? 0 : line + (ends_with_newline ? 0u : 1u);
    return found;
}

/// One window with the passages of its scored tokens: token i of them lies in passage first + place[i].
struct passage_window {
    token_window window;
    std::uint32_t first = 0;
    std::vector<std::uint32_t> place;
    /// Passages from `first` on that the window touches.
    [[nodiscard]] std::size_t passages() const noexcept {
        return place.empty() ? 0 : place.back() + 1;
    }
};

/// What is scored of each passage of a language; the same for every model with one tokenizer.
struct passage_size {
    std::size_t tokens = 0, bytes = 0;
};

/// The windows of a text under a protocol; throws like named_windows(). They look into `text`.
[[nodiscard]] inline std::vector<passage_window> passage_windows(
    passage_tokens const& text, perplexity_protocol const& protocol) {
    std::vector<passage_window> all;
    for (token_window const& window : named_windows(text.text, protocol)) {
        auto const end = static_cast<std::size_t>(window.tokens.data() - text.text.tokens.data()) +
                         window.tokens.size();
        std::size_t const begin = end - window.scored;
        all.push_back({window, text.passage[begin], {}});
        for (std::size_t i = begin; i < end; ++i)
            all.back().place.push_back(text.passage[i] - all.back().first);
    }
    return all;
}

/// What the windows score of each passage, [passages].
[[nodiscard]] inline std::vector<passage_size> sizes_of(passage_tokens const& text,
                                                        std::span<passage_window const> windows) {
    std::vector<passage_size> sizes(text.passages);
    for (passage_window const& w : windows) {
        auto const end =
            static_cast<std::size_t>(w.window.tokens.data() - text.text.tokens.data()) +
            w.window.tokens.size();
        for (std::size_t i = 0; i < w.place.size(); ++i) {
            passage_size& size = sizes[w.first + w.place[i]];
            ++size.tokens;
            size.bytes += text.bytes[end - w.place.size() + i];
        }
    }
    return sizes;
}

}  // namespace qtk
