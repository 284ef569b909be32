// SPDX-License-Identifier: Apache-2.0
#include <qtk/io/pretokenizer.hpp>

#include <doctest/doctest.h>

#include <string>
#include <vector>

namespace {
using pieces = std::vector<std::string>;

pieces split(std::string_view text, std::string_view pattern = qtk::gpt2_split) {
    pieces found;
    qtk::pretokenizer(pattern).for_each_piece(text, [&](auto p) { found.emplace_back(p); });
    return found;
}
}  // namespace

TEST_CASE("no text has no pieces") {
    CHECK(split("").empty());
}

TEST_CASE("words and signs take the space before them") {
    CHECK(split("Hello, big world.") == pieces{"Hello", ",", " big", " world", "."});
    CHECK(split("x = 42;") == pieces{"x", " =", " 42", ";"});
    CHECK(split("ab12cd") == pieces{"ab", "12", "cd"});
    CHECK(split("a_b") == pieces{"a", "_", "b"});
}

TEST_CASE("English contractions are pieces, in small letters only") {
    CHECK(split("I'll say it's what they've said, I'd bet we're done, I'm, don't") ==
          pieces{"I",     "'ll", " say", " it", "'s",   " what", " they", "'ve",
                 " said", ",",   " I",   "'d",  " bet", " we",   "'re",   " done",
                 ",",     " I",  "'m",   ",",   " don", "'t"});
    CHECK(split("IT'S") == pieces{"IT", "'", "S"});
    CHECK(split("'xs") == pieces{"'", "xs"});
}

TEST_CASE("of a run of white space the last character is left to what follows") {
    CHECK(split("a  b") == pieces{"a", " ", " b"});
    CHECK(split("a\n b") == pieces{"a", "\n", " b"});
    CHECK(split("a\nb") == pieces{"a", "\n", "b"});
    CHECK(split("a\n\n\nb") == pieces{"a", "\n\n", "\n", "b"});
    CHECK(split("a  ") == pieces{"a", "  "});
    CHECK(split("   ") == pieces{"   "});
}

TEST_CASE("letters and digits of every script are letters and digits") {
    CHECK(split("Straße № Ⅷ") == pieces{"Straße", " №", " Ⅷ"});
    CHECK(split("日本語123") == pieces{"日本語", "123"});
    CHECK(split("١٢٣ سلام") == pieces{"١٢٣", " سلام"});
    // The vowel signs of Devanagari are marks, which the pattern counts among the signs.
    CHECK(split("हि") == pieces{"ह", "ि"});
}

TEST_CASE("white space is Unicode's") {
    CHECK(split("a\u00a0b") == pieces{"a", "\u00a0", "b"});
    CHECK(split("a\u3000 b") == pieces{"a", "\u3000", " b"});
    CHECK(split("a\u0085b") == pieces{"a", "\u0085", "b"});
    // U+180E was a space once; U+200B never was.
    CHECK(split("a\u180e!b") == pieces{"a", "\u180e!", "b"});
    CHECK(split(" \u180e") == pieces{" \u180e"});
    CHECK(split("  \u180e") == pieces{" ", " \u180e"});
    CHECK(split("a\u200b!") == pieces{"a", "\u200b!"});
}

TEST_CASE("pieces add up to the text, also where the pattern matches nothing") {
    CHECK(split("one-two", "[a-z]+") == pieces{"one", "-", "two"});
    CHECK(split("--", "[a-z]+") == pieces{"--"});
    CHECK(split("a1", "[0-9]*") == pieces{"a", "1"});
    std::string const text = "  x\t'll 9\u00a0\u4f60\n\n?! \u180e";
    std::string sum;
    for (auto const& piece : split(text)) sum += piece;
    CHECK(sum == text);
}

TEST_CASE("text that is not UTF-8 names its first bad byte") {
    CHECK_THROWS_WITH_AS(split("abc\xff"), "the text is not UTF-8 at byte 3", qtk::value_error);
    CHECK_THROWS_WITH_AS(split("\u00e9\xed\xa0\x80"), "the text is not UTF-8 at byte 2",
                         qtk::value_error);
    CHECK_THROWS_WITH_AS(split("\xe4\xbd"), "the text is not UTF-8 at byte 0", qtk::value_error);
}

TEST_CASE("a broken pattern is refused with PCRE2's reason") {
    CHECK_THROWS_WITH_AS(
        qtk::pretokenizer("a(b"),
        "the split pattern does not compile at character 3: missing closing parenthesis",
        qtk::value_error);
}

TEST_CASE("a pattern that would try everything stops at its limit") {
    CHECK_THROWS_AS(split(std::string(40, 'a') + "!", "(?:a|a)*[0-9]"), qtk::value_error);
}

TEST_CASE("a run of a million spaces or letters is one piece") {
    std::string const letters(1'000'000, 'a'), spaces(1'000'000, ' ');
    CHECK(split(letters) == pieces{letters});
    CHECK(split(spaces) == pieces{spaces});
    CHECK(split(spaces + "b") == pieces{std::string(999'999, ' '), " b"});
}
