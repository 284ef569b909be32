// SPDX-License-Identifier: Apache-2.0
#include <qtk/stats/bootstrap.hpp>
// The header under test comes first, so that it is seen to need nothing else.
#include <qtk/core/random.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <span>
#include <vector>

namespace {

using strata = std::vector<std::vector<double>>;

std::vector<double> uniform_sample(std::size_t n, std::uint64_t seed) {
    qtk::splitmix64 random(seed);
    std::vector<double> values(n);
    for (double& value : values) value = qtk::open_unit(random());
    return values;
}

double mean_of_means(qtk::strata_view sample) {
    double sum = 0.0;
    for (auto const& one : sample) sum += qtk::mean(one);
    return sum / static_cast<double>(sample.size());
}

/// In how many of 1000 samples of n the 95 % interval holds the true mean, 1/2.
int covered(std::size_t n) {
    int hits = 0;
    for (std::uint64_t trial = 0; trial < 1000; ++trial) {
        auto const [value, low, high] = qtk::bootstrap(
            uniform_sample(n, qtk::mix64(trial)), qtk::mean, {.resamples = 400, .seed = trial});
        hits += low <= 0.5 && 0.5 <= high;
    }
    return hits;
}

}  // namespace

TEST_CASE("there is nothing to draw from nothing") {
    CHECK_THROWS_AS((void)qtk::bootstrap({}, qtk::mean), qtk::value_error);
    CHECK_THROWS_AS((void)qtk::stratified_bootstrap({}, mean_of_means), qtk::value_error);
    CHECK_THROWS_WITH_AS((void)qtk::stratified_bootstrap(strata{{1.0}, {}}, mean_of_means),
                         doctest::Contains("stratum 1"), qtk::value_error);
}

TEST_CASE("options that make no interval are refused") {
    double const values[] = {1, 2};
    CHECK_THROWS_WITH_AS((void)qtk::bootstrap(values, qtk::mean, {.resamples = 0}),
                         doctest::Contains("resamples"), qtk::value_error);
    for (double const level : {0.0, 1.0, 95.0, std::numeric_limits<double>::quiet_NaN()})
        CHECK_THROWS_WITH_AS((void)qtk::bootstrap(values, qtk::mean, {.level = level}),
                             doctest::Contains("0.95"), qtk::value_error);
}

TEST_CASE("one window or equal windows have no width") {
    double const one[] = {2.5}, equal[] = {4, 4, 4};
    CHECK(qtk::bootstrap(one, qtk::mean) == qtk::interval_estimate{2.5, 2.5, 2.5});
    CHECK(qtk::bootstrap(equal, qtk::mean) == qtk::interval_estimate{4, 4, 4});
}

TEST_CASE("the mean of two values has three outcomes") {
    // 0, 1/2, 1 with probabilities 1/4, 1/2, 1/4.
    double const coin[] = {0, 1};
    CHECK(qtk::bootstrap(coin, qtk::mean, {.level = 0.4}) == qtk::interval_estimate{0.5, 0.5, 0.5});
    CHECK(qtk::bootstrap(coin, qtk::mean, {.level = 0.6}) == qtk::interval_estimate{0.5, 0, 1});
}

TEST_CASE("a resample draws what its own generator says") {
    std::vector<double> const values = uniform_sample(9, 1);
    // One resample: both ends are its figure.
    auto const [value, low, high] = qtk::bootstrap(values, qtk::mean, {.resamples = 1, .seed = 42});
    qtk::splitmix64 random(qtk::word_at(42, 0));
    double expected = 0.0;
    for (std::size_t i = 0; i < 9; ++i) expected += values[qtk::uniform_index(random, 9)];
    CHECK(low == doctest::Approx(expected / 9).epsilon(1e-14));
    CHECK(low == high);
    CHECK(value == qtk::mean(values));
}

TEST_CASE("a seed decides the interval, another gives another") {
    std::vector<double> const values = uniform_sample(30, 2);
    auto const first = qtk::bootstrap(values, qtk::mean, {.resamples = 500, .seed = 5});
    CHECK(qtk::bootstrap(values, qtk::mean, {.resamples = 500, .seed = 5}) == first);
    CHECK(qtk::bootstrap(values, qtk::mean, {.resamples = 500, .seed = 6}) != first);
}

TEST_CASE("a higher level is never narrower") {
    std::vector<double> const values = uniform_sample(20, 3);
    double low = 1.0, high = 0.0;
    for (double const level : {0.5, 0.8, 0.9, 0.95, 0.99}) {
        auto const wider = qtk::bootstrap(values, qtk::mean, {.resamples = 999, .level = level});
        CHECK(wider.low <= low);
        CHECK(wider.high >= high);
        low = wider.low;
        high = wider.high;
    }
}

