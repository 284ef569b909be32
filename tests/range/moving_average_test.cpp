// SPDX-License-Identifier: Apache-2.0
#include <qtk/range/moving_average.hpp>

#include <doctest/doctest.h>

TEST_CASE("nothing observed is no width") {
    CHECK(qtk::moving_average_range{}.current() == qtk::interval{});
}

TEST_CASE("the first tile sets the ends, later ones move them by the rate") {
    qtk::moving_average_range range(0.25f);
    float const first[] = {-1.0f, 3.0f}, second[] = {-5.0f, 7.0f};
    range.observe(first);
    CHECK(range.current() == qtk::interval{-1.0f, 3.0f});
    range.observe(second);
    CHECK(range.current() == qtk::interval{-2.0f, 4.0f});
}

TEST_CASE("estimating does not observe, and an empty tile changes nothing") {
    qtk::moving_average_range range(0.5f);
    float const first[] = {0.0f, 2.0f}, second[] = {0.0f, 4.0f};
    range.observe(first);
    CHECK(range.estimate(second) == qtk::interval{0.0f, 3.0f});
    CHECK(range.current() == qtk::interval{0.0f, 2.0f});
    range.observe({});
    CHECK(range.current() == qtk::interval{0.0f, 2.0f});
}
