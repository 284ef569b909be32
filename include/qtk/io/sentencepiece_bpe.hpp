// SPDX-License-Identifier: Apache-2.0
//
// Which token ids stand for this text, if a vocabulary is made of characters? The byte-pair
// encoding of SentencePiece (Kudo, Richardson 2018) as Llama 1 and 2, Mistral and Gemma have it: a
// space is the character U+2581, the whole text is one piece, and a character without a token is
// the tokens <0xE2> <0x96> ... of its bytes. The ranking comes from a list of merges
// (tokenizer.json) or from the tokens' scores (GGUF).
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/io/bpe_merges.hpp>
#include <qtk/io/bpe_vocabulary.hpp>
#include <qtk/io/utf8.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iterator>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace qtk {

/// U+2581, which SentencePiece writes for a space.
inline constexpr std::string_view space_mark = "\u2581";

/// Which text gets a space mark in front.
enum class space_prefix {
    never,
    always,    ///< every stretch of text between special tokens (the normalizer Prepend)
    unmarked,  ///< every stretch that does not begin with one (Metaspace, always)
    first      ///< the stretch at the very start, unless it begins with one (Metaspace, first)
};

/// What decoding takes away at the start of the text.
enum class leading_space { stays, one_goes, marks_of_first_token_go };

/// What SentencePiece's tokenizers differ in besides their vocabularies; the defaults are Llama 2's.
struct sentencepiece_rules {
    space_prefix prefix = space_prefix::always;
    leading_space leading = leading_space::one_goes;
    /// Text is cut in front of every space mark, and merges do not cross the cut.
    bool split_words = false;
    /// Characters without a token become the tokens of their bytes, which must all be there.
    bool byte_fallback = true;
    /// Stands for characters without a token where there is no fallback.
    std::optional<std::int32_t> unknown{};
    /// Neighbouring unknown characters are one token.
    bool fuse_unknown = true;
    bool ignore_merges = false;
};

namespace detail {

/// The byte that a token <0xHH> stands for: exactly two hexadecimal digits, no sign.
[[nodiscard]] inline std::optional<unsigned char> parse_byte_token(std::string_view token) {
    if (token.size() != 6 || !token.starts_with("<0x") || token.back() != '>') return std::nullopt;
    unsigned value = 0;
    char const* const first = token.data() + 3;
    auto const [end, fault] = std::from_chars(first, first + 2, value, 16);
    if (fault != std::errc{} || end != first + 2) return std::nullopt;
    return static_cast<unsigned char>(value);
}

/// The number of the character that well-formed UTF-8 of 1 to 4 bytes spells.
[[nodiscard]] constexpr std::int32_t code_point(std::string_view character) noexcept {
    auto const first = static_cast<unsigned char>(character.front());
    std::int32_t value = character.size() == 1 ? first : first & (0x7f >> character.size());
    for (char const c : character.substr(1)) value = value << 6 | (c & 0x3f);
    return value;
}

[[nodiscard]] inline std::string replaced(std::string_view text, std::string_view from,
                                          std::string_view to) {
    std::string result;
    for (std::size_t at; (at = text.find(from)) != std::string_view::npos;) {
        result.append(text.substr(0, at)).append(to);
        text.remove_prefix(at + from.size());
    }
    return result.append(text);
}

}  // namespace detail

/// A tokenizer; const members may be called from several threads at once.
class sentencepiece_bpe {
  public:
    /// Ranked by the vocabulary's merges. Throws io_error naming the token that breaks a rule.
    sentencepiece_bpe(bpe_vocabulary const& vocabulary, sentencepiece_rules const& rules)
        : sentencepiece_bpe(vocabulary, rules, tables{}) {
        for (auto const& [left, right, joined] : vocabulary.merges())
            merges_.add(left, right, joined);
    }

