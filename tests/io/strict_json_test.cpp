// SPDX-License-Identifier: Apache-2.0
#include <qtk/io/strict_json.hpp>

#include <doctest/doctest.h>

#include <string>

namespace {
auto parse(std::string_view text) {
    return qtk::parse_strict_json(text, "x.json");
}
}  // namespace

TEST_CASE("a document comes out as it says") {
    auto const json = parse(R"({"a": [1, -2, 0.5, true, null, "\u00e4"], "b": {"c": {}}})");
    CHECK(json["a"][0].is_number_unsigned());
    CHECK_FALSE(json["a"][1].is_number_unsigned());
    CHECK(json["a"][5] == "\u00e4");
    CHECK(json["b"]["c"].is_object());
    CHECK(parse("[[1], [2]]")[1][0] == 2);
}

TEST_CASE("minus zero and 1e3 are no unsigned numbers") {
    CHECK_FALSE(parse("-0").is_number_unsigned());
    CHECK_FALSE(parse("1e3").is_number_unsigned());
    CHECK_FALSE(parse("18446744073709551616").is_number_unsigned());
    CHECK(parse("18446744073709551615").is_number_unsigned());
}

TEST_CASE("a key that appears twice is named") {
    CHECK_THROWS_WITH_AS(parse(R"({"a": 1, "b": {"c": 1, "c": 2}})"),
                         doctest::Contains("\"c\" appears twice"), qtk::io_error);
    CHECK(parse(R"({"a": {"x": 1}, "b": {"x": 2}})")["b"]["x"] == 2);
}

TEST_CASE("nesting has an end") {
    std::string const deep = std::string(8, '[') + std::string(8, ']');
    CHECK(parse(deep).is_array());
    CHECK_THROWS_WITH_AS(parse("[" + deep + "]"), doctest::Contains("nest deeper than 8"),
                         qtk::io_error);
    CHECK_THROWS_AS(parse(std::string(1'000'000, '[')), qtk::io_error);
}

TEST_CASE("text that is not JSON, not UTF-8 or goes on behind the value is refused") {
    for (char const* const text : {"", "{", "{]", "[1,]", "{\"a\":}", "nul", "1 2", "{} x",
                                   "[1] []", "'a'", "\xef\xbb\xbf{}x"})
        CHECK_THROWS_AS(parse(text), qtk::io_error);
    CHECK_THROWS_WITH_AS(parse("[\"ab\xff\"]"), doctest::Contains("byte 4"), qtk::io_error);
}

TEST_CASE("the fault is counted from where the text lies in its file") {
    try {
        (void)qtk::parse_strict_json("[1,]", "x.json", {}, 100);
        FAIL("nothing was thrown");
    } catch (qtk::io_error const& e) {
        CHECK(e.offset == 103);
        CHECK(e.path == "x.json");
    }
}
