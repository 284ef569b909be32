// SPDX-License-Identifier: Apache-2.0
#include <qtk/kernel/row_math.hpp>
// The header under test comes first, so that it is seen to need nothing else.
#include <qtk/core/random.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
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

TEST_CASE(
    "the tail of the normal distribution is that of erfc, for every float of some exponents") {
    CHECK(qtk::detail::normal_tail(0.0f) == 0.5f);
    auto const worst_from = [](float first, float last, std::uint32_t stride) {
        double worst = 0.0;
        for (auto bits = std::bit_cast<std::uint32_t>(first);
             bits < std::bit_cast<std::uint32_t>(last); bits += stride) {
            auto const m = std::bit_cast<float>(bits);
            double const truth = std::erfc(static_cast<double>(m) / std::sqrt(2.0)) / 2.0;
            worst = std::max(worst, ulps(qtk::detail::normal_tail(m), truth));
        }
        return worst;
    };
    CHECK(worst_from(0.5f, 1.0f, 1) < 4.0);
    CHECK(worst_from(1.0f, 2.0f, 1) < 6.0);
    CHECK(worst_from(1e-30f, 0.5f, 1009) < 4.0);
    CHECK(worst_from(2.0f, 12.9f, 31) < 6.0);
    for (float const m : {13.3f, 100.0f, 1e30f, infinity, not_a_number})
        CHECK(qtk::detail::normal_tail(m) == 0.0f);
    for (float const m : {0.3f, 1.7f, 9.0f})
        CHECK(qtk::detail::normal_tail(-m) == qtk::detail::normal_tail(m));
}

TEST_CASE("the exact GELU is that of erfc, on both sides of zero, and keeps NaN") {
    double worst = 0.0;
    for (auto bits = std::bit_cast<std::uint32_t>(1e-6f);
         bits < std::bit_cast<std::uint32_t>(12.9f); bits += 101)
        for (float const x : {std::bit_cast<float>(bits), -std::bit_cast<float>(bits)}) {
            auto const v = static_cast<double>(x);
            worst = std::max(
                worst, ulps(qtk::detail::exact_gelu(x), 0.5 * v * std::erfc(-v / std::sqrt(2.0))));
        }
    CHECK(worst < 6.0);
    CHECK(qtk::detail::exact_gelu(infinity) == infinity);
    CHECK(std::isnan(qtk::detail::exact_gelu(not_a_number)));
    CHECK(qtk::detail::exact_gelu(-50.0f) == 0.0f);
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
