// SPDX-License-Identifier: Apache-2.0
#include <qtk/format/minifloat.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <vector>

namespace {

constexpr std::array<qtk::format, 4> minifloats{qtk::e2m1, qtk::e3m2, qtk::e4m3, qtk::e5m2};

/// Magnitudes from the definition in double precision, in the order of the fields; NaN and infinity
/// left out.
std::vector<double> magnitudes(qtk::format const& f) {
    std::vector<double> levels;
    int const bias = (1 << (f.exponent - 1)) - 1;
    for (int e = 0; e < 1 << f.exponent; ++e)
        for (int m = 0; m < 1 << f.mantissa(); ++m) {
            bool const ieee_top = f.exponent == 5 && e == 31;
            bool const e4m3_nan = f.exponent == 4 && e == 15 && m == 7;
            if (ieee_top || e4m3_nan) continue;
            double const fraction = m / std::ldexp(1.0, f.mantissa()) + (e > 0 ? 1.0 : 0.0);
            levels.push_back(std::ldexp(fraction, std::max(e, 1) - bias));
        }
    return levels;
}

/// The nearest level by looking at all of them; ties go to the even field.
int nearest_field(std::vector<double> const& levels, double v) {
    v = std::min(v, 2.0 * levels.back());  // beyond, distances are equal in their last bit
    std::size_t best = 0;
    for (std::size_t i = 1; i < levels.size(); ++i) {
        double const closer = std::fabs(v - levels[best]) - std::fabs(v - levels[i]);
        if (closer > 0.0 || (closer == 0.0 && i % 2 == 0)) best = i;
    }
    return static_cast<int>(best);
}

}  // namespace

TEST_CASE("every field of the four formats has the value of the definition") {
    for (auto const& f : minifloats) {
        CAPTURE(f.bits);
        CAPTURE(f.exponent);
        auto const levels = magnitudes(f);
        int const sign = 1 << (f.bits - 1);
        for (int field = 0; field < static_cast<int>(levels.size()); ++field) {
            double const expected = levels[static_cast<std::size_t>(field)];
            CHECK(double{qtk::minifloat_to_float(f, static_cast<std::uint8_t>(field))} == expected);
            CHECK(double{qtk::minifloat_to_float(f, static_cast<std::uint8_t>(field | sign))} ==
                  -expected);
        }
    }
}

TEST_CASE("every finite field survives the way to float and back, the sign of zero too") {
    for (auto const& f : minifloats)
        for (int field = 0; field < f.patterns(); ++field) {
            auto const pattern = static_cast<std::uint8_t>(field);
            float const x = qtk::minifloat_to_float(f, pattern);
            if (std::isfinite(x)) CHECK(qtk::float_to_minifloat(f, x) == pattern);
        }
}

TEST_CASE("only e4m3 and e5m2 have patterns that are no number") {
    auto const count = [](qtk::format const& f, auto const& is) {
        int found = 0;
        for (int field = 0; field < f.patterns(); ++field)
            found += is(qtk::minifloat_to_float(f, static_cast<std::uint8_t>(field))) ? 1 : 0;
        return found;
    };
    auto const nan = [](float x) { return std::isnan(x); };
    auto const infinite = [](float x) { return std::isinf(x); };
    CHECK(count(qtk::e2m1, nan) + count(qtk::e2m1, infinite) == 0);
    CHECK(count(qtk::e3m2, nan) + count(qtk::e3m2, infinite) == 0);
    CHECK(count(qtk::e4m3, nan) == 2);
    CHECK(count(qtk::e4m3, infinite) == 0);
    CHECK(count(qtk::e5m2, nan) == 6);
    CHECK(count(qtk::e5m2, infinite) == 2);
    CHECK(std::isnan(qtk::minifloat_to_float(qtk::e4m3, 0x7f)));
    CHECK(qtk::minifloat_to_float(qtk::e5m2, 0xfc) == -std::numeric_limits<float>::infinity());
}

