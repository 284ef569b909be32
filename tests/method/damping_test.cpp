// SPDX-License-Identifier: Apache-2.0
#include <qtk/method/damping.hpp>
// The header under test comes first, so that it is seen to need nothing else.

#include <doctest/doctest.h>

TEST_CASE("damping adds a fraction of the mean diagonal, in the order asked for") {
    qtk::matrix h(2, 2);
    h(0, 0) = 6.0f, h(0, 1) = h(1, 0) = 1.0f, h(1, 1) = 2.0f;
    auto const [r, report] = qtk::damped_factor(h.view(), 0.5f, {1, 0});
    CHECK(report.succeeded);
    CHECK(report.tried == std::vector<float>{0.5f});
    // [2+2, 1; 1, 6+2] = R R^T
    CHECK(r(1, 1) * r(1, 1) == doctest::Approx(8.0));
    CHECK(r(0, 1) * r(1, 1) == doctest::Approx(1.0));
    CHECK(r(0, 0) * r(0, 0) + r(0, 1) * r(0, 1) == doctest::Approx(4.0));
}

TEST_CASE("dead columns are counted and get a diagonal of their own") {
    qtk::matrix h(3, 3);
    h(1, 1) = 3.0f;
    auto const [r, report] = qtk::damped_factor(h.view(), 0.0f);
    CHECK(report.succeeded);
    CHECK(report.dead_columns == 2);
    CHECK(r(0, 0) == 1.0f);
    CHECK(r(2, 2) == 1.0f);
}

TEST_CASE("the ladder climbs by half powers of ten and ends at one") {
    qtk::matrix h(2, 2);
    h(0, 0) = h(1, 1) = 1.0f, h(0, 1) = h(1, 0) = 1.5f;
    auto const [r, report] = qtk::damped_factor(h.view(), 0.01f);
    CHECK(report.succeeded);  // 1 + 1 > 1.5
    CHECK(qtk::detail::fractions_text(report.tried) == "0.01, 0.0316228, 0.1, 0.316228, 1");
    h(0, 1) = h(1, 0) = 9.0f;
    CHECK_FALSE(qtk::damped_factor(h.view(), 0.01f).second.succeeded);
    CHECK(qtk::damped_factor(h.view(), 8.5f)
              .second.succeeded);  // one's own choice is tried, however large
}
