// SPDX-License-Identifier: Apache-2.0
#include <qtk/io/bpe_vocabulary.hpp>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace {

using json = nlohmann::json;

qtk::bpe_vocabulary abc() {
    qtk::bpe_vocabulary table("v.json");
    table.add_object(json::parse(R"({"a": 0, "b": 1, "ab": 3, "a b": 4, " b": 5})"));
    return table;
}

template <typename F>
std::string refusal(F const& act) {
    try {
        act();
    } catch (qtk::io_error const& fault) {
        return fault.what();
    }
    return "accepted";
}

std::string merge_refusal(char const* merges) {
    return refusal([&] {
        auto table = abc();
        table.add_merges(json::parse(merges));
    });
}

}  // namespace

TEST_CASE("tokens are found by id and by text, gaps are empty") {
    auto const table = abc();
    CHECK(table.size() == 6);
    CHECK(table.token(3) == "ab");
    CHECK(table.token(2).empty());
    CHECK(table.find("b") == 1);
    CHECK_FALSE(table.find("c").has_value());
    CHECK_FALSE(table.is_added(3));
}

TEST_CASE("merges are strings, pairs or lines, and say the same") {
    auto strings = abc(), pairs = abc(), lines = abc(), views = abc();
    strings.add_merges(json::parse(R"(["a b"])"));
    pairs.add_merges(json::parse(R"([["a", "b"], ["a", " b"]])"));
    lines.add_merge_lines("#version: 0.2\na b\n", "m.txt");
    views.add_merge_strings(std::vector<std::string_view>{"a b"});
    for (auto const* table : {&strings, &pairs, &lines, &views}) {
        REQUIRE_FALSE(table->merges().empty());
        CHECK(table->merges()[0].left == 0);
        CHECK(table->merges()[0].right == 1);
        CHECK(table->merges()[0].joined == 3);
    }
    // Only a pair can hold a token with a space.
    REQUIRE(pairs.merges().size() == 2);
    CHECK(pairs.merges()[1].joined == 4);
}

TEST_CASE("merges that are none, or name unknown tokens, are refused with their number") {
    CHECK(merge_refusal(R"(["a b", "a  b"])") ==
          R"(v.json: merge 1: expected two tokens with one space between them, found "a  b")");
    CHECK(merge_refusal(R"([["a", "z"]])") ==
          R"(v.json: merge 0: the vocabulary has no token "z")");
    CHECK(merge_refusal(R"([["b", "a"]])") ==
          R"(v.json: merge 0: the vocabulary has no token "ba")");
    CHECK(merge_refusal(R"([["a", "b"], "a b"])").find("second time") != std::string::npos);
    for (char const* wrong : {"[1]", "[[\"a\"]]", "[[\"a\", 1]]", "[{}]", "[[\"a\",\"b\",\"c\"]]"})
        CHECK(merge_refusal(wrong).starts_with("v.json: merge 0: expected "));
    CHECK(merge_refusal("{}") == "v.json: merges: expected an array, found another kind of JSON");
}

TEST_CASE("ids and tokens are given once, inside the limits, in UTF-8") {
    qtk::io_limits limits;
    limits.vocabulary = 10;
    limits.token_bytes = 4;
    qtk::bpe_vocabulary table("v", limits);
    table.add("a", 9);
    auto const add = [&](std::string_view token, std::uint64_t id) {
        return refusal([&] { table.add(token, id); });
    };
    CHECK(add("b", 9) == R"(v: the id 9 belongs to both "a" and "b")");
    CHECK(add("a", 8) == R"(v: token "a" has both the ids 9 and 8)");
    CHECK(add("b", 10) == R"(v: token "b": expected an id from 0 to 9, found 10)");
    CHECK(add("", 1) == "v: the token with the id 1 is empty");
    CHECK(add("abcde", 1) == R"(v: token "abcde" has 5 bytes, more than the limit of 4)");
    CHECK(add("\xff", 1) == R"(v: token "\xff" with the id 1 is not UTF-8)");
    json many = json::object();
    for (int i = 0; i < 11; ++i) many[std::to_string(i)] = i;
    CHECK(refusal([&] { table.add_object(many); }) == "v: 11 tokens, more than the limit of 10");
    CHECK(refusal([&] { table.add_object(json::object()); }) == "v: the vocabulary has no tokens");
    CHECK(refusal([&] { table.add_object(json::parse(R"({"x": -1})")); }) ==
          R"(v: token "x": expected an id from 0 to 9, found -1)");
}
