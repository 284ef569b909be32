// SPDX-License-Identifier: Apache-2.0
#include <qtk/kernel/dot.hpp>

#include <doctest/doctest.h>

#include "cases.hpp"
#include <cmath>

TEST_CASE("the empty product is zero") {
    CHECK(qtk::dot(nullptr, nullptr, 0) == 0.0f);
    float untouched = 3.0f;
    qtk::dot_all({}, {}, 5, &untouched, 1);
    CHECK(untouched == 3.0f);
}

TEST_CASE("small integers are summed exactly at every length") {
    for (std::size_t const n : cases::odd_lengths) {
        CAPTURE(n);
        std::vector<float> a(n), b(n, 2.0f);
        for (std::size_t i = 0; i < n; ++i) a[i] = static_cast<float>(i + 1);
        auto const sum = static_cast<float>(n * (n + 1));  // below 2^24: exact in any order
        CHECK(qtk::dot(a.data(), b.data(), n) == sum);
        CHECK(qtk::dot_scalar(a.data(), b.data(), n) == sum);
    }
}

TEST_CASE("both twins are within the stated bound of the sum in double precision") {
    for (std::size_t const n : cases::odd_lengths)
        for (std::size_t shift = 0; shift < 4; ++shift) {
            CAPTURE(n);
            std::vector<float> const a = qtk::gaussian_vector(n + shift, 1),
                                     b = qtk::gaussian_vector(n + shift, 2);
            double sum = 0.0, magnitude = 0.0;
            for (std::size_t i = shift; i < n + shift; ++i) {
                double const product = static_cast<double>(a[i]) * static_cast<double>(b[i]);
                sum += product;
                magnitude += std::fabs(product);
            }
            double const bound = static_cast<double>(n) * 0x1p-23 * magnitude;
            float const fast = qtk::dot(a.data() + shift, b.data() + shift, n);
            float const slow = qtk::dot_scalar(a.data() + shift, b.data() + shift, n);
            CHECK(std::fabs(static_cast<double>(fast) - sum) <= bound);
            CHECK(std::fabs(static_cast<double>(slow) - sum) <= bound);
        }
}

TEST_CASE("an element of many is the same as alone, and nothing beside them is written") {
    std::size_t const n = 37, stride = 41;
    std::vector<float> const x = qtk::gaussian_vector(5 * stride, 3),
                             w = qtk::gaussian_vector(11 * stride, 4);
    for (std::size_t m = 0; m <= 5; ++m)
        for (std::size_t r = 0; r <= 11; ++r) {
            std::vector<float> y(5 * 13, 7.0f);
            qtk::dot_all({x.data(), m, stride}, {w.data(), r, stride}, n, y.data(), 13);
            for (std::size_t i = 0; i < 5; ++i)
                for (std::size_t j = 0; j < 13; ++j) {
                    bool const is_written = i < m && j < r;
                    float const expected =
                        is_written ? qtk::dot(x.data() + i * stride, w.data() + j * stride, n)
                                   : 7.0f;
                    REQUIRE(y[i * 13 + j] == expected);
                }
        }
}
