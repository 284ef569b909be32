// SPDX-License-Identifier: Apache-2.0
#include <qtk/model/kv_format.hpp>

#include <doctest/doctest.h>

TEST_CASE("formats are read and written") {
    using qtk::parse_kv_format;
    CHECK(parse_kv_format("fp32") == qtk::kv_format{});
    CHECK(parse_kv_format("f32") == qtk::kv_format{});
    CHECK(parse_kv_format("int8") == qtk::kv_format(qtk::kv_storage::i8));
    CHECK(parse_kv_format("i8") == qtk::kv_format(qtk::kv_storage::i8));
    auto const four = parse_kv_format("i4/g64");
    CHECK(four.storage == qtk::kv_storage::groups);
    CHECK(four.bits == 4);
    CHECK(four.group == 64);
    CHECK(four.recent == 32);
    CHECK(four.has_channel_keys);
    CHECK(to_string(parse_kv_format("i2")) == "i2/g32/r32");
    for (char const* const text : {"fp32", "int8", "i4/g64/r32", "i2/g16/token/r0", "i8/g128/r5"})
        CHECK(to_string(parse_kv_format(text)) == text);
}

TEST_CASE("other texts are refused") {
    for (char const* const text :
         {"", "i", "i3", "i4/", "i4/g", "i4/g0", "i4/x3", "i4g64", "i4/g64/", "i4/g64x", "i4/g-1",
          "i4/g99999999999999999999", "int4", "i16", "/g3"})
        CHECK_THROWS_AS((void)qtk::parse_kv_format(text), qtk::value_error);
    CHECK_THROWS_WITH_AS((void)qtk::parse_kv_format("i3"),
                         "keys and values: expected fp32, int8 or iB[/gN][/token][/rN] with B = 8, "
                         "4 or 2, e.g. i4/g64; found \"i3\"",
                         qtk::value_error);
}

TEST_CASE("bytes of a token count codes, scales and zeros") {
    qtk::decoder_config c;
    c.layers = 2, c.kv_heads = 3, c.head_dim = 64;
    double const values = 2.0 * 2 * 3 * 64;
    CHECK(qtk::kv_bytes_per_token(c, {}) == 4.0 * values);
    CHECK(qtk::kv_bytes_per_token(c, qtk::kv_storage::i8) == values + 2.0 * 2 * 3 * 4);
    // Half a byte and, for 32 values, two halves.
    CHECK(qtk::kv_bytes_per_token(c, qtk::parse_kv_format("i4/g32")) ==
          values * (0.5 + 4.0 / 32.0));
    CHECK(qtk::kv_bytes_per_token(c, qtk::parse_kv_format("i2/g64/token")) ==
          values * (0.25 + 4.0 / 64.0));
}
