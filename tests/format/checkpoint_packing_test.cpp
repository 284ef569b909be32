// SPDX-License-Identifier: Apache-2.0
#include <qtk/format/checkpoint_packing.hpp>

#include <doctest/doctest.h>

#include "packing_goldens.hpp"
#include <array>

TEST_CASE("an empty table has no values") {
    qtk::row_major<std::uint8_t> const nothing;
    CHECK(nothing.values.empty());
    CHECK(nothing.view().size() == 0);
}

TEST_CASE("a table made from a shape is zero and row by row") {
    qtk::row_major<std::uint8_t> table{.rows = 2, .cols = 3};
    CHECK(table.values == std::vector<std::uint8_t>(6, 0));
    table(1, 0) = 9;
    CHECK(table.values[3] == 9);
    CHECK(table.view()(1, 0) == 9);
    CHECK_FALSE(table == qtk::row_major<std::uint8_t>{.rows = 3, .cols = 2});
}

TEST_CASE("a table whose size overflows is refused") {
    auto const make = [] {
        return qtk::row_major<std::uint8_t>{.rows = ~std::size_t{0}, .cols = 2};
    };
    CHECK_THROWS_AS(make(), qtk::value_error);
}

TEST_CASE("32 codes of 3 bits are the golden stream, and 10 and 21 straddle words") {
    std::array<std::uint32_t, 3> words{};
    for (std::size_t i = 0; i < 32; ++i)
        qtk::detail::put_in_stream(words.data(), 1, i, 3, static_cast<std::uint8_t>(i % 8));
    CHECK(words == three_bit_words);
    for (std::size_t i = 0; i < 32; ++i)
        CHECK(qtk::detail::take_from_stream(words.data(), 1, i, 3) == i % 8);
}

TEST_CASE("streams of every width and step give back what was put in") {
    for (int bits = 1; bits <= 8; ++bits)
        for (std::size_t const step : {1u, 5u}) {
            CAPTURE(bits);
            CAPTURE(step);
            // 64 fields fill 2 * bits words.
            std::vector<std::uint32_t> words(2 * static_cast<std::size_t>(bits) * step);
            auto const field = [bits](std::size_t i) {
                return static_cast<std::uint8_t>((i * 37 + 11) & ((1u << bits) - 1));
            };
            for (std::size_t i = 0; i < 64; ++i)
                qtk::detail::put_in_stream(words.data(), step, i, bits, field(i));
            std::size_t wrong = 0, touched_between = 0;
            for (std::size_t i = 0; i < 64; ++i)
                wrong += qtk::detail::take_from_stream(words.data(), step, i, bits) != field(i);
            for (std::size_t w = 0; w < words.size(); ++w)
                touched_between += w % step != 0 && words[w] != 0;
            CHECK(wrong == 0);
            CHECK(touched_between == 0);
        }
}

TEST_CASE("a field too large is refused with its place") {
    qtk::row_major<std::uint8_t> fields{.rows = 2, .cols = 2};
    CHECK_NOTHROW(qtk::detail::require_fields("layout", fields.view(), 1));
    fields(1, 0) = 16;
    CHECK_THROWS_WITH_AS(qtk::detail::require_fields("layout", fields.view(), 4),
                         "layout: expected fields below 16, found 16 at row 1, column 0",
                         qtk::value_error);
    fields(1, 0) = 255;
    CHECK_NOTHROW(qtk::detail::require_fields("layout", fields.view(), 8));
}

TEST_CASE("a length that leaves a rest is refused with the multiple it needs") {
    CHECK(qtk::detail::exact_quotient("length", 24, 8) == 3);
    CHECK_THROWS_WITH_AS(static_cast<void>(qtk::detail::exact_quotient("length", 25, 8)),
                         "length: expected a multiple of 8, found 25", qtk::shape_error);
}