TEST_CASE("the interval has the width that theory gives the mean of many values") {
    // The mean of n uniform values scatters by sqrt(1 / 12 n): 2 x 1.96 of it for 95 %. The
    // sample's own spread is used; 10000 resamples fix a percentile to about 2 % of the width.
    std::vector<double> const values = uniform_sample(400, 4);
    auto const [value, low, high] = qtk::bootstrap(values, qtk::mean);
    double const expected = 2 * 1.959964 * qtk::standard_deviation(values) / std::sqrt(400.0);
    CHECK(std::fabs((high - low) / expected - 1.0) < 0.04);
    CHECK(std::fabs((low + high) / 2 - value) < 0.02 * expected);
}

TEST_CASE("a 95 % interval holds the truth as often as is known of it") {
    // Percentile intervals of a mean are too narrow by sqrt((n - 1) / n) and by the use of normal
    // instead of t tails: 90 % at 8 windows, close to nominal at 40. The binomial scatter of
    // 1000 trials is 0.7 to 0.9 %.
    CHECK(covered(8) == 895);
    CHECK(covered(40) == 934);
}

TEST_CASE("windows are drawn within their stratum") {
    // Values differ only between strata, so no draw can change the figure.
    strata const languages{{1, 1, 1}, {5, 5}, {9, 9, 9, 9}};
    CHECK(qtk::stratified_bootstrap(languages, mean_of_means, {.resamples = 200}) ==
          qtk::interval_estimate{5, 5, 5});
}

TEST_CASE("the perplexity over languages is the geometric mean of each one's") {
    strata const losses{{std::log(2.0), std::log(8.0)}, {std::log(9.0)}};
    CHECK(qtk::geometric_mean_perplexity{}(losses) == doctest::Approx(6.0).epsilon(1e-14));
    auto const [value, low, high] =
        qtk::stratified_bootstrap(losses, qtk::geometric_mean_perplexity{});
    CHECK(value == doctest::Approx(6.0).epsilon(1e-14));
    CHECK(low == doctest::Approx(std::sqrt(2.0 * 9.0)).epsilon(1e-14));
    CHECK(high == doctest::Approx(std::sqrt(8.0 * 9.0)).epsilon(1e-14));
}

TEST_CASE("pairs must be of the same windows") {
    strata const two{{1, 2}, {3, 4}}, one{{1, 2}}, ragged{{1, 2}, {3}};
    CHECK_THROWS_WITH_AS((void)qtk::paired_bootstrap(two, one, mean_of_means, std::minus{}),
                         doctest::Contains("2 strata against 1"), qtk::shape_error);
    CHECK_THROWS_WITH_AS((void)qtk::paired_bootstrap(two, ragged, mean_of_means, std::minus{}),
                         doctest::Contains("stratum 1"), qtk::shape_error);
    CHECK_THROWS_AS((void)qtk::paired_bootstrap({}, {}, mean_of_means, std::minus{}),
                    qtk::value_error);
}

TEST_CASE("what the windows have in common cancels") {
    // b is a plus a tenth in every window: the windows differ widely, the difference not at all.
    strata a{uniform_sample(8, 5), uniform_sample(12, 6)}, b = a;
    for (auto& language : b)
        for (double& loss : language) loss += 0.125;
    auto const [value, low, high] = qtk::paired_bootstrap(b, a, mean_of_means, std::minus{});
    double const rounding = 32 * std::numeric_limits<double>::epsilon();
    CHECK(value == doctest::Approx(0.125).epsilon(rounding));
    CHECK(low == doctest::Approx(0.125).epsilon(rounding));
    CHECK(high == doctest::Approx(0.125).epsilon(rounding));
    auto const ratio =
        qtk::paired_bootstrap(b, a, qtk::geometric_mean_perplexity{}, std::divides{});
    CHECK(ratio.low == doctest::Approx(std::exp(0.125)).epsilon(rounding));
    CHECK(ratio.high == doctest::Approx(std::exp(0.125)).epsilon(rounding));
}

TEST_CASE("the sign of a paired difference follows the order") {
    strata const a{uniform_sample(10, 7)}, b{uniform_sample(10, 8)};
    auto const forth = qtk::paired_bootstrap(a, b, mean_of_means, std::minus{});
    auto const back = qtk::paired_bootstrap(b, a, mean_of_means, std::minus{});
    CHECK(forth.value == -back.value);
    // The same resamples, mirrored; quantiles of the mirror meet up to their interpolation.
    double const rounding = 8 * std::numeric_limits<double>::epsilon();
    CHECK(std::fabs(forth.low + back.high) <= rounding);
    CHECK(std::fabs(forth.high + back.low) <= rounding);
}
