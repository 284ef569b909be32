// SPDX-License-Identifier: Apache-2.0
#include <qtk/core/random.hpp>
#include <qtk/quantizer/tile_quantizer.hpp>
#include <qtk/range/mse.hpp>

#include <doctest/doctest.h>

namespace {

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