    /// Ranked by scores, one an id: the pair whose joined token has the greatest score goes first,
    /// the leftmost of equals. Ids for which `joins` is false (control, unknown, byte, user-defined
    /// tokens) never come from a merge.
    sentencepiece_bpe(bpe_vocabulary const& vocabulary, sentencepiece_rules const& rules,
                      std::span<float const> scores, std::vector<bool> const& joins)
        : sentencepiece_bpe(vocabulary, rules, tables{}) {
        by_scores_ = true;
        if (scores.size() != vocabulary.size() || joins.size() != vocabulary.size())
            throw io_error(vocabulary.name(), "expected one score a token, found " +
                                                  std::to_string(scores.size()) + " scores for " +
                                                  std::to_string(vocabulary.size()) + " tokens");
        for (std::size_t id = 0; id < scores.size(); ++id)
            if (!std::isfinite(scores[id]))
                throw io_error(vocabulary.name(), "token " + qtk::quoted(vocabulary.token(id)) +
                                                      " has a score that is no finite number");
        std::vector<float> order(scores.begin(), scores.end());
        std::sort(order.begin(), order.end(), std::greater<>());
        order.erase(std::unique(order.begin(), order.end()), order.end());
        for (auto id = symbols_.begin(); id != symbols_.end();)
            id = joins[static_cast<std::size_t>(id->second)] ? std::next(id) : symbols_.erase(id);
        for (auto const& [token, id] : symbols_) {
            auto const place = std::lower_bound(
                order.begin(), order.end(), scores[static_cast<std::size_t>(id)], std::greater<>());
            auto const rank = static_cast<std::uint32_t>(place - order.begin());
            std::string_view const text = token;
            for (std::size_t cut = detail::utf8_sequence(text); cut < text.size();
                 cut += detail::utf8_sequence(text.substr(cut))) {
                auto const left = symbol(text.substr(0, cut)), right = symbol(text.substr(cut));
                if (left && right) merges_.add(*left, *right, id, rank);
            }
        }
    }

    /// The text in which added tokens are looked for: spaces marked, and a mark in front where the
    /// rule does not depend on where the text stands.
    [[nodiscard]] std::string normalized(std::string_view text) const {
        return normalized(text, rules_.prefix);
    }
    [[nodiscard]] static std::string normalized(std::string_view text, space_prefix prefix) {
        std::string marked = detail::replaced(text, " ", space_mark);
        if (prefix == space_prefix::always && !marked.empty()) marked.insert(0, space_mark);
        return marked;
    }

    /// Appends the ids of normalized UTF-8 text in which no token is special. `at_start` says that
    /// nothing stands before it. Throws value_error where a character has neither token nor
    /// fallback.
    void append(std::string_view text, bool at_start, std::vector<std::int32_t>& ids) const {
        if (text.empty()) return;
        std::string marked;
        bool const wants_mark = rules_.prefix == space_prefix::unmarked ||
                                (rules_.prefix == space_prefix::first && at_start);
        if (wants_mark && !text.starts_with(space_mark))
            text = marked.append(space_mark).append(text);
        std::vector<std::int32_t> piece;
        while (!text.empty()) {
            std::size_t const end =
                rules_.split_words ? text.find(space_mark, 1) : std::string_view::npos;
            append_piece(text.substr(0, end), piece, ids);
            text.remove_prefix(std::min(end, text.size()));
        }
    }

    /// The bytes that the ids spell, less what was put in front of the text. Throws value_error on
    /// an id without a token.
    [[nodiscard]] std::string decode(std::span<std::int32_t const> ids) const {
        std::string text;
        for (std::size_t i = 0; i < ids.size(); ++i) {
            auto const id = static_cast<std::uint32_t>(ids[i]);
            if (id >= pieces_.size() || pieces_[id].empty())
                throw value_error("token " + std::to_string(i) + " has the id " +
                                  std::to_string(ids[i]) + ", which the vocabulary of " +
                                  std::to_string(pieces_.size()) + " ids does not name");
            if (i == 0 && rules_.leading == leading_space::marks_of_first_token_go)
                text += detail::replaced(pieces_[id], " ", "");
            else
                text += pieces_[id];
        }
        if (rules_.leading == leading_space::one_goes && text.starts_with(' ')) text.erase(0, 1);
        return text;
    }

    /// The bytes of one id from 0 to size() - 1; none where no token has the id.
    [[nodiscard]] std::string_view piece(std::size_t id) const noexcept { return pieces_[id]; }

    /// One more than the greatest id.
    [[nodiscard]] std::size_t size() const noexcept { return pieces_.size(); }

  private:
    struct tables {};

