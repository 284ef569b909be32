// SPDX-License-Identifier: Apache-2.0
#include <qtk/method/adam.hpp>

#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <vector>

TEST_CASE("the first step has the length of the rate, whatever the size of the gradient") {
    for (float const g : {1e-3f, 1.0f, 1e4f}) {
        qtk::adam optimizer(2, {.rate = 0.25f});
        std::array<float, 2> x{1.0f, 1.0f};
        optimizer.step(x, std::array{g, -g});
        CHECK(x[0] == doctest::Approx(0.75f).epsilon(1e-4));
        CHECK(x[1] == doctest::Approx(1.25f).epsilon(1e-4));
    }
}

TEST_CASE("two steps are what the formula gives by hand") {
    qtk::adam optimizer(1, {.rate = 0.1f});
    std::array<float, 1> x{0.0f};
    optimizer.step(x, std::array{1.0f});
    optimizer.step(x, std::array{-0.5f});
    double const m = 0.9 * 0.1 + 0.1 * -0.5, v = 0.999 * 0.001 + 0.001 * 0.25;
    double const second = 0.1 * (m / (1 - 0.81)) / std::sqrt(v / (1 - 0.999 * 0.999));
    CHECK(static_cast<double>(x[0]) == doctest::Approx(-0.1 - second).epsilon(1e-5));
}

TEST_CASE("a parameter without a gradient stays where it is") {
    qtk::adam optimizer(2);
    std::array<float, 2> x{3.0f, -2.0f};
    optimizer.step(x, std::array{0.0f, 0.0f});
    CHECK(x == std::array{3.0f, -2.0f});
}

TEST_CASE("parts that are updated one by one are the whole") {
    qtk::adam whole(5, {.rate = 0.01f}), parts(5, {.rate = 0.01f});
    std::vector<float> x{1, 2, 3, 4, 5}, y = x;
    for (int i = 0; i < 7; ++i) {
        std::vector<float> const g{0.5f, -1.0f, static_cast<float>(i), 0.1f, -0.2f};
        whole.step(x, g);
        parts.advance();
        parts.update(2, std::span(y).subspan(2), std::span(g).subspan(2));
        parts.update(0, std::span(y).first(2), std::span(g).first(2));
    }
    CHECK(x == y);
}

TEST_CASE("the least of a parabola is found") {
    qtk::adam optimizer(1, {.rate = 0.05f});
    std::array<float, 1> x{2.0f};
    for (int i = 0; i < 500; ++i) optimizer.step(x, std::array{2.0f * (x[0] + 1.0f)});
    CHECK(x[0] == doctest::Approx(-1.0f).epsilon(1e-2));
}
