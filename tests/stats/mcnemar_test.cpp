// SPDX-License-Identifier: Apache-2.0
#include <qtk/stats/mcnemar.hpp>
// The header under test comes first, so that it is seen to need nothing else.

#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace {
// The logarithms of gamma at n, in the exponent.
constexpr double rounding = 1e-12;
double p_of(std::size_t b, std::size_t c) {
    return qtk::mcnemar(b, c).p;
}
}  // namespace

TEST_CASE("few pairs by hand") {
    CHECK(p_of(0, 0) == 1.0);
    CHECK(p_of(0, 1) == doctest::Approx(1.0).epsilon(rounding));
    CHECK(p_of(0, 5) == doctest::Approx(2.0 / 32.0).epsilon(rounding));
    // 2 (1 + 10) / 2^10
    CHECK(p_of(1, 9) == doctest::Approx(22.0 / 1024.0).epsilon(rounding));
    // 2 (1 + 8 + 28) / 2^8
    CHECK(p_of(6, 2) == doctest::Approx(74.0 / 256.0).epsilon(rounding));
    // An even split is above one before it is cut off.
    CHECK(p_of(4, 4) == 1.0);
}

TEST_CASE("many pairs as exact fractions have them") {
    // 2 sum_{i <= min(b, c)} C(n, i) / 2^n in Python's fractions
    CHECK(p_of(25, 43) == doctest::Approx(0.038460053348927506).epsilon(rounding));
    CHECK(p_of(3, 61) == doctest::Approx(4.742842403537839e-15).epsilon(rounding));
    CHECK(p_of(400, 480) == doctest::Approx(0.007707305043339141).epsilon(rounding));
    CHECK(p_of(0, 1200) == 0.0);
}

TEST_CASE("it does not matter who is first") {
    for (std::size_t b = 0; b < 30; ++b)
        for (std::size_t c = 0; c < 30; ++c) CHECK(p_of(b, c) == p_of(c, b));
}

TEST_CASE("answers are compared image by image") {
    std::vector<std::uint8_t> const a{1, 1, 1, 0, 0, 1, 1}, b{1, 0, 0, 1, 0, 0, 0};
    auto const found = qtk::mcnemar(a, b);
    CHECK(found.first_only == 4);
    CHECK(found.second_only == 1);
    CHECK(found.discordant() == 5);
    // 2 (1 + 5) / 2^5
    CHECK(found.p == doctest::Approx(12.0 / 32.0).epsilon(rounding));
    std::vector<std::uint8_t> const fewer{1, 0};
    CHECK_THROWS_AS((void)qtk::mcnemar(a, fewer), qtk::shape_error);
}
