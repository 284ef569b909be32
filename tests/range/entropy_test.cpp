// SPDX-License-Identifier: Apache-2.0
#include <qtk/core/random.hpp>
#include <qtk/quantizer/tile_quantizer.hpp>
#include <qtk/range/entropy.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace {
using symmetric2 = qtk::tile_quantizer<qtk::i2, qtk::origin::fixed>;
using symmetric4 = qtk::tile_quantizer<qtk::i4, qtk::origin::fixed>;
using symmetric8 = qtk::tile_quantizer<qtk::i8, qtk::origin::fixed>;
}  // namespace

TEST_CASE("empty and zero tiles have no width") {
    float const zeros[] = {0.0f, 0.0f};
    CHECK(qtk::entropy_range{}.estimate({}, symmetric8{}) == qtk::interval{});
    CHECK(qtk::entropy_range{}.estimate(zeros, symmetric8{}) == qtk::interval{});
}

TEST_CASE("a constant is kept, even where a bin is narrower than any float") {
    for (float const value :
         {3.0f, std::numeric_limits<float>::denorm_min(), std::numeric_limits<float>::max()}) {
        float const tile[] = {value, value, value}, one[] = {-value};
        CHECK(qtk::entropy_range{}.estimate(tile, symmetric8{}) == qtk::interval{0.0f, value});
        CHECK(qtk::entropy_range{}.estimate(one, symmetric8{}) == qtk::interval{-value, value});
    }
}

TEST_CASE("two cells of a histogram of four bins, by hand") {
    // Counts 4 4 4 1: the first is set to the second, so small values do not matter. With two cells
    //   i = 2   P = 4 9     / 13   Q = 4 4         / 8    KL = 0.0759
    //   i = 3   P = 4 4 5   / 13   Q = 4 4 4       / 12   KL = 0.0058
    //   i = 4   P = 4 4 4 1 / 13   Q = 4 4 2.5 2.5 / 13   KL = 0.0741
    // Without normalization the last would win, 0.96 against 1.12 for i = 3.
    std::vector<float> tile{-4.0f, 1.5f, 1.5f, 1.5f, 1.5f, 2.5f, 2.5f, 2.5f, 2.5f};
    qtk::entropy_range const four_bins{.bins = 4, .start = 2};
    CHECK(four_bins.estimate(tile, symmetric2{}) == qtk::interval{-3.0f, 3.0f});
    tile.insert(tile.end(), 7, 0.5f);
    CHECK(four_bins.estimate(tile, symmetric2{}) == qtk::interval{-3.0f, 3.0f});
    tile[0] = 4.0f;  // nothing negative: four cells for four bins, so nothing is lost
    CHECK(four_bins.estimate(tile, symmetric2{}) == qtk::interval{0.0f, 4.0f});
}

TEST_CASE("counts below one are refused, a start past the last bin keeps everything") {
    float const tile[] = {-1.0f, 2.0f};
    for (qtk::entropy_range const bad :
         {qtk::entropy_range{.bins = 0}, {.bins = -5}, {.start = 0}, {.start = -1}})
        CHECK_THROWS_AS((void)bad.estimate(tile, symmetric8{}), qtk::value_error);
    CHECK(qtk::entropy_range{.bins = 10, .start = 11}.estimate(tile, symmetric8{}) ==
          qtk::interval{-2.0f, 2.0f});
}

TEST_CASE("heavy tails are clipped more at fewer bits, the bulk is kept") {
    auto values = qtk::gaussian_vector(200'000, 1);
    float largest = 0.0f;
    for (float& x : values) {
        x = x * x * x;
        largest = std::max(largest, std::fabs(x));
    }
    auto const eight = qtk::entropy_range{}.estimate(values, symmetric8{});
    auto const four = qtk::entropy_range{}.estimate(values, symmetric4{});
    CHECK(four.highest < eight.highest);
    CHECK(eight.highest < largest);
    CHECK(four.highest > 1.0f);
    CHECK(four.lowest == -four.highest);
}

TEST_CASE("a flat distribution is kept whole") {
    std::vector<float> values;
    for (int i = 0; i < 200'000; ++i) values.push_back(static_cast<float>(i) / 200'000.0f);
    auto const range = qtk::entropy_range{}.estimate(values, symmetric8{});
    CHECK(range.lowest == 0.0f);
    CHECK(range.highest == doctest::Approx(1.0).epsilon(0.001));
}

TEST_CASE("the order of the values and their unit do not matter") {
    auto values = qtk::gaussian_vector(20'000, 2);
    auto const before = qtk::entropy_range{}.estimate(values, symmetric8{});
    std::ranges::reverse(values);
    CHECK(qtk::entropy_range{}.estimate(values, symmetric8{}) == before);
    for (float& x : values) x *= 4.0f;
    auto const scaled = qtk::entropy_range{}.estimate(values, symmetric8{});
    CHECK(scaled.highest == 4.0f * before.highest);
}

TEST_CASE("of thresholds with the same divergence the last one is taken") {
    // As many cells as bins: whatever holds all values loses nothing, with an empty bin or without.
    qtk::entropy_range const estimator{.bins = 4, .start = 1};
    CHECK(estimator.of_counts({2.0, 2.0, 2.0, 0.0}, 1.0, false, 8).highest == 4.0f);
    CHECK(estimator.of_counts({2.0, 2.0, 2.0, 0.0}, 1.0, true, 8).lowest == -4.0f);
}