TEST_CASE("e2m1 midpoints go to the even code") {
    constexpr std::array<std::array<float, 2>, 7> ties{{{0.25f, 0.0f},
                                                        {0.75f, 1.0f},
                                                        {1.25f, 1.0f},
                                                        {1.75f, 2.0f},
                                                        {2.5f, 2.0f},
                                                        {3.5f, 4.0f},
                                                        {5.0f, 4.0f}}};
    for (auto const& [middle, expected] : ties)
        for (float const sign : {1.0f, -1.0f}) {
            auto const field = qtk::float_to_minifloat(qtk::e2m1, sign * middle);
            CHECK(qtk::minifloat_to_float(qtk::e2m1, field) == sign * expected);
        }
}

TEST_CASE("nearest_away takes a midpoint to the larger magnitude") {
    auto const away = [](float v) {
        return qtk::minifloat_to_float(
            qtk::e2m1, qtk::float_to_minifloat<qtk::rounding::nearest_away>(qtk::e2m1, v));
    };
    CHECK(away(0.25f) == 0.5f);
    CHECK(away(-2.5f) == -3.0f);
    CHECK(away(5.0f) == 6.0f);
    CHECK(away(std::nextafter(5.0f, 0.0f)) == 4.0f);
}

TEST_CASE("encoding agrees with a search of all levels") {
    for (auto const& f : minifloats) {
        CAPTURE(f.bits);
        CAPTURE(f.exponent);
        auto const levels = magnitudes(f);
        int wrong = 0;
        auto const compare = [&](float x) {
            int const expected = nearest_field(levels, std::fabs(double{x}));
            int const sign = std::signbit(x) ? 1 << (f.bits - 1) : 0;
            wrong += qtk::float_to_minifloat(f, x) != (sign | expected);
        };
        for (std::size_t i = 0; i + 1 < levels.size(); ++i) {
            auto const middle = static_cast<float>((levels[i] + levels[i + 1]) / 2.0);
            for (float const x :
                 {middle, std::nextafter(middle, 0.0f), std::nextafter(middle, 1e9f)}) {
                compare(x);
                compare(-x);
            }
        }
        // The floats of the whole exponent range, subnormal to largest.
        for (std::uint64_t pattern = 0; pattern < 0x7f800000u; pattern += 196613)
            compare(std::bit_cast<float>(static_cast<std::uint32_t>(pattern)));
        CHECK(wrong == 0);
    }
}

TEST_CASE("what is too large saturates and never becomes infinite") {
    for (auto const& f : minifloats)
        for (float const x : {1e6f, 3e38f, std::numeric_limits<float>::infinity()})
            for (float const sign : {1.0f, -1.0f}) {
                CHECK(qtk::minifloat_to_float(f, qtk::float_to_minifloat(f, sign * x)) ==
                      sign * qtk::minifloat_max(f));
                CHECK(qtk::minifloat_to_float(f, qtk::float_to_minifloat<qtk::rounding::stochastic>(
                                                     f, sign * x, 0.0f)) ==
                      sign * qtk::minifloat_max(f));
            }
}

TEST_CASE("stochastic rounding goes to a neighbour, in proportion, and keeps exact values") {
    using qtk::rounding;
    for (auto const& f : minifloats)
        for (int field = 0; field < f.patterns(); ++field) {
            auto const pattern = static_cast<std::uint8_t>(field);
            float const x = qtk::minifloat_to_float(f, pattern);
            if (!std::isfinite(x)) continue;
            for (float const dither : {0.0f, 0.5f, 1.0f - 0x1p-24f})
                CHECK(qtk::float_to_minifloat<rounding::stochastic>(f, x, dither) == pattern);
        }
    // 2.25 lies a quarter of the way from 2 to 3; -2.25 goes up to -2 in three of four cases.
    int up = 0, up_negative = 0;
    for (int i = 0; i < 64; ++i) {
        float const dither = (static_cast<float>(i) + 0.5f) / 64.0f;
        up += qtk::float_to_minifloat<rounding::stochastic>(qtk::e2m1, 2.25f, dither) == 5;
        up_negative +=
            qtk::float_to_minifloat<rounding::stochastic>(qtk::e2m1, -2.25f, dither) == (8 | 4);
    }
    CHECK(up == 16);
    CHECK(up_negative == 48);
    // A small toss goes up on the number line on either side of zero.
    CHECK(qtk::float_to_minifloat<rounding::stochastic>(qtk::e2m1, -2.25f, 0.125f) == (8 | 4));
    CHECK(qtk::float_to_minifloat<rounding::stochastic>(qtk::e2m1, -2.25f, 0.875f) == (8 | 5));
}
