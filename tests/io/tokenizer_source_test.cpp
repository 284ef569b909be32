// SPDX-License-Identifier: Apache-2.0
#include <qtk/io/tokenizer_source.hpp>

#include <doctest/doctest.h>

#include <functional>
#include <string>
#include <variant>

namespace {

qtk::tokenizer_source gpt2() {
    return {.model = "gpt2",
            .pre = "gpt-2",
            .tokens = {"a", "b", "ab", "<|end|>", "<tool>"},
            .scores = {},
            .token_types = {1, 1, 1, 3, 4},
            .merges = {"a b"},
            .bos = 3,
            .eos = 3};
}

qtk::tokenizer_source llama() {
    return {.model = "llama",
            .pre = "default",
            .tokens = {"<unk>", "<s>", "a", "b", "ab"},
            .scores = {0, 0, -2, -3, -1},
            .token_types = {2, 3, 1, 1, 1},
            .merges = {},
            .bos = 1,
            .eos = {},
            .add_space_prefix = false};
}

std::string refusal(qtk::tokenizer_source source,
                    std::function<void(qtk::tokenizer_source&)> const& damage) {
    damage(source);
    try {
        (void)qtk::make_tokenizer_parts(source, "m.gguf");
    } catch (qtk::io_error const& fault) {
        return fault.what();
    }
    return "accepted";
}

}  // namespace

TEST_CASE("the metadata become an engine, its added tokens and its ends") {
    auto const parts = qtk::make_tokenizer_parts(gpt2(), "m.gguf");
    CHECK(std::holds_alternative<qtk::byte_level_bpe>(parts.engine));
    REQUIRE(parts.in_text.tokens().size() == 2);
    CHECK(parts.in_text.tokens()[0].special);
    CHECK_FALSE(parts.in_text.tokens()[1].special);
    CHECK(parts.ends.bos == 3);
    CHECK(std::holds_alternative<qtk::sentencepiece_bpe>(
        qtk::make_tokenizer_parts(llama(), "m.gguf").engine));
}

TEST_CASE("the hash covers what decides ids") {
    auto const hash = [](qtk::tokenizer_source const& source) {
        return qtk::make_tokenizer_parts(source, "m.gguf").hash;
    };
    auto other = llama();
    CHECK(hash(other) == hash(llama()));
    other.scores[2] = -2.5F;
    CHECK(hash(other) != hash(llama()));
    other = llama();
    other.tokens[2] = "c";
    CHECK(hash(other) != hash(llama()));
    other = llama();
    other.add_space_prefix = true;
    CHECK(hash(other) != hash(llama()));
}

TEST_CASE("metadata that contradict themselves are refused, each in one sentence") {
    CHECK(refusal(gpt2(), [](auto& s) { s.model = "t5"; }) ==
          R"(m.gguf: the tokenizer model "t5" is not supported here; gpt2 and llama are)");
    CHECK(refusal(gpt2(), [](auto& s) { s.pre = "gpt-5"; }) ==
          R"(m.gguf: the pre-tokenizer "gpt-5" is not known here)");
    CHECK(refusal(gpt2(), [](auto& s) {
              s.tokens.clear();
              s.token_types.clear();
          }) == "m.gguf: expected 1 to 4194304 tokens, found 0");
    CHECK(refusal(gpt2(), [](auto& s) { s.token_types.pop_back(); }) ==
          "m.gguf: expected one of tokenizer.ggml.token_type for each of the 5 tokens, found 4");
    CHECK(refusal(gpt2(), [](auto& s) { s.token_types[0] = 7; }) ==
          R"(m.gguf: token "a" has the type 7, expected 1 to 6)");
    CHECK(refusal(gpt2(), [](auto& s) { s.token_types[0] = 6; }).find("the type of a byte") !=
          std::string::npos);
    CHECK(refusal(gpt2(), [](auto& s) { s.bos = 5; }) ==
          "m.gguf: the bos token has the id 5, but there are 5 tokens");
    CHECK(refusal(gpt2(), [](auto& s) { s.eos = -1; }) ==
          "m.gguf: the eos token has the id -1, but there are 5 tokens");
    CHECK(refusal(gpt2(), [](auto& s) { s.merges = {"a z"}; }) ==
          R"(m.gguf: merge 0: the vocabulary has no token "z")");
    CHECK(refusal(gpt2(), [](auto& s) { s.tokens[1] = "a"; }) ==
          R"(m.gguf: token "a" has both the ids 0 and 1)");
    CHECK(refusal(gpt2(), [](auto& s) { s.tokens[1] = "\xff"; }).find("not UTF-8") !=
          std::string::npos);
    CHECK(refusal(gpt2(), [](auto& s) {
              s.tokens[1] = "\u2581", s.merges.clear();
          }).find("byte-level alphabet") != std::string::npos);
    CHECK(refusal(llama(), [](auto& s) { s.scores.pop_back(); }).find("tokenizer.ggml.scores") !=
          std::string::npos);
    CHECK(refusal(llama(), [](auto& s) { s.add_eos = true; }) ==
          "m.gguf: an eos token is to be added, but none is named");
    CHECK(refusal(llama(), [](auto& s) {
              s.tokens[2] = "<0x-1>";
              s.token_types[2] = 6;
          }).find(R"(token "<0x-1>" has the type of a byte)") != std::string::npos);
    CHECK(refusal(llama(), [](auto& s) {
              s.tokens[2] = "<0x41>";
              s.token_types[2] = 6;
          }).find("no token for the byte 0") != std::string::npos);
}
