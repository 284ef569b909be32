// SPDX-License-Identifier: Apache-2.0
#include <qtk/core/random.hpp>
#include <qtk/range/minmax.hpp>
#include <qtk/range/percentile.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <limits>
#include <numeric>
#include <vector>

TEST_CASE("an empty tile has no width") {
    CHECK(qtk::percentile_range{}.estimate({}) == qtk::interval{});
}

TEST_CASE("one value and constants are both ends at every share") {
    float const one[] = {-2.5f}, same[] = {0.5f, 0.5f, 0.5f};
    for (float const keep : {1e-6f, 0.5f, 0.999f, 1.0f}) {
        CHECK(qtk::percentile_range{.keep = keep}.estimate(one) == qtk::interval{-2.5f, -2.5f});
        CHECK(qtk::percentile_range{.keep = keep}.estimate(same) == qtk::interval{0.5f, 0.5f});
    }
}

TEST_CASE("keeping everything is min-max") {
    auto const values = qtk::gaussian_vector(1000, 1);
    CHECK(qtk::percentile_range{.keep = 1.0f}.estimate(values) ==
          qtk::minmax_range{}.estimate(values));
}

TEST_CASE("the middle of 0..100 by rank, in any order") {
    std::vector<float> values(101);
    std::iota(values.begin(), values.end(), 0.0f);
    std::ranges::reverse(values);
    std::swap(values[3], values[77]);
    CHECK(qtk::percentile_range{.keep = 0.9f}.estimate(values) == qtk::interval{5.0f, 95.0f});
    CHECK(qtk::percentile_range{.keep = 0.98f}.estimate(values) == qtk::interval{1.0f, 99.0f});
}

TEST_CASE("a share that is none is refused") {
    float const tile[] = {1.0f};
    for (float const keep : {0.0f, -0.5f, 1.5f, std::numeric_limits<float>::quiet_NaN()})
        CHECK_THROWS_AS((void)qtk::percentile_range{.keep = keep}.estimate(tile), qtk::value_error);
}

TEST_CASE("outliers are let go, the share is kept, and the tile stays as it is") {
    auto values = qtk::gaussian_vector(10'000, 2);
    values[17] = 1e6f;
    values[4711] = -1e6f;
    auto const before = values;
    auto outer = qtk::minmax_range{}.estimate(values);
    for (float const keep : {0.999f, 0.99f, 0.9f, 0.5f}) {
        auto const range = qtk::percentile_range{.keep = keep}.estimate(values);
        CHECK(range.lowest > outer.lowest);
        CHECK(range.highest < outer.highest);
        auto const inside = std::ranges::count_if(
            values, [&](float x) { return range.lowest <= x && x <= range.highest; });
        // Whole ranks are dropped at each end, so a little more than the share may stay.
        CHECK(static_cast<double>(inside) >= static_cast<double>(keep) * 10'000.0 - 0.01);
        CHECK(static_cast<double>(inside) <= static_cast<double>(keep) * 10'000.0 + 2.01);
        outer = range;
    }
    CHECK(values == before);
}
