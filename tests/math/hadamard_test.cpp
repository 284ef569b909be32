// SPDX-License-Identifier: Apache-2.0
#include <qtk/math/hadamard.hpp>
// The header under test comes first, so that it is seen to need nothing else.
#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <vector>

namespace {

using qtk::hadamard, qtk::hadamard_shape;

double square_sum(std::vector<float> const& x) {
    double sum = 0.0;
    for (float const v : x) sum += static_cast<double>(v) * static_cast<double>(v);
    return sum;
}

// log2(n) additions and one product a value.
double bound(std::vector<float> const& x) {
    return 2.0 * (std::log2(static_cast<double>(x.size())) + 12.0) * 0x1p-24 *
           std::sqrt(square_sum(x));
}

void check_close(std::vector<float> const& a, std::vector<float> const& b, double tolerance) {
    REQUIRE(a.size() == b.size());
    double worst = 0.0;
    for (std::size_t i = 0; i < a.size(); ++i)
        worst = std::max(worst, std::fabs(static_cast<double>(a[i]) - static_cast<double>(b[i])));
    CHECK(worst <= tolerance);
}

}  // namespace

TEST_CASE("one value stays, two become their sum and difference over the root of two") {
    std::vector<float> one{3.0f};
    qtk::walsh_hadamard(one);
    CHECK(one[0] == 3.0f);
    std::vector<float> two{1.0f, 2.0f};
    qtk::walsh_hadamard(two);
    CHECK(two[0] == 3.0f * (1.0f / std::sqrt(2.0f)));
    CHECK(two[1] == -(1.0f / std::sqrt(2.0f)));
}

TEST_CASE("entry (i, j) of Sylvester's matrix is -1 to the number of ones that i and j share") {
    for (std::size_t n = 1; n <= 256; n *= 2)
        for (std::size_t i = 0; i < n; ++i) {
            std::vector<float> row(n);
            row[i] = std::sqrt(static_cast<float>(n));
            qtk::walsh_hadamard(row);
            std::vector<float> expected(n);
            for (std::size_t j = 0; j < n; ++j)
                expected[j] = std::popcount(i & j) % 2 == 0 ? 1.0f : -1.0f;
            check_close(row, expected, 0x1p-22);
        }
}

TEST_CASE("shapes: one block where there is a matrix, else powers of two") {
    auto const of = qtk::hadamard_shape_of;
    CHECK(of(1) == hadamard_shape{});
    CHECK(of(64) == hadamard_shape{.power = 64});
    CHECK(of(12) == hadamard_shape{.paley_order = 12});
    CHECK(of(40) == hadamard_shape{.paley_order = 20, .power = 2});
    CHECK(of(28) == hadamard_shape{.paley_order = 28});
    CHECK(of(6) == hadamard_shape{.power = 2, .blocks = 3});
    CHECK(of(7) == hadamard_shape{.power = 1, .blocks = 7});
    CHECK(of(5632) == hadamard_shape{.paley_order = 44, .power = 128});
    // 4 * 13 has no matrix, 8 * 13 has one.
    CHECK(of(104) == hadamard_shape{.paley_order = 104});
    CHECK(of(52) == hadamard_shape{.power = 4, .blocks = 13});
}

TEST_CASE("rotating keeps lengths, and the inverse gives the row back") {
    for (std::size_t const size :
         {1u, 2u, 7u, 12u, 24u, 52u, 64u, 192u, 448u, 768u, 1376u, 4096u}) {
        CAPTURE(size);
        hadamard const rotation(size, 5);
        CHECK(rotation.size() == size);
        std::vector<float> const x = qtk::gaussian_vector(size, size);
        std::vector<float> y = x;
        rotation.apply(y);
        CHECK(square_sum(y) == doctest::Approx(square_sum(x)).epsilon(1e-6));
        if (size > 7) CHECK(y != x);
        rotation.apply_inverse(y);
        check_close(y, x, bound(x));
    }
}

TEST_CASE("rows that are rotated have the products that they had") {
    for (std::size_t const size : {24u, 192u, 448u}) {
        hadamard const rotation(size, 9);
        std::vector<float> a = qtk::gaussian_vector(size, 1), b = qtk::gaussian_vector(size, 2);
        auto const product = [&] {
            double sum = 0.0;
            for (std::size_t i = 0; i < size; ++i)
                sum += static_cast<double>(a[i]) * static_cast<double>(b[i]);
            return sum;
        };
        double const before = product();
        rotation.apply(a);
        rotation.apply(b);
        CHECK(std::fabs(product() - before) <= 1e-6 * static_cast<double>(size));
    }
}

TEST_CASE("an outlier is spread evenly over its block") {
    for (std::size_t const size : {64u, 192u, 6u}) {
        hadamard const rotation(size, 3);
        std::vector<float> x(size);
        x[1] = 8.0f;
        rotation.apply(x);
        float const block = static_cast<float>(rotation.shape().block());
        for (std::size_t i = 0; i < rotation.shape().block(); ++i)
            CHECK(std::fabs(x[i]) == doctest::Approx(8.0f / std::sqrt(block)));
    }
}

TEST_CASE("signs come from the seed alone, and none means plus") {
    std::vector<float> a(64), b(64), c(64), plain(64);
    a[5] = b[5] = c[5] = plain[5] = 1.0f;
    hadamard(64, 1).apply(a);
    hadamard(64, 1).apply(b);
    hadamard(64).apply(plain);
    std::vector<float> expected(64);
    expected[5] = 1.0f;
    qtk::walsh_hadamard(expected);
    CHECK(a == b);
    CHECK(plain == expected);
    // The signs of 64 values all agree for one of 2^64 seeds.
    std::vector<float> ones(64, 1.0f), flipped(64, 1.0f);
    hadamard(64).apply(ones);
    hadamard(64, 1).apply(flipped);
    CHECK(ones[0] == 8.0f);
    CHECK(flipped[0] != 8.0f);
    CHECK(hadamard(64).bytes() == 0);
    CHECK(hadamard(64, 1).bytes() == 64 * sizeof(float));
    CHECK(hadamard(12).bytes() == 144 * sizeof(float));
}

TEST_CASE("blocks of the caller's choice stand beside each other") {
    hadamard const rotation(hadamard_shape{.power = 4, .blocks = 2});
    std::vector<float> x{1.0f, 0.0f, 0.0f, 0.0f, 0.0f, 2.0f, 0.0f, 0.0f};
    rotation.apply(x);
    CHECK(x == std::vector<float>{0.5f, 0.5f, 0.5f, 0.5f, 1.0f, -1.0f, 1.0f, -1.0f});
}
