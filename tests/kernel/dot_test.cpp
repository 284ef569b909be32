// SPDX-License-Identifier: Apache-2.0
#include <qtk/core/random.hpp>
#include <qtk/kernel/dot.hpp>

#include <doctest/doctest.h>

#include <cmath>

TEST_CASE("small whole numbers are summed exactly at every length") {
    std::vector<float> a, b;
    for (int i = 0; i < 300; ++i) {
        a.push_back(static_cast<float>(i % 7 - 3));
        b.push_back(static_cast<float>(i % 5 - 2));
    }
    for (std::size_t n = 0; n <= a.size(); ++n)
        REQUIRE(qtk::dot(a.data(), b.data(), n) == qtk::dot_scalar(a.data(), b.data(), n));
}

TEST_CASE("both paths stay within n 2^-23 of the sum of the magnitudes") {
    for (std::size_t const n : {1u, 17u, 1000u, 4096u}) {
        auto const a = qtk::gaussian_vector(n, 1), b = qtk::gaussian_vector(n, 2);
        double exact = 0.0, magnitudes = 0.0;
        for (std::size_t i = 0; i < n; ++i) {
            double const term = static_cast<double>(a[i]) * static_cast<double>(b[i]);
            exact += term;
            magnitudes += std::fabs(term);
        }
        double const bound = static_cast<double>(n) * 0x1p-23 * magnitudes;
        CHECK(std::fabs(static_cast<double>(qtk::dot(a.data(), b.data(), n)) - exact) <= bound);
        CHECK(std::fabs(static_cast<double>(qtk::dot_scalar(a.data(), b.data(), n)) - exact) <=
              bound);
    }
}
