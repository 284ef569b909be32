// SPDX-License-Identifier: Apache-2.0
#include <qtk/model/attention_rounding.hpp>
// The header under test comes first, so that it is seen to need nothing else.
#include <qtk/core/error.hpp>
#include <qtk/core/random.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <vector>

using qtk::softmax_rounding, qtk::symmetric_grid;

TEST_CASE("a grid has as many steps below zero as above, and clips what lies beyond") {
    symmetric_grid const grid(3, 0.5f);
    CHECK(grid.code(0.74f) == 1.0f);
    CHECK(grid.code(0.75f) == 2.0f);  // half to even
    CHECK(grid.code(1.25f) == 2.0f);
    CHECK(grid.code(-9.0f) == -3.0f);
    CHECK(grid.code(9.0f) == 3.0f);
    CHECK(grid.round_trip(9.0f) == 1.5f);
    CHECK(symmetric_grid(8, 1.0f).code(-1e30f) == -127.0f);
    CHECK(symmetric_grid(2, 1.0f).code(7.0f) == 1.0f);
}

TEST_CASE("without bits values stay as they are") {
    symmetric_grid const none;
    CHECK(none.is_floats());
    CHECK(none.round_trip(0.123f) == 0.123f);
    CHECK(none.step() == 1.0f);
    CHECK(softmax_rounding{}.round_trip(0.123f) == 0.123f);
    CHECK(qtk::attention_rounding{}.is_floats());
    CHECK_FALSE(qtk::attention_rounding{.k = {8, 1.0f}}.is_floats());
    CHECK_FALSE(qtk::attention_rounding{.softmax = softmax_rounding::log2(3)}.is_floats());
}

TEST_CASE("grids of other bits and steps are refused") {
    for (int const bits : {-1, 0, 1, 9})
        CHECK_THROWS_AS((void)symmetric_grid(bits, 1.0f), qtk::value_error);
    for (float const step : {0.0f, -1.0f, std::nanf(""), std::numeric_limits<float>::infinity()})
        CHECK_THROWS_AS((void)symmetric_grid(8, step), qtk::value_error);
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
