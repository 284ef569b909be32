// SPDX-License-Identifier: Apache-2.0
#include <qtk/core/random.hpp>
#include <qtk/range/minmax.hpp>
#include <qtk/range/percentile.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <numeric>

TEST_CASE("an empty tile has no width") {
    CHECK(qtk::percentile_range{}.estimate({}) == qtk::interval{});
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
    CHECK_THROWS_AS((void)qtk::percentile_range{.keep = 0.0f}.estimate(tile), qtk::value_error);
    CHECK_THROWS_AS((void)qtk::percentile_range{.keep = 1.5f}.estimate(tile), qtk::value_error);
}
