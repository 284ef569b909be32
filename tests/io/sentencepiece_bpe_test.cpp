// SPDX-License-Identifier: Apache-2.0
#include <qtk/io/sentencepiece_bpe.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace {

using ids = std::vector<std::int32_t>;

// Tokens in the order of their ids.
qtk::bpe_vocabulary table(std::vector<std::string_view> const& tokens) {
    qtk::bpe_vocabulary vocabulary("v");
    for (std::size_t id = 0; id < tokens.size(); ++id) vocabulary.add(tokens[id], id);
    return vocabulary;
}

std::vector<std::string> byte_tokens() {
    std::vector<std::string> tokens;
    for (int byte = 0; byte < 256; ++byte) {
        char const* const hex = "0123456789ABCDEF";
        tokens.push_back({'<', '0', 'x', hex[byte >> 4], hex[byte & 15], '>'});
    }
    return tokens;
}

ids encoded(qtk::sentencepiece_bpe const& tokenizer, std::string_view text, bool at_start = true) {
    ids found;
    tokenizer.append(tokenizer.normalized(text), at_start, found);
    return found;
}

std::string refusal(qtk::bpe_vocabulary const& vocabulary, qtk::sentencepiece_rules const& rules) {
    try {
        qtk::sentencepiece_bpe const tokenizer(vocabulary, rules);
    } catch (qtk::io_error const& fault) {
        return fault.what();
    }
    return "accepted";
}

constexpr qtk::sentencepiece_rules plain{.prefix = qtk::space_prefix::never,
                                         .leading = qtk::leading_space::stays,
                                         .byte_fallback = false};

}  // namespace

TEST_CASE("a byte token has exactly two hexadecimal digits") {
    CHECK(qtk::detail::parse_byte_token("<0x00>") == 0);
    CHECK(qtk::detail::parse_byte_token("<0xAb>") == 0xab);
    CHECK(qtk::detail::parse_byte_token("<0xFF>") == 0xff);
    for (char const* wrong : {"<0x-1>", "<0x+1>", "<0x 1>", "<0xG0>", "<0x0G>", "<0x1>", "<0x001>",
                              "<0X41>", "0x0041", "<0x41", ""})
        CHECK_FALSE(qtk::detail::parse_byte_token(wrong).has_value());
}

TEST_CASE("of scores the greatest joins first, the leftmost of equals") {
    auto const vocabulary = table({"a", "b", "c", "ab", "bc", "aa"});
    std::vector<bool> const all(6, true);
    std::vector<float> scores{0, 0, 0, -2, -1, -3};
    qtk::sentencepiece_bpe const right(vocabulary, plain, scores, all);
    CHECK(encoded(right, "abc") == ids{0, 4});
    scores = {0, 0, 0, -1, -2, -3};
    qtk::sentencepiece_bpe const left(vocabulary, plain, scores, all);
    CHECK(encoded(left, "abc") == ids{3, 2});
    scores = {0, 0, 0, -1, -1, -3};
    qtk::sentencepiece_bpe const equal(vocabulary, plain, scores, all);
    CHECK(encoded(equal, "abc") == ids{3, 2});
    CHECK(encoded(equal, "aaa") == ids{5, 0});
}

TEST_CASE("a token joins from characters that are no tokens, and not where it must not") {
    auto const vocabulary = table({"xy", "xyx", "a"});
    std::vector<float> const scores{-1, -2, 0};
    qtk::sentencepiece_rules rules = plain;
    rules.unknown = 2;
    qtk::sentencepiece_bpe const joins(vocabulary, rules, scores, {true, true, true});
    CHECK(encoded(joins, "xyx") == ids{1});
    CHECK(encoded(joins, "xyxy") == ids{0, 0});
    CHECK(encoded(joins, "zzxy") == ids{2, 0});
    qtk::sentencepiece_bpe const frozen(vocabulary, rules, scores, {false, true, true});
    CHECK(encoded(frozen, "xy") == ids{2});
}

