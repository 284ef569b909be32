// SPDX-License-Identifier: Apache-2.0
#include <qtk/core/random.hpp>
#include <qtk/quantizer/tile_quantizer.hpp>
#include <qtk/range/entropy.hpp>

#include <doctest/doctest.h>

namespace {
using symmetric4 = qtk::tile_quantizer<qtk::i4, qtk::origin::fixed>;
using symmetric8 = qtk::tile_quantizer<qtk::i8, qtk::origin::fixed>;
}  // namespace

TEST_CASE("empty and zero tiles have no width") {
    float const zeros[] = {0.0f, 0.0f};
    CHECK(qtk::entropy_range{}.estimate({}, symmetric8{}) == qtk::interval{});
    CHECK(qtk::entropy_range{}.estimate(zeros, symmetric8{}) == qtk::interval{});
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
