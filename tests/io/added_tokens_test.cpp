// SPDX-License-Identifier: Apache-2.0
#include <qtk/io/added_tokens.hpp>

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

namespace {

// The parts of a text, added tokens in brackets.
std::string parts(qtk::added_tokens const& tokens, std::string_view text, bool special_too = true) {
    std::string shown;
    std::size_t length = 0;
    tokens.for_each_part(text, special_too, [&](std::string_view part, auto const* token) {
        CHECK_FALSE(part.empty());
        length += part.size();
        shown.append(token ? "[" : "(").append(part).append(token ? "]" : ")");
    });
    CHECK(length == text.size());
    return shown;
}

qtk::added_tokens of(std::vector<qtk::added_token> const& list) {
    qtk::added_tokens tokens;
    for (auto const& token : list) tokens.add(token);
    return tokens;
}

}  // namespace

TEST_CASE("without added tokens a text is one part, and no text is none") {
    qtk::added_tokens const none;
    CHECK(none.empty());
    CHECK(parts(none, "") == "");
    CHECK(parts(none, "<s>") == "(<s>)");
}

TEST_CASE("the leftmost token wins, then the longest") {
    auto const tokens = of({{"ab", 1}, {"abc", 2}, {"bcd", 3}, {"c", 4}});
    CHECK(parts(tokens, "xabcdabx") == "(x)[abc](d)[ab](x)");
    CHECK(parts(tokens, "abab") == "[ab][ab]");
    CHECK(parts(tokens, "bcabd") == "(b)[c][ab](d)");
    CHECK(parts(tokens, "abc") == "[abc]");
}

TEST_CASE("special tokens are text where the caller says so, other added tokens are not") {
    auto const tokens = of({{"<s>", 1, true}, {"<t>", 2, false}});
    CHECK(parts(tokens, "a<s><t>") == "(a)[<s>][<t>]");
    CHECK(parts(tokens, "a<s><t>", false) == "(a<s>)[<t>]");
}

TEST_CASE("a stripping token takes white space with it, back to the token before") {
    auto const tokens = of({{"<l>", 1, true, true}, {"<r>", 2, true, false, true}});
    CHECK(parts(tokens, "a \u00a0\t<l> b") == "(a)[ \u00a0\t<l>]( b)");
    CHECK(parts(tokens, "a <r>\u3000 \nb") == "(a )[<r>\u3000 \n](b)");
    CHECK(parts(tokens, "<r>  <l>") == "[<r>  ][<l>]");
    CHECK(parts(tokens, "  <l>") == "[  <l>]");
    CHECK(parts(tokens, "\u00e9<l>") == "(\u00e9)[<l>]");
}

TEST_CASE("of two tokens with one content the first stays, and none is empty") {
    auto const tokens = of({{"a", 1}, {"a", 2}});
    CHECK(tokens.tokens().size() == 1);
    CHECK(tokens.tokens().front().id == 1);
    CHECK_THROWS_AS((void)of({{"", 1}}), qtk::value_error);
}

TEST_CASE("a token of a thousand bytes is found, its beginning is not") {
    std::string const content(1000, 'a');
    auto const tokens = of({{content, 1}});
    CHECK(parts(tokens, content.substr(1)) == "(" + content.substr(1) + ")");
    CHECK(parts(tokens, "b" + content) == "(b)[" + content + "]");
}
