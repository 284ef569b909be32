// SPDX-License-Identifier: Apache-2.0
#include <qtk/kernel/row_math.hpp>
// The header under test comes first, so that it is seen to need nothing else.
#include <qtk/core/random.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

using namespace qtk::detail;

namespace {
constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float not_a_number = std::numeric_limits<float>::quiet_NaN();
constexpr double epsilon = 0x1p-23;

// Distance from the true value in units of the last place of the float nearest to it.
double ulps(float found, double truth) {
    int exponent = 0;
    std::frexp(truth, &exponent);
    return std::fabs(static_cast<double>(found) - truth) / std::ldexp(1.0, exponent - 24);
}
}  // namespace

TEST_CASE("an empty row has the sum 0 and no maximum") {
    CHECK(row_sum({}) == 0.0f);
    CHECK(row_square_sum({}) == 0.0f);
    CHECK(row_max({}) == -infinity);
    CHECK(row_exp({}, 0.0f) == 0.0f);
}

TEST_CASE("sums and maxima see every value, whatever the length") {
    for (std::size_t n = 1; n <= 50; ++n) {
        CAPTURE(n);
        std::vector<float> x(n);
        for (std::size_t i = 0; i < n; ++i) x[i] = static_cast<float>(i + 1);
        auto const count = static_cast<float>(n);
        CHECK(row_sum(x) == count * (count + 1.0f) / 2.0f);
        CHECK(row_square_sum(x) == count * (count + 1.0f) * (2.0f * count + 1.0f) / 6.0f);
        CHECK(row_max(x) == count);
        std::reverse(x.begin(), x.end());
        CHECK(row_max(x) == count);
        for (float& v : x) v = -v;
        CHECK(row_max(x) == -1.0f);
    }
}

TEST_CASE("squares are taken around the center") {
    std::vector<float> const x{1.0f, 2.0f, 4.0f};
    CHECK(row_square_sum(x, 2.0f) == 5.0f);
}

TEST_CASE("a map reaches every value once") {
    for (std::size_t n = 0; n <= 40; ++n) {
        std::vector<float> x(n, 1.0f);
        row_map(x, [](float v) { return v + 1.0f; });
        CHECK(std::count(x.begin(), x.end(), 2.0f) == static_cast<std::ptrdiff_t>(n));
    }
}

TEST_CASE("a scaled row is added to every value and to nothing beside it") {
    for (std::size_t const size : {0u, 1u, 15u, 16u, 17u, 50u}) {
        std::vector<double> y(size + 1, 2.0), x(size + 1);
        for (std::size_t i = 0; i <= size; ++i) x[i] = static_cast<double>(i);
        qtk::detail::row_add_scaled(std::span(y).first(size), -3.0, x.data());
        for (std::size_t i = 0; i < size; ++i) CHECK(y[i] == 2.0 - 3.0 * x[i]);
        CHECK(y[size] == 2.0);
    }
}

TEST_CASE("e^x is within two units of the last place") {
    CHECK(fast_exp(0.0f) == 1.0f);
    CHECK(fast_exp(-0.0f) == 1.0f);
    qtk::splitmix64 random(7);
    double worst = 0.0;
    for (int i = 0; i < 1'000'000; ++i) {
        float const x = (2.0f * qtk::half_open_unit(random()) - 1.0f) * 87.3f;
        worst = std::max(worst, ulps(fast_exp(x), std::exp(static_cast<double>(x))));
    }
    CHECK(worst < 2.0);
    // Where r changes sign and n its value, the approximation is at its edges.
    for (int n = -125; n <= 125; ++n)
        for (double const half : {0.0, 0.5}) {
            auto const x = static_cast<float>((n + half) * 0.6931471805599453);
            for (float const near : {x, std::nextafter(x, -100.0f), std::nextafter(x, 100.0f)})
                CHECK(ulps(fast_exp(near), std::exp(static_cast<double>(near))) < 2.0);
        }
}

TEST_CASE("e^x beyond its range is e^ of the nearer end, and NaN stays NaN") {
    CHECK(fast_exp(1000.0f) == fast_exp(87.3f));
    CHECK(fast_exp(infinity) == fast_exp(87.3f));
    CHECK(fast_exp(-1000.0f) == fast_exp(-87.3f));
    CHECK(fast_exp(-infinity) == fast_exp(-87.3f));
    CHECK(std::isnan(fast_exp(not_a_number)));
    CHECK(std::isnan(fast_exp(-not_a_number)));
    CHECK(fast_exp(std::numeric_limits<float>::denorm_min()) == 1.0f);
}

TEST_CASE("the scaled complement of the error function is that of the library, times e^(z^2)") {
    double worst = 0.0;
    for (float z = 0.0f; z < 9.2f; z += 0x1p-13f) {
        double const x = static_cast<double>(z), truth = std::exp(x * x) * std::erfc(x);
        worst = std::max(worst, std::fabs(static_cast<double>(fast_scaled_erfc(z)) / truth - 1.0));
    }
    CHECK(worst < 5e-7);
    CHECK(std::isnan(fast_scaled_erfc(not_a_number)));
}

TEST_CASE("the exponential of a row returns its sum") {
    auto x = qtk::gaussian_vector(1003, 3);
    auto const before = x;
    float const sum = row_exp(x, 0.25f);
    double truth = 0.0;
    for (std::size_t i = 0; i < x.size(); ++i) {
        double const e = std::exp(static_cast<double>(before[i] - 0.25f));
        CHECK(ulps(x[i], e) < 2.0);
        truth += e;
    }
    // Positive terms: one rounding a term in a lane of 1003 / 16, and 16 lanes.
    CHECK(std::fabs(static_cast<double>(sum) - truth) <= (1003.0 / 16 + 16 + 2) * epsilon * truth);
}
