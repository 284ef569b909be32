// SPDX-License-Identifier: Apache-2.0
#include <qtk/core/error.hpp>
#include <qtk/model/activation_grid.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

using qtk::activation_codes;
using qtk::activation_grid;
using qtk::fit_activation_grid;

TEST_CASE("codes of all widths, and a center that brings them into int8") {
    for (int bits = 2; bits <= 8; ++bits) {
        CHECK(activation_codes(bits).highest == (1 << (bits - 1)) - 1);
        CHECK(activation_codes(bits).is_symmetric());
        CHECK(bits_of(activation_codes(bits)) == bits);
        CHECK(bits_of(activation_codes(bits, false)) == bits);
        for (int lowest = -254; lowest <= 0; ++lowest) {
            activation_grid grid = activation_codes(bits, false);
            if (grid.highest + lowest < 0) continue;
            grid.lowest = static_cast<std::int16_t>(lowest);
            grid.highest = static_cast<std::int16_t>(grid.highest + lowest);
            CHECK(grid.lowest - grid.center() >= -127);
            CHECK(grid.highest - grid.center() <= 127);
        }
    }
    CHECK(activation_codes(8) == activation_grid{});
    CHECK_THROWS_WITH_AS((void)activation_codes(9), "activations: expected 2 to 8 bits, found 9",
                         qtk::value_error);
}

TEST_CASE("a symmetric grid reaches the larger end") {
    activation_grid const grid = fit_activation_grid({-3.0f, 1.4f}, activation_codes(3));
    CHECK(grid == activation_grid{.scale = 1.0f, .lowest = -3, .highest = 3});
    CHECK(grid.round_trip(0.49f) == 0.0f);
    CHECK(grid.round_trip(0.51f) == 1.0f);
    CHECK(grid.round_trip(-9.0f) == -3.0f);
    CHECK(grid.round_trip(2.5f) == 2.0f);  // half to even
}

TEST_CASE("an asymmetric grid lies where the values are, and always holds zero") {
    auto const codes = activation_codes(4, false);
    CHECK(fit_activation_grid({0.0f, 30.0f}, codes) ==
          activation_grid{.scale = 2.0f, .lowest = 0, .highest = 15});
    CHECK(fit_activation_grid({3.0f, 30.0f}, codes).lowest == 0);
    CHECK(fit_activation_grid({-30.0f, -3.0f}, codes) ==
          activation_grid{.scale = 2.0f, .lowest = -15, .highest = 0});
    activation_grid const gelu = fit_activation_grid({-0.17f, 4.0f}, codes);
    CHECK(gelu.lowest == -1);
    CHECK(gelu.highest == 14);
    CHECK(gelu.round_trip(0.0f) == 0.0f);
    // A fitted grid is a template of codes as good as the one it came from.
    CHECK(fit_activation_grid({-30.0f, -3.0f}, gelu) ==
          fit_activation_grid({-30.0f, -3.0f}, codes));
}

TEST_CASE("nothing but zero has scale 1, and what is no range is refused") {
    CHECK(fit_activation_grid({}, activation_codes(8)).scale == 1.0f);
    float const huge = std::numeric_limits<float>::max();
    CHECK(std::isfinite(fit_activation_grid({-huge, huge}, activation_codes(2, false)).scale));
    CHECK_THROWS_AS((void)fit_activation_grid({1.0f, -1.0f}, {}), qtk::value_error);
    CHECK_THROWS_AS((void)fit_activation_grid({0.0f, std::nanf("")}, {}), qtk::value_error);
}
