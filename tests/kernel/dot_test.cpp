// SPDX-License-Identifier: Apache-2.0
#include <qtk/kernel/avx2/dot.hpp>
#include <qtk/kernel/avx512/dot.hpp>
#include <qtk/kernel/dot.hpp>

#include <doctest/doctest.h>

#include "product_cases.hpp"
#include <cmath>

namespace {

float dot_on(qtk::instruction_set isa, float const* a, float const* b, std::size_t n) {
    float sum = 0.0f;
    qtk::detail::dot_all_on(isa, {a, 1, n}, {b, 1, n}, n, &sum, 1);
    return sum;
}

}  // namespace

TEST_CASE("the empty product is zero") {
    CHECK(qtk::dot(nullptr, nullptr, 0) == 0.0f);
    for (qtk::instruction_set const isa : cases::usable_isas()) {
        CHECK(dot_on(isa, nullptr, nullptr, 0) == 0.0f);
        float untouched = 3.0f;
        qtk::detail::dot_all_on(isa, {}, {}, 5, &untouched, 1);
        CHECK(untouched == 3.0f);
    }
}

TEST_CASE("small integers are summed exactly at every length") {
    for (std::size_t const n : cases::odd_lengths) {
        CAPTURE(n);
        std::vector<float> a(n), b(n, 2.0f);
        for (std::size_t i = 0; i < n; ++i) a[i] = static_cast<float>(i + 1);
        auto const sum = static_cast<float>(n * (n + 1));  // below 2^24: exact in any order
        CHECK(qtk::dot(a.data(), b.data(), n) == sum);
        for (qtk::instruction_set const isa : cases::usable_isas())
            CHECK(dot_on(isa, a.data(), b.data(), n) == sum);
        CHECK(qtk::dot_scalar(a.data(), b.data(), n) == sum);
    }
}

TEST_CASE("all twins are within the stated bound of the sum in double precision") {
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
            float const slow = qtk::dot_scalar(a.data() + shift, b.data() + shift, n);
            for (qtk::instruction_set const isa : cases::usable_isas()) {
                float const fast = dot_on(isa, a.data() + shift, b.data() + shift, n);
                CHECK(std::fabs(static_cast<double>(fast) - sum) <= bound);
            }
            CHECK(std::fabs(static_cast<double>(slow) - sum) <= bound);
        }
}

TEST_CASE("an element of many is the same as alone, and nothing beside them is written") {
    // The second shape is cut along every axis: rows of X, panels of weights, n.
    struct shape {
        std::size_t rows, columns, n, step;
    };
    for (shape const& s : {shape{5, 41, 37, 1}, shape{270, 300, 517, 89}})
        for (qtk::instruction_set const isa : cases::usable_isas()) {
            std::size_t const stride = s.n + 4, y_stride = s.columns + 2;
            std::vector<float> const x = qtk::gaussian_vector(s.rows * stride, 3),
                                     w = qtk::gaussian_vector(s.columns * stride, 4);
            for (std::size_t m = s.rows % s.step; m <= s.rows; m += s.step)
                for (std::size_t r = s.columns % s.step; r <= s.columns; r += 4 * s.step) {
                    std::vector<float> y(s.rows * y_stride, 7.0f);
                    qtk::detail::dot_all_on(isa, {x.data(), m, stride}, {w.data(), r, stride}, s.n,
                                            y.data(), y_stride);
                    bool is_right = true;
                    for (std::size_t i = 0; i < y.size(); i += (i * 7919) % s.step + 1) {
                        std::size_t const row = i / y_stride, column = i % y_stride;
                        float const expected = row < m && column < r
                                                   ? dot_on(isa, x.data() + row * stride,
                                                            w.data() + column * stride, s.n)
                                                   : 7.0f;
                        is_right = is_right && y[i] == expected;
                    }
                    REQUIRE(is_right);
                }
        }
}
