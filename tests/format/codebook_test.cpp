// SPDX-License-Identifier: Apache-2.0
#include <qtk/format/codebook.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <vector>

namespace {

using qtk::float_to_codebook;
using qtk::fp4;
using qtk::fp4_levels;
using qtk::nf4;
using qtk::nf4_levels;
using qtk::rounding;

/// The quantile function of the standard normal distribution, by bisection of erfc.
double normal_quantile(double p) {
    double low = -10.0, high = 10.0;
    for (int i = 0; i < 200; ++i) {
        double const middle = (low + high) / 2.0;
        (std::erfc(-middle / std::sqrt(2.0)) / 2.0 < p ? low : high) = middle;
    }
    return (low + high) / 2.0;
}

}  // namespace

TEST_CASE("the nf4 levels are the quantiles of the paper") {
    // Appendix E: eight positive and seven negative levels at equally spaced probabilities, and 0.
    double const top = 1.0 - (1.0 / 32.0 + 1.0 / 30.0) / 2.0;
    std::vector<double> levels{0.0};
    for (int i = 0; i < 8; ++i) levels.push_back(normal_quantile(top + (0.5 - top) * i / 8.0));
    for (int i = 0; i < 7; ++i) levels.push_back(-normal_quantile(top + (0.5 - top) * i / 7.0));
    std::sort(levels.begin(), levels.end());
    double const largest = levels.back();
    // The published table comes from probabilities held as floats: half a unit of one near 0.97,
    // seen through the slope of the quantile function where it is steepest.
    double const density = std::exp(-largest * largest / 2.0) / std::sqrt(2.0 * std::numbers::pi);
    double const tolerance = 0x1p-25 / (density * largest);
    for (std::size_t i = 0; i < 16; ++i) {
        CAPTURE(i);
        CHECK(std::fabs(double{nf4_levels[i]} - levels[i] / largest) < tolerance);
    }
}

TEST_CASE("the fp4 levels stand in the order of bitsandbytes") {
    std::array<double, 8> const twelfths{0.0, 0.0625, 8.0, 12.0, 4.0, 6.0, 2.0, 3.0};
    for (std::size_t i = 0; i < 8; ++i) {
        CHECK(fp4_levels[i] == static_cast<float>(twelfths[i] / 12.0));
        CHECK(fp4_levels[i + 8] == -fp4_levels[i]);
    }
}

TEST_CASE("every level is its own nearest under every rule") {
    for (std::size_t i = 0; i < 16; ++i) {
        CAPTURE(i);
        float const x = nf4_levels[i];
        CHECK(float_to_codebook<nf4>(x) == i);
        CHECK(float_to_codebook<nf4, rounding::nearest_away>(x) == i);
        // Negative zero has its own fp4 pattern, but a value is never stored as it.
        std::size_t const expected = i == 8 ? 0 : i;
        float const y = fp4_levels[i];
        CHECK(float_to_codebook<fp4>(y) == expected);
        CHECK(float_to_codebook<fp4, rounding::nearest_away>(y) == expected);
        for (float const dither : {0.0f, 0.5f, 1.0f - 0x1p-24f}) {
            CAPTURE(dither);
            CHECK(float_to_codebook<nf4, rounding::stochastic>(x, dither) == i);
            CHECK(float_to_codebook<fp4, rounding::stochastic>(y, dither) == expected);
        }
    }
}

TEST_CASE("a value on an nf4 midpoint goes down, or away from zero where the rule says so") {
    for (std::size_t i = 0; i + 1 < 16; ++i) {
        CAPTURE(i);
        float const middle = 0.5f * (nf4_levels[i] + nf4_levels[i + 1]);
        CHECK(float_to_codebook<nf4>(middle) == i);
        CHECK(float_to_codebook<nf4>(std::nextafter(middle, 2.0f)) == i + 1);
        CHECK(float_to_codebook<nf4, rounding::nearest_away>(middle) ==
              (middle < 0.0f ? i : i + 1));
    }
}

TEST_CASE("a value on an fp4 midpoint goes to the smaller magnitude") {
    std::array<std::uint8_t, 8> const rising{0, 1, 6, 7, 4, 5, 2, 3};
    for (std::size_t i = 0; i + 1 < 8; ++i) {
        CAPTURE(i);
        float const middle = 0.5f * (fp4_levels[rising[i]] + fp4_levels[rising[i + 1]]);
        CHECK(float_to_codebook<fp4>(middle) == rising[i]);
        CHECK(float_to_codebook<fp4>(std::nextafter(middle, 2.0f)) == rising[i + 1]);
        CHECK((float_to_codebook<fp4>(-middle) & 7) == rising[i]);
        CHECK(float_to_codebook<fp4>(std::nextafter(-middle, -2.0f)) == (rising[i + 1] | 8));
        CHECK(float_to_codebook<fp4, rounding::nearest_away>(-middle) == (rising[i + 1] | 8));
    }
}

TEST_CASE("encoding agrees with a search of all levels") {
    int wrong = 0;
    for (int i = -4096; i <= 4096; ++i) {
        // An odd multiple of 2^-13 is no midpoint: levels and midpoints have other denominators.
        float const v = (static_cast<float>(i) + 0.5f) / 3500.0f;
        auto const distance = [v](std::array<float, 16> const& levels, std::size_t field) {
            return std::fabs(double{v} - double{levels[field]});
        };
        for (std::size_t field = 0; field < 16; ++field) {
            wrong += distance(nf4_levels, field) < distance(nf4_levels, float_to_codebook<nf4>(v));
            wrong += distance(fp4_levels, field) < distance(fp4_levels, float_to_codebook<fp4>(v));
        }
    }
    CHECK(wrong == 0);
}

TEST_CASE("values outside the book take the outermost level") {
    float const infinity = std::numeric_limits<float>::infinity();
    for (float const v : {1.5f, 1e30f, infinity}) {
        CHECK(float_to_codebook<nf4>(v) == 15);
        CHECK(float_to_codebook<nf4>(-v) == 0);
        CHECK(float_to_codebook<fp4>(v) == 3);
        CHECK(float_to_codebook<fp4>(-v) == 11);
        CHECK(float_to_codebook<nf4, rounding::stochastic>(v, 0.99f) == 15);
        CHECK(float_to_codebook<fp4, rounding::stochastic>(-v, 0.0f) == 11);
    }
}

TEST_CASE("stochastic rounding takes the two neighbours in proportion") {
    // A quarter of the way from 1/3 to 1/2, and its mirror image, which goes up in three of four.
    float const v = 0.75f * fp4_levels[4] + 0.25f * fp4_levels[5];
    int up = 0, up_negative = 0;
    for (int i = 0; i < 64; ++i) {
        float const dither = (static_cast<float>(i) + 0.5f) / 64.0f;
        auto const field = float_to_codebook<fp4, rounding::stochastic>(v, dither);
        auto const mirrored = float_to_codebook<fp4, rounding::stochastic>(-v, dither);
        CHECK((field == 4 || field == 5));
        CHECK((mirrored == 12 || mirrored == 13));
        up += field == 5;
        up_negative += mirrored == 12;
    }
    CHECK(up == 16);
    CHECK(up_negative == 48);
    // A small toss goes up on the number line on either side of zero.
    CHECK(float_to_codebook<fp4, rounding::stochastic>(-v, 0.125f) == 12);
    CHECK(float_to_codebook<fp4, rounding::stochastic>(-v, 0.875f) == 13);
}
