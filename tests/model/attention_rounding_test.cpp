// SPDX-License-Identifier: Apache-2.0
#include <qtk/model/attention_rounding.hpp>
// The header under test comes first, so that it is seen to need nothing else.
#include <qtk/core/error.hpp>
#include <qtk/core/random.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <vector>

using qtk::softmax_rounding;

TEST_CASE("nothing is rounded unless it is asked for") {
    CHECK(softmax_rounding{}.round_trip(0.123f) == 0.123f);
    CHECK(softmax_rounding{}.is_floats());
    CHECK(qtk::attention_rounding{}.is_floats());
    CHECK_FALSE(qtk::attention_rounding{.k = qtk::activation_codes(8)}.is_floats());
    CHECK_FALSE(qtk::attention_rounding{.softmax = softmax_rounding::log2(3)}.is_floats());
}

TEST_CASE("grids without a scale and other bits are refused") {
    for (float const scale : {0.0f, -1.0f, std::nanf(""), std::numeric_limits<float>::infinity()}) {
        qtk::attention_rounding rounding;
        rounding.v = qtk::activation_grid{.scale = scale};
        CHECK_THROWS_AS(qtk::require_scales(rounding, "blocks.0.attn"), qtk::value_error);
        rounding.v->scale = 1.0f;
        CHECK_NOTHROW(qtk::require_scales(rounding, "blocks.0.attn"));
    }
    CHECK_THROWS_AS((void)softmax_rounding::log2(0), qtk::value_error);
    CHECK_THROWS_AS((void)softmax_rounding::log2(9), qtk::value_error);
}

TEST_CASE("probabilities become whole numbers of units, and what their quantizer leaves of them") {
    qtk::splitmix64 random(1);
    std::vector<float> probabilities{0.0f, 1.0f, 0.25f, 1e-9f};
    for (int i = 0; i < 2000; ++i) {
        auto const x = static_cast<float>(qtk::open_unit(random()));
        probabilities.push_back(x * x * x);
    }
    auto const check = [&](auto const& quantizer) {
        softmax_rounding const rounding = quantizer;
        for (float const x : probabilities) {
            float units = x;
            rounding.to_units({&units, 1});
            CHECK(units == std::floor(units));
            auto const exact = static_cast<double>(quantizer.round_trip(x));
            CHECK(std::fabs(static_cast<double>(rounding.round_trip(x)) - exact) <=
                  exact * 0x1p-22);
        }
    };
    for (int bits = 1; bits <= 8; ++bits) check(qtk::uniform_probability_quantizer(bits));
    for (int bits = 3; bits <= 8; ++bits)
        for (int const split : {0, 3, 9}) check(qtk::twin_quantizer(bits, split));
}

TEST_CASE("powers of two are exact, and more than five bits add none that matter") {
    for (float const x : {1.0f, 0.3f, 0.1f, 1e-3f, 1e-7f, 0.0f}) {
        CHECK(softmax_rounding::log2(4).round_trip(x) == qtk::log2_quantizer(4).round_trip(x));
        CHECK(softmax_rounding::log2(8).round_trip(x) == qtk::log2_quantizer(5).round_trip(x));
    }
    CHECK(softmax_rounding::log2(4).unit() == 1.0f);
}

TEST_CASE("a rounding knows its bits") {
    CHECK(softmax_rounding().bits() == 0);
    for (int bits = 1; bits <= 8; ++bits)
        CHECK(softmax_rounding(qtk::uniform_probability_quantizer(bits)).bits() == bits);
    for (int bits = 1; bits <= 5; ++bits) CHECK(softmax_rounding::log2(bits).bits() == bits);
    for (int bits = 3; bits <= 8; ++bits)
        CHECK(softmax_rounding(qtk::twin_quantizer(bits, 2)).bits() == bits);
}
