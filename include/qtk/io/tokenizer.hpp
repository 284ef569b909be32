// SPDX-License-Identifier: Apache-2.0
//
// How does this model write text as numbers? One type for the tokenizers of language models:
// byte-level BPE (GPT-2, Llama 3, Qwen2) and SentencePiece BPE (Llama 2, Mistral), from a model
// folder or from the metadata of a GGUF file.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/io/added_tokens.hpp>
#include <qtk/io/byte_level_bpe.hpp>
#include <qtk/io/json_fields.hpp>
#include <qtk/io/limits.hpp>
#include <qtk/io/mapped_file.hpp>
#include <qtk/io/normal_form_c.hpp>
#include <qtk/io/sentencepiece_bpe.hpp>
#include <qtk/io/strict_json.hpp>
#include <qtk/io/tokenizer_json.hpp>
#include <qtk/io/tokenizer_source.hpp>
#include <qtk/io/utf8.hpp>

#include <nlohmann/json.hpp>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <variant>
#include <vector>

namespace qtk {

/// A tokenizer; cheap to copy, and const members may be called from several threads at once.
class tokenizer {
  public:
    /// Reads tokenizer.json of a model folder, or vocab.json and merges.txt where there is none,
    /// and bos_token, eos_token, add_bos_token, add_eos_token of tokenizer_config.json where that
    /// is there. Throws io_error naming the file and what is broken or not supported.
    [[nodiscard]] static tokenizer open(std::filesystem::path const& folder,
                                        io_limits const& limits = {}) {
        auto const file = [&](char const* name) {
            return mapped_file::open(folder / name, io_mode::read, limits.json_bytes);
        };
        auto const exists = [&](char const* name) {
            std::error_code ignored;
            return std::filesystem::exists(folder / name, ignored);
        };
        if (!exists("tokenizer.json") && !exists("vocab.json"))
            throw io_error(folder.string(),
                           "there is no tokenizer: neither tokenizer.json, nor vocab.json and "
                           "merges.txt");
        tokenizer opened = [&] {
            if (!exists("tokenizer.json")) return from(byte_level_bpe::open(folder, limits));
            mapped_file const json = file("tokenizer.json");
            return from_json(json.text(), json.path(), limits);
        }();
        if (exists("tokenizer_config.json")) {
            mapped_file const config = file("tokenizer_config.json");
            return opened.configured(config.text(), config.path(), limits);
        }
        return opened.with_gpt2_ends();
    }

    /// From the content of a tokenizer.json; `name` is the file's, for messages.
    [[nodiscard]] static tokenizer from_json(std::string_view content,
                                             std::string const& name = "tokenizer.json",
                                             io_limits const& limits = {}) {
        return tokenizer(read_tokenizer_json(content, name, limits));
    }

    /// From the metadata of a GGUF file; `name` is the file's, for messages.
    [[nodiscard]] static tokenizer from(tokenizer_source const& source, std::string const& name,
                                        io_limits const& limits = {}) {
        return tokenizer(make_tokenizer_parts(source, name, limits));
    }

    /// From vocab.json and merges.txt.
    [[nodiscard]] static tokenizer from(byte_level_bpe engine) {
        std::string hash = engine.hash();
        tokenizer_parts parts{.engine = std::move(engine), .hash = std::move(hash)};
        auto const& bpe = std::get<byte_level_bpe>(parts.engine);
        if (auto const end = bpe.end_of_text())
            parts.in_text.add({std::string(byte_level_bpe::end_of_text_name), *end, true});
        return tokenizer(std::move(parts)).with_gpt2_ends();
    }

    /// This tokenizer with what a tokenizer_config.json says about its ends.
    [[nodiscard]] tokenizer configured(std::string_view content,
                                       std::string const& name = "tokenizer_config.json",
                                       io_limits const& limits = {}) const {
        json_fields const fields(name);
        auto const config = parse_strict_json(content, name, limits);
        if (!config.is_object()) fields.refuse("expected an object");
        tokenizer result = *this;
        auto const read = [&](char const* token_key, char const* adds_key,
                              std::optional<std::int32_t>& id, bool& adds) {
            nlohmann::json const& token = json_fields::member(config, token_key);
            if (!token.is_null())
                id = find(token.is_object() ? fields.text(token, "content")
                                            : fields.text(config, token_key));
            adds = fields.flag(config, adds_key, adds);
            if (adds && !id)
                fields.refuse(std::string(adds_key) +
                              " is true, but the vocabulary has no token for " + token_key);
        };
        read("bos_token", "add_bos_token", result.ends_.bos, result.ends_.adds_bos);
        read("eos_token", "add_eos_token", result.ends_.eos, result.ends_.adds_eos);
        return result;
    }

