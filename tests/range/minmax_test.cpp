// SPDX-License-Identifier: Apache-2.0
#include <qtk/core/random.hpp>
#include <qtk/range/minmax.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

TEST_CASE("an empty tile has no width") {
    CHECK(qtk::minmax_range{}.estimate({}) == qtk::interval{});
}

TEST_CASE("one value is both ends") {
    float const tile[] = {-2.5f};
    CHECK(qtk::minmax_range{}.estimate(tile) == qtk::interval{-2.5f, -2.5f});
}

TEST_CASE("the ends are found wherever they lie, at every length") {
    for (std::size_t n = 1; n < 70; ++n) {
        auto const values = qtk::gaussian_vector(n, n);
        auto const [low, high] = std::ranges::minmax(values);
        CHECK(qtk::minmax_range{}.estimate(values) == qtk::interval{low, high});
    }
}

TEST_CASE("a constant is both ends, one outlier is found in every place") {
    for (std::size_t place = 0; place < 37; ++place) {
        std::vector<float> tile(37, 0.25f);
        CHECK(qtk::minmax_range{}.estimate(tile) == qtk::interval{0.25f, 0.25f});
        tile[place] = -7.0f;
        CHECK(qtk::minmax_range{}.estimate(tile) == qtk::interval{-7.0f, 0.25f});
        tile[place] = 7.0f;
        CHECK(qtk::minmax_range{}.estimate(tile) == qtk::interval{0.25f, 7.0f});
    }
}

TEST_CASE("the order of the values does not matter") {
    auto values = qtk::gaussian_vector(1001, 3);
    auto const before = qtk::minmax_range{}.estimate(values);
    std::ranges::sort(values);
    CHECK(qtk::minmax_range{}.estimate(values) == before);
    std::ranges::reverse(values);
    CHECK(qtk::minmax_range{}.estimate(values) == before);
}
