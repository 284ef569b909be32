// SPDX-License-Identifier: Apache-2.0
//
// Which token ids stand for this text? GPT-2's byte-level byte-pair encoding, from the two files it
// is published in: vocab.json (token -> id) and merges.txt (one pair a line, best first), or from a
// vocabulary and rules that come from elsewhere. Any bytes can be decoded, any UTF-8 text encoded.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/io/bpe_merges.hpp>
#include <qtk/io/bpe_vocabulary.hpp>
#include <qtk/io/byte_alphabet.hpp>
#include <qtk/io/limits.hpp>
#include <qtk/io/mapped_file.hpp>
#include <qtk/io/pretokenizer.hpp>
#include <qtk/io/sha256.hpp>
#include <qtk/io/strict_json.hpp>
#include <qtk/io/utf8.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace qtk {

/// What `<|endoftext|>` inside a text means: the token, as in Hugging Face's tokenizers, or the
/// thirteen characters.
enum class special_text { token, ordinary };

/// What byte-level tokenizers differ in besides their vocabularies; the defaults are GPT-2's.
struct byte_level_rules {
    /// PCRE2 patterns; each cuts the pieces that the one before left.
    std::vector<std::string> splits{std::string(gpt2_split)};
    /// A piece that is a token as a whole is that token, whatever the merges say (Llama 3).
    bool ignore_merges = false;
    /// Text that does not begin with a space gets one.
    bool prefix_space = false;
    /// Stands for bytes that the vocabulary lacks; without it they are refused.
    std::optional<std::int32_t> unknown{};
    /// Neighbouring unknown bytes of one piece are one token.
    bool fuse_unknown = false;
};

/// A tokenizer; const members may be called from several threads at once.
class byte_level_bpe {
  public:
    static constexpr std::string_view end_of_text_name = "<|endoftext|>";

    /// Reads vocab.json and merges.txt of a model folder; throws io_error naming file and line.
    [[nodiscard]] static byte_level_bpe open(std::filesystem::path const& folder,
                                             io_limits const& limits = {}) {
        auto const file = [&](char const* name) {
            return mapped_file::open(folder / name, io_mode::read, limits.json_bytes);
        };
        mapped_file const vocabulary = file("vocab.json"), merges = file("merges.txt");
        return {vocabulary.text(), merges.text(), vocabulary.path(), merges.path(), limits};
    }

    /// From the content of both files; the names serve in messages.
    byte_level_bpe(std::string_view vocabulary, std::string_view merges,
                   std::string const& vocabulary_name = "vocab.json",
                   std::string const& merges_name = "merges.txt", io_limits const& limits = {})
        : byte_level_bpe(read(vocabulary, merges, vocabulary_name, merges_name, limits)) {
        sha256 digest;
        digest.update(vocabulary);
        digest.update(merges);
        hash_ = digest.hex();
    }

    /// From a vocabulary whose tokens are written in the byte alphabet, but for added ones, which
    /// are written as they are. Throws io_error naming the token, value_error on a broken pattern.
    explicit byte_level_bpe(bpe_vocabulary const& vocabulary, byte_level_rules const& rules = {})
        : rules_(rules) {
        byte_ids_.fill(-1);
        tokens_.resize(vocabulary.size());
        for (std::size_t id = 0; id < vocabulary.size(); ++id) {
            std::string const& letters = vocabulary.token(id);
            if (letters.empty()) continue;
            if (vocabulary.is_added(id)) {
                tokens_[id] = letters;
                continue;
            }
            std::optional<std::string> spelled = from_byte_alphabet(letters);
            if (!spelled)
                throw io_error(vocabulary.name(),
                               "token " + qtk::quoted(letters) +
                                   " is not written in the byte-level alphabet. Hint: a "
                                   "SentencePiece vocabulary needs its own tokenizer");
            auto const number = static_cast<std::int32_t>(id);
            if (spelled->size() == 1)
                byte_ids_[static_cast<unsigned char>(spelled->front())] = number;
            if (rules_.ignore_merges) whole_.emplace(*spelled, number);
            tokens_[id] = *std::move(spelled);
        }
        for (auto const& [left, right, joined] : vocabulary.merges())
            merges_.add(left, right, joined);
        for (std::string const& pattern : rules_.splits) splits_.emplace_back(pattern);
        end_of_text_ = vocabulary.find(end_of_text_name);
    }

