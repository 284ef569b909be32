// SPDX-License-Identifier: Apache-2.0
#include <qtk/core/random.hpp>
#include <qtk/range/minmax.hpp>

#include <doctest/doctest.h>

#include <algorithm>

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
