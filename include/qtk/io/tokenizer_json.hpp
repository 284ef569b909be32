// SPDX-License-Identifier: Apache-2.0
//
// What does this tokenizer.json ask for? Hugging Face's description of a tokenizer: normalizer,
// pre-tokenizer, model, post-processor, decoder. Read are byte-level BPE (GPT-2, Llama 3, Qwen2,
// SmolLM) and SentencePiece BPE (Llama 2, Mistral, Gemma); anything else that would change an id is
// refused by name.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/io/added_tokens.hpp>
#include <qtk/io/bpe_vocabulary.hpp>
#include <qtk/io/byte_alphabet.hpp>
#include <qtk/io/byte_level_bpe.hpp>
#include <qtk/io/json_fields.hpp>
#include <qtk/io/limits.hpp>
#include <qtk/io/sentencepiece_bpe.hpp>
#include <qtk/io/sha256.hpp>
#include <qtk/io/split_pattern.hpp>
#include <qtk/io/strict_json.hpp>
#include <qtk/io/tokenizer_source.hpp>
#include <qtk/io/utf8.hpp>

#include <nlohmann/json.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace qtk {

namespace detail {

/// Reads one document, section by section.
class tokenizer_json_reader : json_fields {
  public:
    tokenizer_json_reader(std::string_view content, std::string const& name,
                          io_limits const& limits)
        : json_fields(name),
          limits_(limits),
          root_(parse_strict_json(content, name, limits)),
          vocabulary_(name, limits) {}

    tokenizer_parts run() {
        if (!root_.is_object()) refuse("expected an object, found " + shown(root_));
        read_model();
        read_normalizer();
        read_pre_tokenizer();
        read_decoder();
        added_tokens in_text, in_normalized;
        read_added(in_text, in_normalized);
        tokenizer_parts parts{.engine = is_byte_level_ ? byte_level() : sentencepiece(),
                              .in_text = std::move(in_text),
                              .in_normalized = std::move(in_normalized),
                              .composes = composes_};
        read_post_processor(parts);
        return parts;
    }

  private:
    using engine = std::variant<byte_level_bpe, sentencepiece_bpe>;

    [[noreturn]] void refuse_part(std::string const& section, json const& part) const {
        refuse("the " + section + " " + shown(part) + " is not supported here");
    }

    [[nodiscard]] static bool is(json const& part, std::string_view type) {
        return json_fields::is(part, "type", type);
    }

    /// The parts of a section in order: none for null, those of a Sequence, or the one that is it.
    [[nodiscard]] std::vector<json const*> parts_of(char const* section, char const* list) const {
        std::vector<json const*> parts;
        json const& value = member(root_, section);
        if (value.is_null()) return parts;
        if (!is(value, "Sequence")) return {&value};
        for (json const& part : array(value, list)) parts.push_back(&part);
        return parts;
    }

    void read_model() {
        json const& model = member(root_, "model");
        if (!model.is_object()) refuse("model: expected an object, found another kind of JSON");
        // Old files name no type; only this one has merges.
        if (!is(model, "BPE") && !(member(model, "type").is_null() && model.contains("merges")))
            refuse("the model " + shown(member(model, "type")) +
                   " is not supported here, only \"BPE\" is");
        for (char const* const key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
            json const& value = member(model, key);
            if (!value.is_null() && value != "")
                refuse(std::string(key) + " " + shown(value) + " is not supported here");
        }
        json const& dropout = member(model, "dropout");
        if (!dropout.is_null() && dropout != 0)
            refuse("a dropout of " + shown(dropout) + " would make the ids random");
        fuse_unknown_ = flag(model, "fuse_unk", false);
        byte_fallback_ = flag(model, "byte_fallback", false);
        ignore_merges_ = flag(model, "ignore_merges", false);
        vocabulary_.add_object(member(model, "vocab"));
        vocabulary_.add_merges(member(model, "merges"));
        if (!member(model, "unk_token").is_null()) {
            std::string const& token = text(model, "unk_token");
            unknown_ = vocabulary_.find(token);
            if (!unknown_)
                refuse("the vocabulary has no token " + qtk::quoted(token) + " (unk_token)");
        }
    }

    void read_normalizer() {
        for (json const* const part : parts_of("normalizer", "normalizers")) {
            if (is(*part, "NFC")) {
                composes_ = true;
            } else if (is(*part, "Prepend") && json_fields::is(*part, "prepend", space_mark) &&
                       !prepends_) {
                prepends_ = true;
            } else if (is(*part, "Replace") && json_fields::is(*part, "content", space_mark) &&
                       member(*part, "pattern") == json{{"String", " "}}) {
                marks_ = true;
            } else {
                refuse_part("normalizer", *part);
            }
        }
        if ((prepends_ && !marks_) || (composes_ && marks_))
            refuse_part("normalizer", member(root_, "normalizer"));
    }

