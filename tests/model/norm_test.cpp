// SPDX-License-Identifier: Apache-2.0
#include <qtk/model/norm.hpp>
// The header under test comes first, so that it is seen to need nothing else.
#include <qtk/core/matrix.hpp>
#include <qtk/core/random.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

namespace {
qtk::matrix applied(qtk::norm const& n, std::size_t rows, std::vector<float> x) {
    qtk::matrix y(rows, n.weight.size());
    n.apply({x.data(), rows, n.weight.size()}, y.view());
    return y;
}
}  // namespace

TEST_CASE("no rows are normalized to no rows") {
    qtk::norm const n{.weight = {1.0f}, .bias = {0.0f}};
    CHECK(applied(n, 0, {}).rows() == 0);
}

TEST_CASE("layer norm of equal values is the bias") {
    qtk::norm const n{.weight = {2.0f, 3.0f}, .bias = {0.5f, -1.0f}};
    auto const y = applied(n, 1, {4.0f, 4.0f});
    CHECK(y(0, 0) == 0.5f);
    CHECK(y(0, 1) == -1.0f);
}

TEST_CASE("layer norm by hand") {
    // Mean 2, variance 1: (x - 2) / sqrt(1 + 3) = -1/2, 1/2.
    qtk::norm const n{.weight = {1.0f, 10.0f}, .bias = {0.0f, 1.0f}, .epsilon = 3.0f};
    auto const y = applied(n, 1, {1.0f, 3.0f});
    CHECK(y(0, 0) == -0.5f);
    CHECK(y(0, 1) == 6.0f);
}

TEST_CASE("RMS norm by hand") {
    // Mean of squares (9 + 7) / 2 = 8, epsilon 8: divided by 4.
    qtk::norm const n{
        .type = qtk::norm::kind::rms, .weight = {1.0f, 2.0f}, .bias = {}, .epsilon = 8.0f};
    auto const y = applied(n, 1, {3.0f, std::sqrt(7.0f)});
    CHECK(y(0, 0) == 0.75f);
    CHECK(y(0, 1) == doctest::Approx(std::sqrt(7.0) / 2.0).epsilon(2 * 0x1p-23));
}

TEST_CASE("a layer-normalized row has mean 0 and variance 1, in place too") {
    constexpr std::size_t width = 201;
    qtk::norm const n{.weight = std::vector<float>(width, 1.0f),
                      .bias = std::vector<float>(width, 0.0f),
                      .epsilon = 1e-12f};
    auto x = qtk::gaussian_vector(3 * width, 5);
    for (float& v : x) v = 100.0f + 7.0f * v;
    auto const y = applied(n, 3, x);
    qtk::matrix_view<float> const in_place(x.data(), 3, width);
    n.apply(in_place, in_place);
    for (std::size_t r = 0; r < 3; ++r) {
        double sum = 0.0, squares = 0.0;
        for (std::size_t i = 0; i < width; ++i) {
            CHECK(in_place(r, i) == y(r, i));
            sum += static_cast<double>(y(r, i));
            squares += static_cast<double>(y(r, i)) * static_cast<double>(y(r, i));
        }
        // The mean of about 100 is off by a few of its ulps, seen through the scale of 1/7.
        CHECK(std::fabs(sum / width) < 4 * 100.0 / 7.0 * 0x1p-23);
        CHECK(squares / width == doctest::Approx(1.0).epsilon(1e-5));
    }
}

TEST_CASE("RMS norm does not depend on the scale of its input") {
    qtk::norm const n{.type = qtk::norm::kind::rms,
                      .weight = std::vector<float>(33, 1.5f),
                      .bias = {},
                      .epsilon = 0.0f};
    auto const x = qtk::gaussian_vector(33, 6);
    auto scaled = x;
    for (float& v : scaled) v *= 1024.0f;
    CHECK(applied(n, 1, x) == applied(n, 1, scaled));
}

TEST_CASE("no normalization leaves rows as they are") {
    qtk::norm const none{.type = qtk::norm::kind::none, .weight = {}, .bias = {}};
    std::vector<float> x{1.0f, -2.0f, 3.0f, 4.0f}, y(4);
    none.apply(qtk::matrix_view<float const>(x.data(), 2, 2), {y.data(), 2, 2});
    CHECK(y == x);
    none.apply(qtk::matrix_view<float const>(x.data(), 2, 2), {x.data(), 2, 2});
    CHECK(y == x);
}