    /// The ids of UTF-8 text, without BOS. Throws value_error with the byte position when the text
    /// is not UTF-8, and when the vocabulary has no token for one of its bytes.
    [[nodiscard]] std::vector<std::int32_t> encode(
        std::string_view text, special_text special = special_text::token) const {
        if (std::size_t const fault = find_utf8_fault(text); fault != std::string_view::npos)
            throw value_error("the text is not UTF-8 at byte " + std::to_string(fault));
        std::vector<std::int32_t> ids;
        if (special == special_text::token && end_of_text_) {
            for (std::size_t at; (at = text.find(end_of_text_name)) != std::string_view::npos;) {
                append(text.substr(0, at), ids);
                ids.push_back(*end_of_text_);
                text.remove_prefix(at + end_of_text_name.size());
            }
        }
        append(text, ids);
        return ids;
    }

    /// The text in which added tokens are looked for: as it is.
    [[nodiscard]] static std::string_view normalized(std::string_view text) noexcept {
        return text;
    }

    /// Appends the ids of UTF-8 text in which no token is special. Throws like encode().
    void append(std::string_view text, std::vector<std::int32_t>& ids) const {
        if (text.empty()) return;
        std::string spaced;
        if (rules_.prefix_space && text.front() != ' ') text = spaced.append(" ").append(text);
        std::vector<std::string_view> pieces{text}, finer;
        for (pretokenizer const& split : splits_) {
            finer.clear();
            for (std::string_view const piece : pieces)
                split.for_each_piece(piece, [&](std::string_view word) { finer.push_back(word); });
            pieces.swap(finer);
        }
        std::vector<std::int32_t> symbols;
        for (std::string_view const piece : pieces) append_piece(piece, symbols, ids);
    }

    /// The bytes that the ids spell; they need not be UTF-8 when a character was cut in two.
    /// Throws value_error on an id without a token.
    [[nodiscard]] std::string decode(std::span<std::int32_t const> ids) const {
        std::string text;
        for (std::size_t i = 0; i < ids.size(); ++i) {
            auto const id = static_cast<std::uint32_t>(ids[i]);
            if (id >= tokens_.size() || tokens_[id].empty())
                throw value_error("token " + std::to_string(i) + " has the id " +
                                  std::to_string(ids[i]) + ", which the vocabulary of " +
                                  std::to_string(tokens_.size()) + " ids does not name");
            text += tokens_[id];
        }
        return text;
    }

    /// The bytes of one id from 0 to size() - 1; none where no token has the id.
    [[nodiscard]] std::string_view piece(std::size_t id) const noexcept { return tokens_[id]; }

    /// One more than the greatest id.
    [[nodiscard]] std::size_t size() const noexcept { return tokens_.size(); }

    /// The id of `<|endoftext|>`, which GPT-2 uses as BOS too, if the vocabulary has it.
    [[nodiscard]] std::optional<std::int32_t> end_of_text() const noexcept { return end_of_text_; }

    /// SHA-256 of both files, in hexadecimal: what `cat vocab.json merges.txt | sha256sum` prints.
    /// Empty for a vocabulary from elsewhere.
    [[nodiscard]] std::string const& hash() const noexcept { return hash_; }

  private:
    static bpe_vocabulary read(std::string_view vocabulary, std::string_view merges,
                               std::string const& vocabulary_name, std::string const& merges_name,
                               io_limits const& limits) {
        bpe_vocabulary table(vocabulary_name, limits);
        table.add_object(parse_strict_json(vocabulary, vocabulary_name, limits));
        table.add_merge_lines(merges, merges_name);
        return table;
    }

    void append_piece(std::string_view piece, std::vector<std::int32_t>& symbols,
                      std::vector<std::int32_t>& ids) const {
        if (rules_.ignore_merges) {
            if (auto const found = whole_.find(piece); found != whole_.end()) {
                ids.push_back(found->second);
                return;
            }
        }
        symbols.clear();
        bool was_unknown = false;
        for (char const c : piece) {
            auto const byte = static_cast<unsigned char>(c);
            std::int32_t const id = byte_ids_[byte];
            if (id < 0 && !rules_.unknown)
                throw value_error("the vocabulary has no token for the byte " +
                                  std::to_string(byte) + " in " + qtk::quoted(piece));
            if (id >= 0)
                symbols.push_back(id);
            else if (!was_unknown || !rules_.fuse_unknown)
                symbols.push_back(*rules_.unknown);
            was_unknown = id < 0;
        }
        merges_.apply(symbols);
        ids.insert(ids.end(), symbols.begin(), symbols.end());
    }

    byte_level_rules rules_;
    std::vector<std::string> tokens_;         // bytes, by id; empty where no token has the id
    std::array<std::int32_t, 256> byte_ids_;  // -1 where the vocabulary lacks the byte
    detail::text_map<std::int32_t> whole_;    // bytes of tokens that need no merges
    bpe_merges merges_;
    std::vector<pretokenizer> splits_;
    std::optional<std::int32_t> end_of_text_;
    std::string hash_;
};

}  // namespace qtk
