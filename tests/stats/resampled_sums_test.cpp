// SPDX-License-Identifier: Apache-2.0
#include <qtk/stats/resampled_sums.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

namespace {
std::vector<std::vector<double>> const before{{1.0, 2.0, 3.0}, {5.0, 7.0}};
std::vector<std::vector<double>> const after{{1.5, 2.0, 4.0}, {5.0, 8.0}};
}  // namespace

TEST_CASE("sums of resamples give the interval of the stratified bootstrap with the same seed") {
    qtk::bootstrap_options const how{.resamples = 500, .seed = 7};
    qtk::resampling const draws({3, 2}, how);
    auto const sums = draws.sums(before);
    CHECK(sums.whole == std::vector<double>{6.0, 12.0});
    qtk::resampled_figure ratio{sums.whole[0] / sums.whole[1], {}};
    for (auto const& drawn : sums.resamples) ratio.resamples.push_back(drawn[0] / drawn[1]);
    auto const direct = qtk::stratified_bootstrap(
        before, [](qtk::strata_view drawn) { return qtk::sum(drawn[0]) / qtk::sum(drawn[1]); },
        how);
    CHECK(ratio.interval() == direct);
    CHECK(direct.low < direct.high);
}

TEST_CASE("two sums are of the same draws") {
    qtk::resampling const draws({3, 2}, {.resamples = 300, .seed = 1});
    auto const a = draws.sums(before), b = draws.sums(after);
    for (std::size_t r = 0; r < 300; ++r) {
        // Of {1, 2, 3} and {1.5, 2, 4}: the difference is 0.5 for each first and 1 for each third.
        double const ones = b.resamples[r][1] - a.resamples[r][1];
        CHECK(ones == std::floor(ones));  // 1 for each 7 that became 8
        CHECK(a.resamples[r][0] <= b.resamples[r][0]);
    }
}

TEST_CASE("a probability by resamples is never 0, and is small where all are on one side") {
    qtk::resampled_figure const above{1.0, {0.5, 1.0, 2.0}}, mixed{1.0, {-1.0, 0.0, 2.0}};
    CHECK(above.p_above_zero() == doctest::Approx(0.25));
    CHECK(mixed.p_above_zero() == doctest::Approx(0.75));
}

TEST_CASE("strata of other sizes are refused") {
    qtk::resampling const draws({3, 2});
    CHECK_THROWS_AS(static_cast<void>(draws.sums(std::vector<std::vector<double>>{{1.0, 2.0}})),
                    qtk::shape_error);
    CHECK_THROWS_AS(
        static_cast<void>(draws.sums(std::vector<std::vector<double>>{{1.0, 2.0}, {1.0, 2.0}})),
        qtk::shape_error);
    CHECK_THROWS_AS(qtk::resampling({3, 0}), qtk::value_error);
}
