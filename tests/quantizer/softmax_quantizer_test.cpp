// SPDX-License-Identifier: Apache-2.0
#include <qtk/core/random.hpp>
#include <qtk/quantizer/softmax_quantizer.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

namespace {

// A softmax of 64 normal scores, five rows of them: most of it is small.
std::vector<float> probabilities() {
    auto all = qtk::gaussian_vector(5 * 64, 9);
    for (std::size_t row = 0; row < 5; ++row) {
        double sum = 0.0;
        for (std::size_t i = 0; i < 64; ++i)
            sum += std::exp(2.0 * static_cast<double>(all[row * 64 + i]));
        for (std::size_t i = 0; i < 64; ++i) {
            float& x = all[row * 64 + i];
            x = static_cast<float>(std::exp(2.0 * static_cast<double>(x)) / sum);
        }
    }
    return all;
}

}  // namespace

TEST_CASE("zero, one and what is outside of them have codes") {
    qtk::log2_quantizer const log(4);
    CHECK(log.encode(1.0f) == 0);
    CHECK(log.encode(7.0f) == 0);
    CHECK_FALSE(log.encode(0.0f).has_value());
    CHECK_FALSE(log.encode(-1.0f).has_value());
    CHECK_FALSE(log.encode(1e-30f).has_value());
    qtk::twin_quantizer const twin(4, 3);
    CHECK(twin.round_trip(0.0f) == 0.0f);
    CHECK(twin.round_trip(1.0f) == 1.0f);
    CHECK(twin.round_trip(7.0f) == 1.0f);
    CHECK(twin.round_trip(-1.0f) == 0.0f);
}

TEST_CASE("log2 rounds the inverse where the linear scale says, not the exponent") {
    qtk::log2_quantizer const q(4);
    // 1/3: the inverse 3 is half of 2 above 2, so 1/4; 1/5 still is 1/4, 1/6 is 1/8.
    CHECK(q.round_trip(1.0f / 3.0f) == 0.25f);
    CHECK(q.round_trip(0.2f) == 0.25f);
    CHECK(q.round_trip(1.0f / 6.0f) == 0.125f);
    // The inverse becomes a whole number first: 1.45 is 1, 1.54 is 2.
    CHECK(q.round_trip(0.69f) == 1.0f);
    CHECK(q.round_trip(0.65f) == 0.5f);
}

TEST_CASE("log2 keeps powers of two down to the last code, then nothing") {
    for (int const bits : {1, 2, 3, 4, 5}) {
        qtk::log2_quantizer const q(bits);
        CHECK(q.largest_code() == (1 << bits) - 1);
        for (int code = 0; code <= q.largest_code(); ++code) {
            float const x = std::ldexp(1.0f, -code);
            CHECK(q.encode(x) == code);
            CHECK(q.round_trip(x) == x);
        }
        CHECK(q.round_trip(std::ldexp(1.0f, -q.largest_code() - 1)) == 0.0f);
    }
}

TEST_CASE("a code that is decoded and encoded again stays, in both") {
    qtk::log2_quantizer const log(4);
    for (float const x : probabilities())
        CHECK(log.round_trip(log.round_trip(x)) == log.round_trip(x));
    for (int const split : {0, 2, 5, 19}) {
        qtk::twin_quantizer const twin(5, split);
        for (float const x : probabilities()) {
            float const once = twin.round_trip(x);
            // The top of the fine grid is sigma, which belongs to the coarse one.
            if (once < twin.sigma() || x >= twin.sigma())
                CHECK(twin.round_trip(once) == doctest::Approx(once));
        }
    }
}

TEST_CASE("twin steps are 1 / (Q - 1) above sigma and sigma / (Q - 1) below") {
    qtk::twin_quantizer const q(4, 2);  // Q = 8, sigma = 1/4
    CHECK(q.sigma() == 0.25f);
    CHECK(q.step(0.25f) == 1.0f / 7.0f);
    CHECK(q.step(0.2f) == 0.25f / 7.0f);
    CHECK(q.encode(0.25f) == 8 + 2);  // 1.75 steps
    CHECK(q.encode(0.2f) == 6);       // 5.6 steps
    CHECK(q.encode(0.249f) == 7);
    CHECK(q.decode(8 + 3) == 3.0f * (1.0f / 7.0f));
    CHECK(q.decode(6) == 6.0f * (0.25f / 7.0f));
    CHECK(q.encode(1.0f) == 15);
}

TEST_CASE("twin errors are at most half a step of the grid") {
    for (int const split : {0, 1, 4, 10}) {
        qtk::twin_quantizer const q(6, split);
        for (float const x : probabilities())
            // Half a step, and the rounding of a product of two floats below one.
            CHECK(std::fabs(q.round_trip(x) - x) <= 0.5f * q.step(x) + 0x1p-23f * x);
    }
}

TEST_CASE("the split that is found is no worse than any other") {
    auto const all = probabilities();
    auto const error = [&](qtk::twin_quantizer const& q) {
        double sum = 0.0;
        for (float const x : all) sum += std::pow(static_cast<double>(q.round_trip(x) - x), 2);
        return sum;
    };
    auto const best = qtk::fit_twin(all, 4);
    for (int split = 0; split < 20; ++split)
        CHECK(error(best) <= error(qtk::twin_quantizer(4, split)));
    CHECK(best.sigma() < 1.0f);
    CHECK(qtk::fit_twin({}, 4).sigma() == 1.0f);
}

TEST_CASE("bits and splits that make no grid are refused") {
    for (int const bits : {0, 6}) CHECK_THROWS_AS(qtk::log2_quantizer{bits}, qtk::value_error);
    for (int const bits : {2, 9}) CHECK_THROWS_AS(qtk::twin_quantizer(bits, 3), qtk::value_error);
    for (int const split : {-1, 20})
        CHECK_THROWS_AS(qtk::twin_quantizer(4, split), qtk::value_error);
}
