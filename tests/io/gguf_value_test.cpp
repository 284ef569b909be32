// SPDX-License-Identifier: Apache-2.0
#include <qtk/io/gguf_value.hpp>

#include <doctest/doctest.h>

#include "gguf_bytes.hpp"
#include <limits>

using qtk::gguf_kind;

namespace {

qtk::gguf_value value_of(gguf_kind kind, std::string const& bytes) {
    return {kind, kind, 1, std::as_bytes(std::span(bytes))};
}

}  // namespace

TEST_CASE("whole numbers are given as any integer that holds them, and as nothing else") {
    std::string const minus = test::number(std::int32_t{-7}), seven = test::number(std::int64_t{7}),
                      large = test::number(std::numeric_limits<std::uint64_t>::max());
    auto const a = value_of(gguf_kind::i32, minus), b = value_of(gguf_kind::i64, seven),
               c = value_of(gguf_kind::u64, large);
    CHECK(a.as<std::int8_t>() == -7);
    CHECK_FALSE(a.as<std::uint64_t>());
    CHECK(b.as<std::uint8_t>() == 7);
    CHECK_FALSE(c.as<std::int64_t>());
    CHECK_FALSE(b.as<float>());
    CHECK_FALSE(b.as<bool>());
    CHECK_FALSE(b.as<std::string>());
    CHECK_FALSE(b.as<std::vector<int>>());
}

TEST_CASE("floats, bools and strings are themselves") {
    std::string const half = test::number(0.5f), third = test::number(1.0 / 3.0), word = "w\n";
    auto const a = value_of(gguf_kind::f32, half), b = value_of(gguf_kind::f64, third),
               c = value_of(gguf_kind::string, word);
    CHECK(a.as<float>() == 0.5f);
    CHECK(a.as<double>() == 0.5);
    CHECK(b.as<double>() == 1.0 / 3.0);
    CHECK_FALSE(b.as<float>());
    CHECK_FALSE(a.as<int>());
    CHECK(c.as<std::string_view>() == "w\n");
    CHECK(c.describe() == "string \"w\\x0a\"");
    CHECK(value_of(gguf_kind::boolean, "\1").as<bool>() == true);
    CHECK_FALSE(value_of(gguf_kind::boolean, "\1").as<int>());
}

TEST_CASE("arrays become vectors of what holds all of their elements") {
    std::string const bytes = test::number(std::int16_t{300}) + test::number(std::int16_t{-1});
    qtk::gguf_value const a(gguf_kind::array, gguf_kind::i16, 2, std::as_bytes(std::span(bytes)));
    CHECK(a.as<std::vector<int>>() == std::vector{300, -1});
    CHECK_FALSE(a.as<std::vector<unsigned>>());
    CHECK_FALSE(a.as<std::vector<std::int8_t>>());
    CHECK_FALSE(a.as<int>());
    CHECK(a.describe() == "array of 2 i16");
    qtk::gguf_value const s(gguf_kind::array, gguf_kind::string, 2, {}, {"a", "b"});
    CHECK(s.as<std::vector<std::string>>() == std::vector<std::string>{"a", "b"});
    CHECK_FALSE(s.as<std::vector<int>>());
}

TEST_CASE("a missing key and a wrong type name the key, what was expected and what was found") {
    std::string const seven = test::u32(7);
    qtk::gguf_metadata const m(
        "m.gguf", {{"b", value_of(gguf_kind::u32, seven)}, {"a", value_of(gguf_kind::u32, seven)}});
    CHECK(m.get<int>("a") == 7);
    CHECK(m.get_or<int>("b", 3) == 7);
    CHECK(m.get_or<int>("c", 3) == 3);
    CHECK(m.find("c") == nullptr);
    CHECK(m.entries()[0].first == "b");
    CHECK_THROWS_WITH_AS((void)m.get<int>("c"), "m.gguf: the key \"c\" is missing", qtk::io_error);
    CHECK_THROWS_WITH_AS((void)m.get<std::string>("a"),
                         "m.gguf: the key \"a\": expected string, found u32 7", qtk::io_error);
    CHECK_THROWS_WITH_AS((void)m.get_or<std::vector<float>>("a", {}),
                         "m.gguf: the key \"a\": expected array of f32, found u32 7",
                         qtk::io_error);
    CHECK_THROWS_WITH_AS(qtk::gguf_metadata("m.gguf", {{"a", {}}, {"b", {}}, {"a", {}}}),
                         "m.gguf: the key \"a\" is there twice", qtk::io_error);
}