TEST_CASE("characters without a token are their bytes, one token each") {
    auto const names = byte_tokens();
    std::vector<std::string_view> tokens(names.begin(), names.end());
    tokens.insert(tokens.end(), {"a", "\u2581", "\u2581a"});
    auto vocabulary = table(tokens);
    vocabulary.add_merges(nlohmann::json::parse("[[\"\u2581\", \"a\"]]"));
    qtk::sentencepiece_bpe const tokenizer(vocabulary, {});
    CHECK(encoded(tokenizer, "a") == ids{258});
    CHECK(encoded(tokenizer, "") == ids{});
    CHECK(encoded(tokenizer, " a") == ids{257, 258});
    CHECK(encoded(tokenizer, "\u00e9\u20ac\U0001f600") ==
          ids{257, 0xc3, 0xa9, 0xe2, 0x82, 0xac, 0xf0, 0x9f, 0x98, 0x80});
    CHECK(tokenizer.decode(ids{257, 0xc3, 0xa9, 258}) == "\u00e9 a");
    CHECK(tokenizer.decode(ids{0xc3}) == "\xc3");
    CHECK(tokenizer.piece(0) == std::string_view("\0", 1));
    CHECK_THROWS_AS((void)tokenizer.decode(ids{-1}), qtk::value_error);
    CHECK_THROWS_AS((void)tokenizer.decode(ids{259}), qtk::value_error);
}

TEST_CASE("every script's characters come back from their numbers") {
    auto const names = byte_tokens();
    std::vector<std::string_view> const tokens(names.begin(), names.end());
    std::vector<float> const scores(256, 0);
    qtk::sentencepiece_rules rules = plain;
    rules.byte_fallback = true;
    qtk::sentencepiece_bpe const tokenizer(table(tokens), rules, scores,
                                           std::vector<bool>(256, false));
    std::string_view const text = "\x01\x7f\u0080\u07ff\u0800\ud7ff\uffff\U00010000\U0010ffff";
    ids expected;
    for (char const c : text) expected.push_back(static_cast<unsigned char>(c));
    CHECK(encoded(tokenizer, text) == expected);
}

TEST_CASE("marks are put in front as the rule says") {
    auto const vocabulary = table({"a", "\u2581"});
    auto const with = [&](qtk::space_prefix prefix, std::string_view text, bool at_start) {
        qtk::sentencepiece_rules rules = plain;
        rules.prefix = prefix;
        return encoded(qtk::sentencepiece_bpe(vocabulary, rules), text, at_start);
    };
    CHECK(with(qtk::space_prefix::never, "a", true) == ids{0});
    CHECK(with(qtk::space_prefix::always, " a", false) == ids{1, 1, 0});
    CHECK(with(qtk::space_prefix::unmarked, " a", false) == ids{1, 0});
    CHECK(with(qtk::space_prefix::unmarked, "a", false) == ids{1, 0});
    CHECK(with(qtk::space_prefix::first, "a", true) == ids{1, 0});
    CHECK(with(qtk::space_prefix::first, "a", false) == ids{0});
}

TEST_CASE("unknown characters are one token together, one each, or a refusal") {
    auto const vocabulary = table({"a", "?"});
    qtk::sentencepiece_rules rules = plain;
    CHECK_THROWS_WITH_AS((void)encoded(qtk::sentencepiece_bpe(vocabulary, rules), "axa"),
                         R"(the vocabulary has no token for the character "x")", qtk::value_error);
    rules.unknown = 1;
    CHECK(encoded(qtk::sentencepiece_bpe(vocabulary, rules), "xxax") == ids{1, 0, 1});
    rules.fuse_unknown = false;
    CHECK(encoded(qtk::sentencepiece_bpe(vocabulary, rules), "xxax") == ids{1, 1, 0, 1});
}

TEST_CASE("a vocabulary without all bytes, or with false ones, or without scores is refused") {
    CHECK(refusal(table({"a", "<0x-1>"}), {}) ==
          R"(v: token "<0x-1>" looks like a byte, but has not two hexadecimal digits)");
    CHECK(refusal(table({"a", "<0x00>"}), {}) ==
          "v: the vocabulary falls back to bytes, but has no token for the byte 1");
    CHECK(refusal(table({"<0x-1>"}), plain) == "accepted");
    auto const scored = [&](std::vector<float> const& scores) {
        qtk::sentencepiece_bpe const tokenizer(table({"a", "b"}), plain, scores, {true, true});
    };
    CHECK_THROWS_AS(scored({0}), qtk::io_error);
    CHECK_THROWS_AS(scored({0, std::nanf("")}), qtk::io_error);
    CHECK_NOTHROW(scored({0, -1e30F}));
}

TEST_CASE("a hundred thousand letters without a space are one piece, not a hang") {
    auto const vocabulary = table({"a", "aa", "aaaa"});
    std::vector<float> const scores{0, -1, -2};
    qtk::sentencepiece_bpe const tokenizer(vocabulary, plain, scores, {true, true, true});
    CHECK(encoded(tokenizer, std::string(100'003, 'a')).size() == 25'000 + 2);
}
