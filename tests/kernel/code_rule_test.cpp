// SPDX-License-Identifier: Apache-2.0
#include <qtk/kernel/code_rule.hpp>
#include <qtk/quantizer/tile_quantizer.hpp>

#include <doctest/doctest.h>

#include <cmath>

namespace {

using qtk::origin;
using qtk::rounding;

/// The rank that the search finds for v.
std::size_t rank_of(qtk::code_rule const& rule, float v) {
    std::size_t rank = 0;
    for (std::size_t k = 0; k < 4; ++k) rank = 2 * rank + (v > rule.search[k][rank] ? 1 : 0);
    return rank;
}

}  // namespace

TEST_CASE("the search finds the nearest level, and ties as the rounding says") {
    constexpr auto even = qtk::rule_of<qtk::tile_quantizer<qtk::nf4, origin::fixed>>();
    constexpr auto away =
        qtk::rule_of<qtk::tile_quantizer<qtk::nf4, origin::fixed, rounding::nearest_away>>();
    auto const& ranks = qtk::detail::nf4_ranks;
    for (std::size_t i = 0; i < 16; ++i) CHECK(rank_of(even, ranks.level[i]) == i);
    for (std::size_t i = 0; i + 1 < 16; ++i) {
        float const middle = ranks.midpoint(i);
        CHECK(rank_of(even, middle) == i);
        CHECK(rank_of(even, std::nextafter(middle, 2.0f)) == i + 1);
        CHECK(rank_of(away, middle) == (middle < 0.0f ? i : i + 1));
        CHECK(rank_of(away, std::nextafter(middle, -2.0f)) == i);
    }
}

TEST_CASE("a search of eight levels never leaves them") {
    constexpr auto rule = qtk::rule_of<qtk::tile_quantizer<qtk::fp4, origin::fixed>>();
    CHECK(rank_of(rule, 3e38f) == 7);
    CHECK(rank_of(rule, 0.0f) == 0);
}

TEST_CASE("stochastic rounding starts from the level at or below") {
    constexpr auto rule =
        qtk::rule_of<qtk::tile_quantizer<qtk::nf4, origin::fixed, rounding::stochastic>>();
    for (std::size_t i = 0; i < 16; ++i) {
        CHECK(rank_of(rule, rule.level[i]) == i);
        CHECK(rank_of(rule, std::nextafter(rule.level[i], -2.0f)) == (i == 0 ? 0 : i - 1));
    }
    CHECK(rank_of(rule, -0.0f) == 7);
}

TEST_CASE("rules hold what formats say") {
    constexpr auto i4 = qtk::rule_of<qtk::tile_quantizer<qtk::i4, origin::fixed>>();
    CHECK(i4.lowest == 1);
    CHECK(i4.highest == 15);
    constexpr auto u8 = qtk::rule_of<qtk::tile_quantizer<qtk::u8, origin::floating>>();
    CHECK(u8.lowest == 0);
    CHECK(u8.highest == 255);
    constexpr auto e4m3 = qtk::rule_of<qtk::tile_quantizer<qtk::e4m3, origin::fixed>>();
    CHECK(e4m3.minifloat.largest == 448.0f);
    CHECK(e4m3.minifloat.sign == 0x80);
    CHECK(e4m3.minifloat.top == 0x7e);
}

TEST_CASE("extreme and awkward scales are divided by") {
    CHECK(qtk::divides_by_product(0.037f));
    CHECK_FALSE(qtk::divides_by_product(0.0f));
    CHECK_FALSE(qtk::divides_by_product(1e-39f));
    CHECK_FALSE(qtk::divides_by_product(3e38f));
    CHECK_FALSE(qtk::divides_by_product(std::numeric_limits<float>::quiet_NaN()));
    CHECK_FALSE(qtk::divides_by_product(std::nextafter(2.0f, 1.0f)));
}

TEST_CASE("a dither source that starts later gives the same chances") {
    qtk::dither_source const d{.seed = 3, .first = 10};
    CHECK(d.from(5).at(2) == d.at(7));
}
