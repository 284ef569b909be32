// SPDX-License-Identifier: Apache-2.0
#include <qtk/core/random.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <random>

static_assert(std::uniform_random_bit_generator<qtk::splitmix64>);
static_assert(qtk::open_unit(0) == 0x1p-54 && qtk::open_unit(~std::uint64_t{0}) == 1.0 - 0x1p-53,
              "open at both ends");
static_assert(qtk::half_open_unit(0) == 0.0f &&
              qtk::half_open_unit(~std::uint64_t{0}) == 1.0f - 0x1p-24f);

TEST_CASE("the stream of seed 1234567 is the published one") {
    qtk::splitmix64 random(1234567);
    for (std::uint64_t const expected :
         {6457827717110365317u, 3203168211198807973u, 9817491932198370423u, 4593380528125082431u,
          16408922859458223821u})
        CHECK(random() == expected);
}

TEST_CASE("any word of a stream is reached without those before it") {
    qtk::splitmix64 random(99);
    for (std::uint64_t i = 0; i < 100; ++i) CHECK(qtk::word_at(99, i) == random());
}

TEST_CASE("the reference vector starts with its known values") {
    auto const values = qtk::gaussian_vector(4, 42);
    std::array<double, 4> const expected{0.41471976, 0.652681231, -0.891886234, 1.32683361};
    for (std::size_t i = 0; i < 4; ++i) {
        // Nine digits, and one unit in the last place for another mathematical library.
        double const tolerance = std::fabs(expected[i]) * 0x1p-23;
        CHECK(std::fabs(double{values[i]} - expected[i]) <= tolerance);
    }
}

TEST_CASE("a vector of any length is the start of a longer one") {
    CHECK(qtk::gaussian_vector(0, 42).empty());
    auto const longer = qtk::gaussian_vector(8, 42);
    for (std::size_t n = 1; n < 8; ++n) {
        auto const values = qtk::gaussian_vector(n, 42);
        CHECK(values.size() == n);
        CHECK(std::equal(values.begin(), values.end(), longer.begin()));
    }
}

TEST_CASE("the vector has the moments of the normal distribution") {
    std::size_t constexpr n = 1 << 16;
    double sum = 0.0, squares = 0.0;
    for (float const x : qtk::gaussian_vector(n, 7)) {
        sum += double{x};
        squares += double{x} * double{x};
    }
    // Five standard errors: 1/sqrt(n) of the mean, sqrt(2/n) of the variance.
    CHECK(std::fabs(sum / n) < 5.0 / std::sqrt(n));
    CHECK(std::fabs(squares / n - 1.0) < 5.0 * std::sqrt(2.0 / n));
}

TEST_CASE("an index below one is zero, and indices stay below their bound") {
    qtk::splitmix64 random(1);
    for (int i = 0; i < 100; ++i) CHECK(qtk::uniform_index(random, 1) == 0);
    for (std::uint64_t const n : {std::uint64_t{2}, std::uint64_t{3}, std::uint64_t{1000},
                                  (std::uint64_t{1} << 63) + 1, ~std::uint64_t{0}})
        for (int i = 0; i < 1000; ++i) CHECK(qtk::uniform_index(random, n) < n);
}

TEST_CASE("indices are equally likely") {
    qtk::splitmix64 random(5);
    std::array<int, 10> seen{};
    int constexpr draws = 100000;
    for (int i = 0; i < draws; ++i) ++seen[qtk::uniform_index(random, 10)];
    // Five standard deviations of a binomial count.
    double const expected = draws / 10.0, deviation = std::sqrt(draws * 0.1 * 0.9);
    for (int const count : seen) CHECK(std::fabs(count - expected) < 5.0 * deviation);
}

TEST_CASE("a word that would bias the index is drawn again") {
    // For n = 3 the multiples 3 * word leave the rest 2^64 mod 3 = 1 over: word 0 is rejected.
    struct counted {
        std::uint64_t next = 0;
        std::uint64_t operator()() { return next++ == 0 ? 0 : ~std::uint64_t{0}; }
    } words;
    CHECK(qtk::uniform_index(words, 3) == 2);
    CHECK(words.next == 2);
}
