// SPDX-License-Identifier: Apache-2.0
//
// Which token ids stand for this text? GPT-2's byte-level byte-pair encoding, from the two files it
// is published in: vocab.json (token -> id) and merges.txt (one pair a line, best first). Any bytes
// can be decoded, any UTF-8 text encoded; no prefix space is added.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/io/bpe_merges.hpp>
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
#include <unordered_map>
#include <utility>
#include <vector>

namespace qtk {

/// What `<|endoftext|>` inside a text means: the token, as in Hugging Face's tokenizers, or the
/// thirteen characters.
enum class special_text { token, ordinary };

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
                   std::string const& merges_name = "merges.txt", io_limits const& limits = {}) {
        auto const ids = read_vocabulary(vocabulary, vocabulary_name, limits);
        read_merges(merges, merges_name, ids);
        sha256 digest;
        digest.update(vocabulary);
        digest.update(merges);
        hash_ = digest.hex();
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
                encode_ordinary(text.substr(0, at), ids);
                ids.push_back(*end_of_text_);
                text.remove_prefix(at + end_of_text_name.size());
            }
        }
        encode_ordinary(text, ids);
        return ids;
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

    /// One more than the greatest id.
    [[nodiscard]] std::size_t size() const noexcept { return tokens_.size(); }

    /// The id of `<|endoftext|>`, which GPT-2 uses as BOS too, if the vocabulary has it.
    [[nodiscard]] std::optional<std::int32_t> end_of_text() const noexcept { return end_of_text_; }

    /// SHA-256 of both files, in hexadecimal: what `cat vocab.json merges.txt | sha256sum` prints.
    [[nodiscard]] std::string const& hash() const noexcept { return hash_; }

  private:
    using id_map = std::unordered_map<std::string, std::int32_t>;

    id_map read_vocabulary(std::string_view content, std::string const& name,
                           io_limits const& limits) {
        auto const json = parse_strict_json(content, name, limits);
        if (!json.is_object())
            throw io_error(name,
                           "expected an object of tokens and ids, found another kind of JSON");
        if (json.size() > limits.vocabulary)
            throw io_error(name, std::to_string(json.size()) + " tokens, more than the limit of " +
                                     std::to_string(limits.vocabulary));
        id_map ids;
        byte_ids_.fill(-1);
        for (auto const& [letters, value] : json.items()) {
            if (!value.is_number_unsigned() ||
                value.template get<std::uint64_t>() >= limits.vocabulary)
                throw io_error(
                    name, "token " + qtk::quoted(letters) + ": expected an id from 0 to " +
                              std::to_string(limits.vocabulary - 1) + ", found " + value.dump());
            auto const id = value.template get<std::uint32_t>();
            std::optional<std::string> spelled = from_byte_alphabet(letters);
            if (!spelled || spelled->empty())
                throw io_error(name, "token " + qtk::quoted(letters) +
                                         " is not written in the byte-level alphabet. Hint: a "
                                         "SentencePiece vocabulary needs its own tokenizer");
            if (id >= tokens_.size()) tokens_.resize(id + std::size_t{1});
            if (!tokens_[id].empty())
                throw io_error(name, "the id " + std::to_string(id) + " belongs to both " +
                                         qtk::quoted(to_byte_alphabet(tokens_[id])) + " and " +
                                         qtk::quoted(letters));
            if (spelled->size() == 1)
                byte_ids_[static_cast<unsigned char>(spelled->front())] =
                    static_cast<std::int32_t>(id);
            ids.emplace(*spelled, static_cast<std::int32_t>(id));
            tokens_[id] = *std::move(spelled);
        }
        if (auto const found = ids.find(std::string(end_of_text_name)); found != ids.end())
            end_of_text_ = found->second;
        return ids;
    }

    void read_merges(std::string_view content, std::string const& name, id_map const& ids) {
        std::size_t line_number = 0, offset = 0;
        while (offset < content.size()) {
            std::string_view const line =
                content.substr(offset, content.find('\n', offset) - offset);
            ++line_number;
            // Only the first line may be the version: "# #" is a pair like any other.
            if (line_number > 1 || !line.starts_with("#version")) {
                auto const refuse = [&](std::string const& what) {
                    throw io_error(name, "line " + std::to_string(line_number) + ": " + what,
                                   offset);
                };
                std::size_t const space = line.find(' ');
                if (space == std::string_view::npos || space == 0 || space + 1 == line.size() ||
                    line.find(' ', space + 1) != std::string_view::npos)
                    refuse("expected two tokens with one space between them, found " +
                           qtk::quoted(line));
                auto const id_of = [&](std::string_view letters) {
                    auto const spelled = from_byte_alphabet(letters);
                    auto const found = spelled ? ids.find(*spelled) : ids.end();
                    if (found == ids.end())
                        refuse("the vocabulary has no token " + qtk::quoted(letters) +
                               ". Hint: do both files come from one model?");
                    return found->second;
                };
                std::string const left(line.substr(0, space)), right(line.substr(space + 1));
                std::int32_t const left_id = id_of(left), right_id = id_of(right);
                if (!merges_.add(left_id, right_id, id_of(left + right)))
                    refuse("the pair " + qtk::quoted(line) + " stands here for the second time");
            }
            offset += line.size() + 1;
        }
    }

    void encode_ordinary(std::string_view text, std::vector<std::int32_t>& ids) const {
        std::vector<std::int32_t> piece;
        split_.for_each_piece(text, [&](std::string_view word) {
            piece.clear();
            for (char const c : word) {
                auto const byte = static_cast<unsigned char>(c);
                if (byte_ids_[byte] < 0)
                    throw value_error("the vocabulary has no token for the byte " +
                                      std::to_string(byte) + " in " + qtk::quoted(word));
                piece.push_back(byte_ids_[byte]);
            }
            merges_.apply(piece);
            ids.insert(ids.end(), piece.begin(), piece.end());
        });
    }

    std::vector<std::string> tokens_;         // bytes, by id; empty where no token has the id
    std::array<std::int32_t, 256> byte_ids_;  // -1 where the vocabulary lacks the byte
    bpe_merges merges_;
    pretokenizer split_;
    std::optional<std::int32_t> end_of_text_;
    std::string hash_;
};

}  // namespace qtk
