// SPDX-License-Identifier: Apache-2.0
#include <qtk/core/random.hpp>
#include <qtk/quantizer/tile_quantizer.hpp>
#include <qtk/range/mse.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace {

using symmetric2 = qtk::tile_quantizer<qtk::i2, qtk::origin::fixed>;
using symmetric3 = qtk::tile_quantizer<qtk::i3, qtk::origin::fixed>;
using asymmetric4 = qtk::tile_quantizer<qtk::i4, qtk::origin::floating>;

template <typename Q>
double error(std::span<float const> tile, qtk::interval range, double norm) {
    Q const q;
    auto const p = q.fit(range);
    double sum = 0.0;
    for (float const x : tile)
        sum += std::pow(static_cast<double>(std::fabs(x - q.decode(q.encode(x, p), p))), norm);
    return sum;
}

}  // namespace

TEST_CASE("empty, zero and single values keep their min-max interval") {
    float const zeros[] = {0.0f, 0.0f}, one[] = {3.0f};
    CHECK(qtk::mse_range{}.estimate({}, symmetric3{}) == qtk::interval{});
    CHECK(qtk::mse_range{}.estimate(zeros, symmetric3{}) == qtk::interval{});
    CHECK(qtk::mse_range{}.estimate(one, symmetric3{}) == qtk::interval{3.0f, 3.0f});
}

TEST_CASE("ten halves and a one in two bits, by hand") {
    // The only levels are -s, 0, s. Below s = 1 the halves become s, so the norm n is
    // 10 (s - 1/2)^n + (1 - s)^n: least at s = 6/11 for n = 2 and at s = 0.581 for n = 2.4, where
    // the rare one weighs more.
    std::vector<float> tile(11, 0.5f);
    tile[4] = 1.0f;
    auto const shrunk = [](float steps) {
        return qtk::interval{0.5f * (1.0f - steps / 100.0f), 1.0f - steps / 100.0f};
    };
    CHECK(qtk::mse_range{}.estimate(tile, symmetric2{}) == shrunk(45.0f));
    CHECK(qtk::mse_range{.norm = 2.4f}.estimate(tile, symmetric2{}) == shrunk(42.0f));
    // The wider grid of 20 has steps of 0.05; one step is min-max.
    CHECK(qtk::mse_range{.grid = 20, .steps = 16}.estimate(tile, symmetric2{}).highest ==
          1.0f - 9.0f / 20.0f);
    CHECK(qtk::mse_range{.steps = 1}.estimate(tile, symmetric2{}) == qtk::interval{0.5f, 1.0f});
}

TEST_CASE("a search that makes no sense is refused") {
    float const tile[] = {1.0f};
    for (qtk::mse_range const bad : {qtk::mse_range{.norm = 0.0f},
                                     {.norm = -2.0f},
                                     {.grid = 0},
                                     {.steps = 0},
                                     {.grid = 10, .steps = 11}})
        CHECK_THROWS_AS((void)bad.estimate(tile, symmetric3{}), qtk::value_error);
}

TEST_CASE("the order of the values does not matter") {
    auto tile = qtk::gaussian_vector(300, 4);
    auto const before = qtk::mse_range{}.estimate(tile, symmetric3{});
    std::ranges::sort(tile);
    CHECK(qtk::mse_range{}.estimate(tile, symmetric3{}) == before);
}

TEST_CASE("never worse than min-max in its own norm, and better on Gaussian rows") {
    for (float const norm : {2.0f, 2.4f})
        for (std::uint64_t seed = 1; seed < 6; ++seed) {
            auto const tile = qtk::gaussian_vector(512, seed);
            auto const whole = qtk::minmax_range{}.estimate(tile);
            qtk::mse_range const search{.norm = norm};
            auto const n = static_cast<double>(norm);
            CHECK(error<symmetric3>(tile, search.estimate(tile, symmetric3{}), n) <
                  error<symmetric3>(tile, whole, n));
            CHECK(error<asymmetric4>(tile, search.estimate(tile, asymmetric4{}), n) <=
                  error<asymmetric4>(tile, whole, n));
        }
}

TEST_CASE("the step it finds is the best of its grid") {
    auto const tile = qtk::gaussian_vector(256, 9);
    auto const whole = qtk::minmax_range{}.estimate(tile);
    double const found =
        error<symmetric3>(tile, qtk::mse_range{}.estimate(tile, symmetric3{}), 2.0);
    for (int i = 0; i < 80; ++i) {
        float const shrink = 1.0f - static_cast<float>(i) / 100.0f;
        CHECK(found <=
              error<symmetric3>(tile, {whole.lowest * shrink, whole.highest * shrink}, 2.0));
    }
}
