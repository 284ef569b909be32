// SPDX-License-Identifier: Apache-2.0
#include <qtk/format/dynamic_map.hpp>

#include <doctest/doctest.h>

#include <cmath>

TEST_CASE("the dynamic levels are 127 pairs around zero, and one") {
    for (std::size_t i = 0; i < 127; ++i) {
        CHECK(qtk::dynamic_levels[i] == -qtk::dynamic_levels[254 - i]);
        CHECK(qtk::dynamic_levels[i] < qtk::dynamic_levels[i + 1]);
    }
    CHECK(qtk::dynamic_levels[127] == 0.0f);
    CHECK(qtk::dynamic_levels[254] == 0.99296875f);
    // One cell from 1e-7 to 1e-6, two from 1e-6 to 1e-5.
    CHECK(qtk::dynamic_levels[128] == doctest::Approx(0.55e-6));
    CHECK(qtk::dynamic_levels[129] == doctest::Approx(0.325e-5));
    CHECK(qtk::dynamic_levels[130] == doctest::Approx(0.775e-5));
}

TEST_CASE("every level has its own field, and every value the nearest one") {
    for (std::size_t i = 0; i < 256; ++i)
        CHECK(qtk::nearest_dynamic_field(qtk::dynamic_levels[i]) == i);
    for (int k = -1100; k <= 1100; ++k) {
        float const v = static_cast<float>(k) / 1000.0f;
        float const found = std::abs(qtk::dynamic_levels[qtk::nearest_dynamic_field(v)] - v);
        for (float const level : qtk::dynamic_levels) CHECK(found <= std::abs(level - v));
    }
}
