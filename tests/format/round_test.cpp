// SPDX-License-Identifier: Apache-2.0
#include <qtk/format/round.hpp>

#include <doctest/doctest.h>
#include <rapidcheck.h>

#include <cmath>

static_assert(qtk::round_half_even(0.0f) == 0.0f && qtk::round_half_away(0.0f) == 0.0f);
static_assert(qtk::truncate(-2.9f) == -2.0f && qtk::truncate(2.9f) == 2.0f);

namespace {

/// A float of magnitude up to 2^22, fractions of all sizes.
float any_value() {
    int const exponent = *rc::gen::inRange(-30, 22);
    int const mantissa = *rc::gen::inRange(-(1 << 23), (1 << 23) + 1);
    return std::ldexp(static_cast<float>(mantissa), exponent - 23);
}

}  // namespace

TEST_CASE("integers stay what they are under every rule") {
    for (int i = -1000; i <= 1000; ++i) {
        auto const v = static_cast<float>(i);
        CHECK(qtk::round_half_even(v) == v);
        CHECK(qtk::round_half_away(v) == v);
        CHECK(qtk::round_stochastic(v, 0.0f) == v);
        CHECK(qtk::round_stochastic(v, 0.99999994f) == v);
    }
    for (float const edge : {-0x1p22f, 0x1p22f}) {
        CHECK(qtk::round_half_even(edge) == edge);
        CHECK(qtk::round_half_away(edge) == edge);
    }
}

TEST_CASE("halves go to the even neighbour or away from zero") {
    for (int i = -50; i <= 50; ++i) {
        float const v = static_cast<float>(i) + 0.5f;
        CHECK(qtk::round_half_even(v) == static_cast<float>(i % 2 == 0 ? i : i + 1));
        CHECK(qtk::round_half_away(v) == static_cast<float>(i >= 0 ? i + 1 : i));
    }
}

TEST_CASE("the float next to a half is not a half") {
    CHECK(qtk::round_half_even(std::nextafter(0.5f, 1.0f)) == 1.0f);
    CHECK(qtk::round_half_even(std::nextafter(1.5f, 0.0f)) == 1.0f);
    CHECK(qtk::round_half_away(std::nextafter(0.5f, 0.0f)) == 0.0f);
    CHECK(qtk::round_half_away(std::nextafter(-0.5f, 0.0f)) == 0.0f);
}

TEST_CASE("both nearest rules agree with the standard library") {
    CHECK(rc::check("half to even is nearbyint, half away is round", [] {
        float const v = any_value();
        RC_ASSERT(qtk::round_half_even(v) == std::nearbyint(v));
        RC_ASSERT(qtk::round_half_away(v) == std::round(v));
    }));
}

TEST_CASE("stochastic rounding goes up with the probability of the fraction") {
    int constexpr tosses = 1 << 12;
    for (float const v : {-3.75f, -0.25f, 0.0f, 0.125f, 7.5f}) {
        CAPTURE(v);
        float const below = std::floor(v), fraction = v - below;
        int up = 0;
        for (int i = 0; i < tosses; ++i) {
            float const whole =
                qtk::round_stochastic(v, static_cast<float>(i) / static_cast<float>(tosses));
            CHECK((whole == below || whole == below + 1.0f));
            up += whole > below ? 1 : 0;
        }
        // Evenly spaced dithers count the fraction exactly, since it is a multiple of 1/tosses.
        CHECK(static_cast<float>(up) == fraction * static_cast<float>(tosses));
    }
}

TEST_CASE("stochastic rounding never leaves the two neighbours") {
    CHECK(rc::check("floor or ceiling", [] {
        float const v = any_value();
        float const dither = static_cast<float>(*rc::gen::inRange(0, 1 << 24)) * 0x1p-24f;
        float const whole = qtk::round_stochastic(v, dither);
        RC_ASSERT(whole == std::floor(v) || whole == std::ceil(v));
    }));
}

TEST_CASE("round_by picks the rule") {
    CHECK(qtk::round_by<qtk::rounding::nearest_even>(2.5f, 0.0f) == 2.0f);
    CHECK(qtk::round_by<qtk::rounding::nearest_away>(2.5f, 0.9f) == 3.0f);
    CHECK(qtk::round_by<qtk::rounding::stochastic>(2.25f, 0.1f) == 3.0f);
    CHECK(qtk::round_by<qtk::rounding::stochastic>(2.25f, 0.9f) == 2.0f);
}