    /// The ids of UTF-8 text, without BOS. With `special_text::ordinary` special tokens in it are
    /// text; other added tokens are found all the same. Throws value_error where the text is not
    /// UTF-8, or not in normal form C for a tokenizer with that normalizer, where the vocabulary lacks a
    /// character, and where splitting it exceeds PCRE2's limits.
    [[nodiscard]] std::vector<std::int32_t> encode(
        std::string_view text, special_text special = special_text::token) const {
        if (std::size_t const fault = find_utf8_fault(text); fault != std::string_view::npos)
            throw value_error("the text is not UTF-8 at byte " + std::to_string(fault));
        if (parts_->composes)
            if (std::size_t const fault = find_nfc_fault(text); fault != std::string_view::npos)
                throw value_error("the text is not in Unicode's normal form C at byte " +
                                  std::to_string(fault) +
                                  ", which this tokenizer needs. Hint: normalize it first");
        bool const special_too = special == special_text::token;
        std::vector<std::int32_t> ids;
        bool at_start = true;
        auto const put = [&](added_token const* token, auto const& otherwise) {
            if (token != nullptr)
                ids.push_back(token->id);
            else
                otherwise();
            at_start = false;
        };
        auto const encode_part = [&](std::string_view part) {
            std::visit(
                [&](auto const& engine) {
                    auto const& normalized = engine.normalized(part);
                    parts_->in_normalized.for_each_part(
                        normalized, special_too, [&](std::string_view text_part, auto token) {
                            put(token, [&] { append(engine, text_part, at_start, ids); });
                        });
                },
                parts_->engine);
        };
        parts_->in_text.for_each_part(text, special_too, [&](std::string_view part, auto token) {
            put(token, [&] { encode_part(part); });
        });
        return ids;
    }

    /// The bytes that the ids spell, special tokens by name; they need not be UTF-8 where a
    /// character was cut in two. Throws value_error on an id without a token.
    [[nodiscard]] std::string decode(std::span<std::int32_t const> ids) const {
        return std::visit([&](auto const& engine) { return engine.decode(ids); }, parts_->engine);
    }

    /// The bytes of one token. Those of all ids of a text, one after the other, are what decode()
    /// gives, but for the space that SentencePiece puts in front of a text and decode() takes away.
    /// Throws value_error on an id without a token.
    [[nodiscard]] std::string_view piece(std::int32_t id) const {
        std::string_view const bytes = piece_or_none(static_cast<std::uint32_t>(id));
        if (bytes.empty())
            throw value_error("the id " + std::to_string(id) +
                              " has no token in the vocabulary "
                              "of " +
                              std::to_string(size()) + " ids");
        return bytes;
    }

    /// The least id whose piece() is `bytes`, such as that of a special token by its name.
    [[nodiscard]] std::optional<std::int32_t> find(std::string_view bytes) const noexcept {
        for (std::size_t id = 0; id < size() && !bytes.empty(); ++id)
            if (piece_or_none(id) == bytes) return static_cast<std::int32_t>(id);
        return std::nullopt;
    }

    /// One more than the greatest id.
    [[nodiscard]] std::size_t size() const noexcept {
        return std::visit([](auto const& engine) { return engine.size(); }, parts_->engine);
    }

    /// The tokens that begin and end a text, where the files name them.
    [[nodiscard]] std::optional<std::int32_t> bos() const noexcept { return ends_.bos; }
    [[nodiscard]] std::optional<std::int32_t> eos() const noexcept { return ends_.eos; }

    /// Whether the tokenizer's own rule puts bos() in front of a text, eos() behind it. encode()
    /// does neither.
    [[nodiscard]] bool adds_bos() const noexcept { return ends_.adds_bos; }
    [[nodiscard]] bool adds_eos() const noexcept { return ends_.adds_eos; }

    /// `<|endoftext|>` where the vocabulary has it, else eos().
    [[nodiscard]] std::optional<std::int32_t> end_of_text() const noexcept {
        auto const found = find(byte_level_bpe::end_of_text_name);
        return found ? found : ends_.eos;
    }

    /// SHA-256 of what the tokenizer was read from, in hexadecimal: what `sha256sum` prints for
    /// tokenizer.json, or for `cat vocab.json merges.txt`. For a GGUF file it covers all that
    /// decides ids.
    [[nodiscard]] std::string const& hash() const noexcept { return parts_->hash; }

  private:
    explicit tokenizer(tokenizer_parts parts)
        : parts_(std::make_shared<tokenizer_parts const>(std::move(parts))), ends_(parts_->ends) {}

    /// GPT-2 begins and ends a text with `<|endoftext|>`, and has no file that says so.
    [[nodiscard]] tokenizer with_gpt2_ends() const {
        auto const end = find(byte_level_bpe::end_of_text_name);
        tokenizer result = *this;
        if (!result.ends_.bos) result.ends_.bos = end;
        if (!result.ends_.eos) result.ends_.eos = end;
        return result;
    }

    static void append(byte_level_bpe const& engine, std::string_view text, bool,
                       std::vector<std::int32_t>& ids) {
        engine.append(text, ids);
    }
    static void append(sentencepiece_bpe const& engine, std::string_view text, bool at_start,
                       std::vector<std::int32_t>& ids) {
        engine.append(text, at_start, ids);
    }

    [[nodiscard]] std::string_view piece_or_none(std::size_t id) const noexcept {
        return std::visit(
            [&](auto const& engine) {
                return id < engine.size() ? engine.piece(id) : std::string_view();
            },
            parts_->engine);
    }

    std::shared_ptr<tokenizer_parts const> parts_;
    token_ends ends_;
};

}  // namespace qtk
