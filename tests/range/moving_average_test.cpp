// SPDX-License-Identifier: Apache-2.0
#include <qtk/range/moving_average.hpp>

#include <doctest/doctest.h>

#include <limits>

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

TEST_CASE("a rate that is no share is refused") {
    for (float const rate : {0.0f, -0.1f, 1.5f, std::numeric_limits<float>::quiet_NaN()})
        CHECK_THROWS_AS((void)qtk::moving_average_range(rate), qtk::value_error);
}

TEST_CASE("at rate one only the newest tile counts") {
    qtk::moving_average_range range(1.0f);
    float const first[] = {-1.0f, 3.0f}, second[] = {0.1f, 0.7f};
    range.observe(first);
    range.observe(second);
    CHECK(range.current() == qtk::interval{0.1f, 0.7f});
}

TEST_CASE("the distance to tiles that stay the same halves with every one at rate one half") {
    qtk::moving_average_range range(0.5f);
    float const zero[] = {0.0f}, same[] = {-8.0f, 16.0f};
    range.observe(zero);
    float left = 1.0f;
    for (int i = 0; i < 20; ++i) {
        range.observe(same);
        left *= 0.5f;
        CHECK(range.current() == qtk::interval{-8.0f * (1.0f - left), 16.0f * (1.0f - left)});
    }
}

TEST_CASE("the ends of the float range average to something finite") {
    constexpr float largest = std::numeric_limits<float>::max();
    qtk::moving_average_range range(0.5f);
    float const low[] = {-largest}, high[] = {largest};
    range.observe(low);
    range.observe(high);
    CHECK(range.current() == qtk::interval{0.0f, 0.0f});
}

TEST_CASE("a tile of zeros is an observation too") {
    qtk::moving_average_range range(0.25f);
    float const zeros[] = {0.0f, 0.0f}, later[] = {-4.0f, 4.0f};
    range.observe(zeros);
    range.observe(later);
    CHECK(range.current() == qtk::interval{-1.0f, 1.0f});
}
