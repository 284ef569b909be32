// SPDX-License-Identifier: Apache-2.0
#include <qtk/core/random.hpp>
#include <qtk/method/ranking_loss.hpp>

#include <doctest/doctest.h>

#include <limits>
#include <vector>

namespace {

qtk::matrix made(std::size_t rows, std::size_t cols, std::vector<float> const& values) {
    qtk::matrix m(rows, cols);
    for (std::size_t i = 0; i < values.size(); ++i) m.data()[i] = values[i];
    return m;
}

}  // namespace

TEST_CASE("a map without pairs has no loss") {
    CHECK(qtk::ranking_loss({}, {}, 0.1) == 0.0);
    auto const one = made(3, 1, {0.1f, 0.2f, 0.3f});
    CHECK(qtk::ranking_loss(one.view(), one.view(), 0.1) == 0.0);
}

TEST_CASE("the loss of a row of three is what the formula gives by hand") {
    auto const before = made(1, 3, {0.5f, 0.25f, 0.25f}), after = made(1, 3, {0.5f, 0.625f, 0.0f});
    // (1, 2): order kept wrongly by -0.125; (1, 3): kept by 0.5; (2, 3): equal before.
    CHECK(qtk::ranking_loss(before.view(), after.view(), 0.25) == 0.25 + 0.125 + 0.0 + 0.25);
    CHECK(qtk::ranking_loss(before.view(), after.view(), 0.0) == 0.125);
}

TEST_CASE("an order that is kept by the margin costs nothing, whatever the values") {
    auto const before = made(2, 3, {0.1f, 0.2f, 0.7f, 0.6f, 0.3f, 0.1f});
    auto const after = made(2, 3, {-5.0f, 0.0f, 9.0f, 3.0f, 2.0f, 1.0f});
    CHECK(qtk::ranking_loss(before.view(), after.view(), 1.0) == 0.0);
    CHECK(qtk::ranking_loss(before.view(), after.view(), 1.5) == 0.5 + 0.5);
}

TEST_CASE("rows add up, and pairs of different rows do not count") {
    auto const before = made(2, 2, {0.0f, 1.0f, 1.0f, 0.0f}), after = made(2, 2, {1, 0, 0, 1});
    CHECK(qtk::ranking_loss(before.view(), after.view(), 0.5) == 3.0);
}

TEST_CASE("the gradient is the difference quotient away from kinks") {
    auto const a = qtk::gaussian_vector(3 * 5, 1), b = qtk::gaussian_vector(3 * 5, 2);
    auto const before = made(3, 5, a);
    auto after = made(3, 5, b);
    qtk::matrix const g = qtk::ranking_loss_gradient(before.view(), after.view(), 0.3);
    for (std::size_t r = 0; r < 3; ++r)
        for (std::size_t c = 0; c < 5; ++c) {
            // The loss is linear between kinks; 2^-12 crosses none of these.
            float const at = after(r, c), step = 0x1p-12f;
            after(r, c) = at + step;
            double const up = qtk::ranking_loss(before.view(), after.view(), 0.3);
            double const there = static_cast<double>(after(r, c));
            after(r, c) = at - step;
            double const down = qtk::ranking_loss(before.view(), after.view(), 0.3);
            double const width = there - static_cast<double>(after(r, c));
            after(r, c) = at;
            CHECK((up - down) / width == doctest::Approx(static_cast<double>(g(r, c))));
        }
}

TEST_CASE("the correlation knows neither scale nor shift, and constants have none") {
    auto const x = made(2, 2, {1, 2, 3, 5}), y = made(2, 2, {12, 14, 16, 20});
    CHECK(qtk::output_correlation(x.view(), y.view()) == doctest::Approx(1.0));
    auto const down = made(2, 2, {-1, -2, -3, -5}), flat = made(2, 2, {4, 4, 4, 4});
    CHECK(qtk::output_correlation(x.view(), down.view()) == doctest::Approx(-1.0));
    CHECK(qtk::output_correlation(x.view(), flat.view()) == 0.0);
    CHECK(qtk::ranking_objective(0.75, 2.0, 0.25) == 0.25);
}

TEST_CASE("candidates run from alpha to beta times the step that clips nothing") {
    auto const steps = qtk::step_candidates(4.0f, 3, 8);
    REQUIRE(steps.size() == 8);
    CHECK(steps.front() == 0.5f);
    CHECK(steps.back() == doctest::Approx(1.2));
    CHECK(steps[1] - steps[0] == doctest::Approx(0.1));
    CHECK(qtk::step_candidates(4.0f, 3, 1, 1.0f, 1.0f) == std::vector{1.0f});
}

TEST_CASE("shapes that differ and ranges that make no sense are refused") {
    qtk::matrix const a(2, 2), b(2, 3);
    CHECK_THROWS_AS((void)qtk::ranking_loss(a.view(), b.view(), 0.1), qtk::shape_error);
    CHECK_THROWS_AS((void)qtk::ranking_loss_gradient(a.view(), b.view(), 0.1), qtk::shape_error);
    CHECK_THROWS_AS((void)qtk::output_correlation(a.view(), b.view()), qtk::shape_error);
    CHECK_THROWS_AS((void)qtk::step_candidates(1.0f, 4, 0), qtk::value_error);
    CHECK_THROWS_AS((void)qtk::step_candidates(1.0f, 4, 3, 1.2f, 0.5f), qtk::value_error);
    CHECK_THROWS_AS((void)qtk::step_candidates(std::numeric_limits<float>::infinity(), 4, 3),
                    qtk::value_error);
}