    void read_pre_tokenizer() {
        auto const parts = parts_of("pre_tokenizer", "pretokenizers");
        for (json const* const part : parts) {
            if (is_byte_level_ || metaspace_) refuse_part("pre_tokenizer", *part);
            if (is(*part, "ByteLevel") && !marks_) {
                is_byte_level_ = true;
                byte_rules_.prefix_space = flag(*part, "add_prefix_space", true);
                // In a sequence every piece would get its space.
                if (byte_rules_.prefix_space && parts.size() > 1)
                    refuse_part("pre_tokenizer", *part);
                if (flag(*part, "use_regex", true)) splits_.emplace_back(gpt2_split);
            } else if (is(*part, "Split") && json_fields::is(*part, "behavior", "Isolated")) {
                splits_.push_back(split_pattern(*part));
            } else if (is(*part, "Digits")) {
                splits_.emplace_back(flag(*part, "individual_digits", false) ? "\\p{N}"
                                                                             : "\\p{N}+");
            } else if (is(*part, "Metaspace") && !marks_ && splits_.empty()) {
                metaspace_ = part;
            } else if (marks_ && is(*part, "Split") &&
                       member(*part, "pattern") == json{{"String", " "}}) {
                // The normalizer has left no space to split at.
            } else {
                refuse_part("pre_tokenizer", *part);
            }
        }
        if (!is_byte_level_ && (!splits_.empty() || (!marks_ && metaspace_ == nullptr)))
            refuse("the pre_tokenizer " + shown(member(root_, "pre_tokenizer")) +
                   " with the normalizer " + shown(member(root_, "normalizer")) +
                   " is not supported here");
    }

    [[nodiscard]] std::string split_pattern(json const& part) const {
        json const& pattern = member(part, "pattern");
        if (!pattern.is_object() || pattern.size() != 1) refuse_part("pre_tokenizer", part);
        bool const is_literal = pattern.contains("String");
        std::string const& written = text(pattern, is_literal ? "String" : "Regex");
        if (written.empty() || written.size() > limits_.pattern_bytes)
            refuse("the split pattern has " + std::to_string(written.size()) +
                   " bytes, expected 1 to " + std::to_string(limits_.pattern_bytes));
        std::string rewritten =
            is_literal ? to_pcre2_literal(written) : to_pcre2_pattern(written, file());
        try {
            pretokenizer const compiles(rewritten);
        } catch (value_error const& fault) {
            refuse(fault.what());
        }
        return rewritten;
    }

    void read_decoder() {
        auto const parts = parts_of("decoder", "decoders");
        if (parts.empty() && !is_byte_level_) refuse("the decoder null is not supported here");
        bool fuses = false;
        for (json const* const part : parts) {
            if (is_byte_level_ ? is(*part, "ByteLevel") : is(*part, "ByteFallback")) continue;
            if (is_byte_level_) refuse_part("decoder", *part);
            if (is(*part, "Replace") && json_fields::is(*part, "content", " ") &&
                member(*part, "pattern") == json{{"String", space_mark}})
                continue;
            if (is(*part, "Fuse")) {
                fuses = true;
            } else if (is(*part, "Strip") && fuses && json_fields::is(*part, "content", " ") &&
                       member(*part, "stop") == 0 &&
                       (member(*part, "start") == 0 || member(*part, "start") == 1)) {
                if (member(*part, "start") == 1) leading_ = leading_space::one_goes;
            } else if (is(*part, "Metaspace") && parts.front() == part &&
                       json_fields::is(*part, "replacement", space_mark)) {
                if (scheme(*part) != space_prefix::never)
                    leading_ = leading_space::marks_of_first_token_go;
            } else {
                refuse_part("decoder", *part);
            }
        }
    }

    /// prepend_scheme, or add_prefix_space of older files.
    [[nodiscard]] space_prefix scheme(json const& part) const {
        if (member(part, "prepend_scheme").is_null())
            return flag(part, "add_prefix_space", true) ? space_prefix::unmarked
                                                        : space_prefix::never;
        std::string const& name = text(part, "prepend_scheme");
        if (name == "always") return space_prefix::unmarked;
        if (name == "first") return space_prefix::first;
        if (name != "never")
            refuse("prepend_scheme " + qtk::quoted(name) + " is not supported here");
        return space_prefix::never;
    }

    [[nodiscard]] engine byte_level() {
        if (byte_fallback_) refuse("byte_fallback is not supported here with ByteLevel");
        byte_rules_.splits = splits_;
        byte_rules_.ignore_merges = ignore_merges_;
        byte_rules_.unknown = unknown_;
        byte_rules_.fuse_unknown = fuse_unknown_;
        return byte_level_bpe(vocabulary_, byte_rules_);
    }

    [[nodiscard]] space_prefix prefix() const {
        if (metaspace_ != nullptr) return scheme(*metaspace_);
        return prepends_ ? space_prefix::always : space_prefix::never;
    }

