// SPDX-License-Identifier: Apache-2.0
//
// What is a tokenizer made of, and how do the metadata of a GGUF file say it? The parts that
// qtk::tokenizer runs, and a plain struct with the keys tokenizer.ggml.*, which any reader of GGUF
// files can fill. Models "gpt2" (byte-level, split by tokenizer.ggml.pre) and "llama"
// (SentencePiece BPE, ranked by scores).
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/io/added_tokens.hpp>
#include <qtk/io/bpe_vocabulary.hpp>
#include <qtk/io/byte_level_bpe.hpp>
#include <qtk/io/limits.hpp>
#include <qtk/io/sentencepiece_bpe.hpp>
#include <qtk/io/sha256.hpp>
#include <qtk/io/split_pattern.hpp>
#include <qtk/io/utf8.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace qtk {

/// The tokens that begin and end a text, and whether the tokenizer's own rule puts them there.
struct token_ends {
    std::optional<std::int32_t> bos{}, eos{};
    bool adds_bos = false, adds_eos = false;
};

/// Everything that qtk::tokenizer runs.
struct tokenizer_parts {
    std::variant<byte_level_bpe, sentencepiece_bpe> engine;
    /// Looked for in the text as it is, and in what the engine's normalized() makes of the rest.
    added_tokens in_text{}, in_normalized{};
    /// The text must be in Unicode's normal form C.
    bool composes = false;
    token_ends ends{};
    std::string hash{};
};

/// tokenizer.ggml.* of a GGUF file; views into the file's metadata.
struct tokenizer_source {
    std::string model;  ///< "gpt2" or "llama"
    std::string pre;    ///< names the split of a gpt2 model: "gpt-2", "llama-bpe", "qwen2", ...
    std::vector<std::string_view> tokens;
    std::vector<float> scores;  ///< one a token, for llama
    /// One a token, or none at all: 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte.
    std::vector<std::int32_t> token_types;
    std::vector<std::string_view> merges;  ///< "a b", best first, for gpt2
    std::optional<std::int32_t> bos, eos;
    bool add_bos = false, add_eos = false;
    bool add_space_prefix = true;  ///< for llama
};

namespace detail {

enum gguf_token_type : std::int32_t { normal = 1, unknown, control, user_defined, unused, byte };

/// SHA-256 of all that decides ids: every string with its length in front.
[[nodiscard]] inline std::string hash_of(tokenizer_source const& source) {
    sha256 digest;
    auto const text = [&](std::string_view bytes) {
        digest.update(std::to_string(bytes.size()) + ":");
        digest.update(bytes);
    };
    auto const number = [&](auto value) { text(std::to_string(value)); };
    text(source.model);
    text(source.pre);
    number(source.tokens.size());
    for (auto const token : source.tokens) text(token);
    for (auto const score : source.scores) number(score);
    for (auto const type : source.token_types) number(type);
    for (auto const merge : source.merges) text(merge);
    number(static_cast<int>(source.add_space_prefix));
    return digest.hex();
}

}  // namespace detail

/// The parts of the tokenizer that `source` describes; `name` is the file's, for messages. Throws
/// io_error naming the token, the merge, or the name that is not known here.
[[nodiscard]] inline tokenizer_parts make_tokenizer_parts(tokenizer_source const& source,
                                                          std::string const& name,
                                                          io_limits const& limits = {}) {
    std::size_t const count = source.tokens.size();
    auto const refuse = [&](std::string const& what) { throw io_error(name, what); };
    auto const expect_one_each = [&](char const* what, std::size_t found) {
        if (found != count)
            refuse(std::string("expected one of ") + what + " for each of the " +
                   std::to_string(count) + " tokens, found " + std::to_string(found));
    };
    if (source.model != "gpt2" && source.model != "llama")
        refuse("the tokenizer model " + qtk::quoted(source.model) +
               " is not supported here; gpt2 and llama are");
    bool const is_llama = source.model == "llama";
    if (count == 0 || count > limits.vocabulary)
        refuse("expected 1 to " + std::to_string(limits.vocabulary) + " tokens, found " +
               std::to_string(count));
    if (!source.token_types.empty())
        expect_one_each("tokenizer.ggml.token_type", source.token_types.size());
    if (is_llama) expect_one_each("tokenizer.ggml.scores", source.scores.size());
    for (auto const& [what, id] : {std::pair{"bos", source.bos}, std::pair{"eos", source.eos}})
        if (id && (*id < 0 || static_cast<std::size_t>(*id) >= count))
            refuse(std::string("the ") + what + " token has the id " + std::to_string(*id) +
                   ", but there are " + std::to_string(count) + " tokens");
    if (source.add_bos && !source.bos) refuse("a bos token is to be added, but none is named");
    if (source.add_eos && !source.eos) refuse("an eos token is to be added, but none is named");

    bpe_vocabulary vocabulary(name, limits);
    added_tokens added;
    sentencepiece_rules rules;
    rules.byte_fallback = false;
    std::vector<bool> joins(count);
    for (std::size_t id = 0; id < count; ++id) {
        std::string_view const token = source.tokens[id];
        auto const type = source.token_types.empty() ? detail::normal : source.token_types[id];
        if (type < detail::normal || type > detail::byte)
            refuse("token " + qtk::quoted(token) + " has the type " + std::to_string(type) +
                   ", expected 1 to 6");
        bool const is_special = type == detail::control || type == detail::unknown;
        bool const is_own = is_special || type == detail::user_defined;
        vocabulary.add(token, id, is_own || type == detail::unused);
        joins[id] = type == detail::normal;
        if (is_own) added.add({std::string(token), static_cast<std::int32_t>(id), is_special});
        if (type == detail::unknown) rules.unknown = static_cast<std::int32_t>(id);
        if (type == detail::byte) {
            if (!is_llama || !detail::parse_byte_token(token))
                refuse("token " + qtk::quoted(token) +
                       " has the type of a byte, which is written <0x, "
                       "two hexadecimal digits, > in a llama model");
            rules.byte_fallback = true;
        }
    }
    auto const parts = [&](auto engine) {
        return tokenizer_parts{.engine = std::move(engine),
                               .in_text = std::move(added),
                               .ends = {source.bos, source.eos, source.add_bos, source.add_eos},
                               .hash = detail::hash_of(source)};
    };
    if (is_llama) {
        rules.prefix = source.add_space_prefix ? space_prefix::always : space_prefix::never;
        rules.leading = source.add_space_prefix ? leading_space::one_goes : leading_space::stays;
        return parts(sentencepiece_bpe(vocabulary, rules, source.scores, joins));
    }
    auto split = find_named_split(source.pre);
    if (!split) refuse("the pre-tokenizer " + qtk::quoted(source.pre) + " is not known here");
    vocabulary.add_merge_strings(source.merges);
    return parts(byte_level_bpe(
        vocabulary, {.splits = std::move(split->splits), .ignore_merges = split->ignore_merges}));
}

}  // namespace qtk
