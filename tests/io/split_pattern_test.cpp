// SPDX-License-Identifier: Apache-2.0
#include <qtk/io/split_pattern.hpp>

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

namespace {

using pieces = std::vector<std::string>;

pieces split(std::string_view text, std::string const& pcre2) {
    pieces found;
    qtk::pretokenizer(pcre2).for_each_piece(text, [&](auto p) { found.emplace_back(p); });
    return found;
}

std::string refusal(std::string_view pattern) {
    try {
        (void)qtk::to_pcre2_pattern(pattern, "f.json");
    } catch (qtk::io_error const& fault) {
        return fault.what();
    }
    return "accepted";
}

}  // namespace

TEST_CASE("what both engines read alike stays as it is") {
    for (char const* same : {R"([^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3})",
                             R"((?i:'s|'t)|a(?=b)(?!c)(?<=d)(?<!e)(?>f)(?:g))",
                             R"([!"#$%&'()*+,\-./:;<=>?@\]^_`{|}~][A-Za-z]+)",
                             R"(\d\D\.\ \P{Lu}\p{^L}++.*?)", "[一-龥]+"})
        CHECK(qtk::to_pcre2_pattern(same) == same);
}

TEST_CASE("white space is Unicode's, without U+180E, inside and outside of brackets") {
    for (char const* pattern : {R"(\s)", R"([\s])", R"([^\S])"}) {
        if (std::string_view(pattern).find('S') != std::string_view::npos) {
            CHECK(refusal(pattern).find("\\S inside [...]") != std::string::npos);
            continue;
        }
        auto const rewritten = qtk::to_pcre2_pattern(pattern);
        CHECK(split("a\u180eb", rewritten) == pieces{"a\u180eb"});
        for (char const* space :
             {" ", "\n", "\v", "\u0085", "\u00a0", "\u2000", "\u200a", "\u3000"})
            CHECK(split(std::string("a") + space, rewritten) == pieces{"a", space});
    }
    CHECK(split("a\u180e b", qtk::to_pcre2_pattern(R"(\S+)")) == pieces{"a\u180e", " ", "b"});
    CHECK(split("a-b", qtk::to_pcre2_pattern(R"([\s-b])")) == pieces{"a", "-", "b"});
}

TEST_CASE("other spellings of a character, and scripts, are rewritten") {
    CHECK(qtk::to_pcre2_pattern(R"(\u0041\x42\x{43}\v)") == R"(\x{0041}\x{42}\x{43}\x0b)");
    CHECK(qtk::to_pcre2_pattern(R"([\p{Han}]+)") == R"([\p{sc:Han}]+)");
    // U+3001 is common to the scripts of East Asia, and of none of them.
    CHECK(split("\u6587\u3001", qtk::to_pcre2_pattern(R"(\p{Han}+)")) ==
          pieces{"\u6587", "\u3001"});
}

TEST_CASE("what the engines read differently is refused by name") {
    for (char const* wrong :
         {R"(\h)",       R"(\w)",         R"(\b)",   R"(\K)",   R"(\C)",
          R"(\R)",       R"(\1)",         R"(\G)",   "^a",      "a$",
          "(?#x)",       "(?<n>a)",       "(?R)",    "(?-i:a)", "(*LIMIT_MATCH=1)a",
          "[[:alpha:]]", "[a&&b]",        "[]a]",    "[^]a]",   R"(\p{)",
          R"(\pL)",      R"(\p{sc=Han})", R"(\p{})", R"(\x4)",  R"(\x{})",
          R"(\x{zz})",   R"(\u12)",       "a{1,3}+", "a{,3}",   "\\"})
        CHECK_MESSAGE(refusal(wrong).starts_with("f.json: the split pattern uses "), wrong);
    CHECK(refusal(R"(ab\w)") ==
          R"(f.json: the split pattern uses "\w" at character 2, which is not supported here)");
}

TEST_CASE("a literal is found as it is written") {
    CHECK(split("a.b*\u6587.", qtk::to_pcre2_literal(".")) == pieces{"a", ".", "b*\u6587", "."});
    CHECK(split("a\u6587*b", qtk::to_pcre2_literal("\u6587*")) == pieces{"a", "\u6587*", "b"});
}

TEST_CASE("the splits of GGUF files are known by name") {
    auto const llama = qtk::find_named_split("llama-bpe").value();
    CHECK(llama.ignore_merges);
    REQUIRE(llama.splits.size() == 1);
    CHECK(split("It'S 12345\n\n x", llama.splits[0]) ==
          pieces{"It", "'S", " ", "123", "45", "\n\n", " x"});
    auto const qwen = qtk::find_named_split("qwen2").value();
    CHECK_FALSE(qwen.ignore_merges);
    CHECK(split("a 12", qwen.splits[0]) == pieces{"a", " ", "1", "2"});
    CHECK(qtk::find_named_split("gpt-2")->splits == pieces{std::string(qtk::gpt2_split)});
    CHECK(qtk::find_named_split("smollm")->splits.size() == 2);
    CHECK(qtk::find_named_split("default")->splits.size() == 4);
    CHECK_FALSE(qtk::find_named_split("gpt-5").has_value());
    CHECK_FALSE(qtk::find_named_split("").has_value());
}