    [[nodiscard]] engine sentencepiece() {
        if (composes_) refuse("the normalizer NFC is supported here with ByteLevel only");
        return sentencepiece_bpe(
            vocabulary_, {.prefix = prefix(),
                          .leading = leading_,
                          .split_words = metaspace_ != nullptr && flag(*metaspace_, "split", true),
                          .byte_fallback = byte_fallback_,
                          .unknown = unknown_,
                          .fuse_unknown = fuse_unknown_,
                          .ignore_merges = ignore_merges_});
    }

    void read_added(added_tokens& in_text, added_tokens& in_normalized) {
        if (member(root_, "added_tokens").is_null()) return;
        for (json const& entry : array(root_, "added_tokens")) {
            std::string const& content = text(entry, "content");
            json const& id = member(entry, "id");
            auto const refuse_token = [&](std::string const& why) {
                refuse("the added token " + qtk::quoted(content) + " " + why);
            };
            if (!id.is_number_unsigned())
                refuse_token("has the id " + shown(id) + ", expected a number");
            auto const number = id.get<std::uint64_t>();
            auto const known = vocabulary_.find(content);
            bool const is_normalized = flag(entry, "normalized", false);
            std::string const seen = is_normalized && !is_byte_level_
                                         ? sentencepiece_bpe::normalized(content, prefix())
                                         : content;
            if (!known)
                vocabulary_.add(seen, number, true);
            else if (static_cast<std::uint64_t>(*known) != number)
                refuse_token("has the id " + std::to_string(number) + ", in the vocabulary it is " +
                             std::to_string(*known));
            else if (is_byte_level_ && !from_byte_alphabet(content))
                vocabulary_.mark_added(*known);
            if (flag(entry, "single_word", false))
                refuse_token("is to stand alone (single_word), which is not supported here");
            // bounded: the vocabulary has taken it, below its limit of ids
            added_token token{seen, static_cast<std::int32_t>(number),
                              flag(entry, "special", false), flag(entry, "lstrip", false),
                              flag(entry, "rstrip", false)};
            if (seen != content && (token.strips_left || token.strips_right))
                refuse_token("is normalized and strips, which is not supported here");
            (is_normalized ? in_normalized : in_text).add(std::move(token));
        }
    }

    void read_post_processor(tokenizer_parts& parts) const {
        for (json const* const part : parts_of("post_processor", "processors")) {
            if (is(*part, "ByteLevel")) continue;  // moves offsets only
            if (!is(*part, "TemplateProcessing")) refuse_part("post_processor", *part);
            bool seen_text = false;
            for (json const& step : array(*part, "single")) {
                if (step.is_object() && step.contains("Sequence") && !seen_text) {
                    seen_text = true;
                    continue;
                }
                if (!step.is_object() || !step.contains("SpecialToken") ||
                    (seen_text ? parts.ends.adds_eos : parts.ends.adds_bos))
                    refuse_part("post_processor", *part);
                (seen_text ? parts.ends.eos : parts.ends.bos) =
                    special_id(*part, member(step, "SpecialToken"));
                (seen_text ? parts.ends.adds_eos : parts.ends.adds_bos) = true;
            }
            if (!seen_text) refuse_part("post_processor", *part);
        }
    }

    [[nodiscard]] std::int32_t special_id(json const& processor, json const& step) const {
        std::string const& name = text(step, "id");
        json const& ids = member(member(member(processor, "special_tokens"), name), "ids");
        if (!ids.is_array() || ids.size() != 1 || !ids[0].is_number_unsigned() ||
            ids[0].get<std::uint64_t>() >= vocabulary_.size())
            refuse("the post_processor gives " + qtk::quoted(name) +
                   " no single id of the vocabulary, but " + shown(ids));
        return ids[0].get<std::int32_t>();
    }

    io_limits limits_;
    json root_;
    bpe_vocabulary vocabulary_;
    std::optional<std::int32_t> unknown_;
    bool fuse_unknown_ = false, byte_fallback_ = false, ignore_merges_ = false;
    bool composes_ = false, prepends_ = false, marks_ = false, is_byte_level_ = false;
    json const* metaspace_ = nullptr;
    leading_space leading_ = leading_space::stays;
    std::vector<std::string> splits_;
    byte_level_rules byte_rules_;
};

}  // namespace detail

/// The parts of the tokenizer that a tokenizer.json describes; `name` is the file's, for messages.
/// Throws io_error naming what is broken or not supported.
[[nodiscard]] inline tokenizer_parts read_tokenizer_json(std::string_view content,
                                                         std::string const& name,
                                                         io_limits const& limits = {}) {
    tokenizer_parts parts = detail::tokenizer_json_reader(content, name, limits).run();
    sha256 digest;
    digest.update(content);
    parts.hash = digest.hex();
    return parts;
}

}  // namespace qtk