    sentencepiece_bpe(bpe_vocabulary const& vocabulary, sentencepiece_rules const& rules, tables)
        : rules_(rules), pieces_(vocabulary.size()) {
        bytes_.fill(-1);
        for (std::size_t id = 0; id < vocabulary.size(); ++id) {
            std::string const& token = vocabulary.token(id);
            if (token.empty()) continue;
            auto const number = static_cast<std::int32_t>(id);
            if (rules_.byte_fallback && token.size() == 6 && token.starts_with("<0x") &&
                token.ends_with('>')) {
                auto const byte = detail::parse_byte_token(token);
                if (!byte)
                    throw io_error(vocabulary.name(), "token " + qtk::quoted(token) +
                                                          " looks like a byte, but has not two "
                                                          "hexadecimal digits");
                bytes_[*byte] = number;
                pieces_[id].assign(1, static_cast<char>(*byte));
            } else {
                pieces_[id] = detail::replaced(token, space_mark, " ");
            }
            if (!vocabulary.is_added(id)) symbols_.emplace(token, number);
        }
        for (std::size_t byte = 0; rules_.byte_fallback && byte < 256; ++byte)
            if (bytes_[byte] < 0)
                throw io_error(vocabulary.name(),
                               "the vocabulary falls back to bytes, but has no "
                               "token for the byte " +
                                   std::to_string(byte));
    }

    /// The id of a token; a single character without one is a negative number of its own.
    [[nodiscard]] std::optional<std::int32_t> symbol(std::string_view text) const noexcept {
        if (auto const found = symbols_.find(text); found != symbols_.end()) return found->second;
        if (detail::utf8_sequence(text) == text.size()) return -1 - detail::code_point(text);
        return std::nullopt;
    }

    void append_piece(std::string_view text, std::vector<std::int32_t>& piece,
                      std::vector<std::int32_t>& ids) const {
        if (rules_.ignore_merges) {
            if (auto const found = symbols_.find(text); found != symbols_.end()) {
                ids.push_back(found->second);
                return;
            }
        }
        piece.clear();
        bool was_unknown = false;
        // Merges may name byte tokens, scores may not: so bytes come before or after.
        auto const put = [&](std::int32_t id, std::string_view character,
                             std::vector<std::int32_t>& out) {
            bool const is_unknown = id < 0 && !rules_.byte_fallback;
            if (id >= 0) {
                out.push_back(id);
            } else if (rules_.byte_fallback) {
                for (char const c : character) out.push_back(bytes_[static_cast<unsigned char>(c)]);
            } else if (!rules_.unknown) {
                throw value_error("the vocabulary has no token for the character " +
                                  qtk::quoted(character));
            } else if (!was_unknown || !rules_.fuse_unknown) {
                out.push_back(*rules_.unknown);
            }
            was_unknown = is_unknown;
        };
        for (std::size_t at = 0, length = 0; at < text.size(); at += length) {
            std::string_view const rest = text.substr(at);
            length = detail::utf8_sequence(rest);
            std::int32_t const id = *symbol(rest.substr(0, length));
            if (by_scores_)
                piece.push_back(id);
            else
                put(id, rest.substr(0, length), piece);
        }
        merges_.apply(piece);
        if (!by_scores_) {
            ids.insert(ids.end(), piece.begin(), piece.end());
            return;
        }
        for (std::int32_t const id : piece) put(id, id < 0 ? spelled(-1 - id) : "", ids);
    }

    /// UTF-8 of a character's number.
    [[nodiscard]] static std::string spelled(std::int32_t point) {
        auto const part = [&](int shift, int lead) {
            return static_cast<char>(lead | (point >> shift & (lead == 0x80 ? 0x3f : 0x1fffff)));
        };
        if (point < 0x80) return {part(0, 0)};
        if (point < 0x800) return {part(6, 0xc0), part(0, 0x80)};
        if (point < 0x10000) return {part(12, 0xe0), part(6, 0x80), part(0, 0x80)};
        return {part(18, 0xf0), part(12, 0x80), part(6, 0x80), part(0, 0x80)};
    }

    sentencepiece_rules rules_;
    bool by_scores_ = false;
    std::vector<std::string> pieces_;         // bytes, by id
    detail::text_map<std::int32_t> symbols_;  // tokens that merges know
    std::array<std::int32_t, 256> bytes_;     // -1 where the vocabulary lacks the byte
    bpe_merges merges_;
};

}  // namespace qtk
