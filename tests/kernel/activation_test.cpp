// SPDX-License-Identifier: Apache-2.0
#include <qtk/kernel/activation.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace {

using qtk::activation;

constexpr activation kinds[] = {activation::gelu_tanh, activation::gelu_erf, activation::silu,
                                activation::relu};

float activated(activation kind, float x) {
    qtk::activate(kind, {&x, 1});
    return x;
}

// The published formulae, in double precision.
double formula(activation kind, double x) {
    switch (kind) {
        case activation::gelu_tanh:
            return 0.5 * x * (1.0 + std::tanh(std::sqrt(2.0 / M_PI) * (x + 0.044715 * x * x * x)));
        case activation::gelu_erf:
            return 0.5 * x * (1.0 + std::erf(x / std::sqrt(2.0)));
        case activation::silu:
            return x / (1.0 + std::exp(-x));
        case activation::relu:
            return std::max(x, 0.0);
    }
    return 0.0;
}

}  // namespace

TEST_CASE("nothing is activated to nothing, zero to zero") {
    for (activation const kind : kinds) {
        qtk::activate(kind, {});
        CHECK(activated(kind, 0.0f) == 0.0f);
    }
}

TEST_CASE("activations follow their formulae") {
    for (activation const kind : kinds) {
        CAPTURE(static_cast<int>(kind));
        for (float x = -12.0f; x <= 12.0f; x += 0.01171875f) {
            double const truth = formula(kind, static_cast<double>(x));
            // The exponent z has an error of a few ulp of |z| <= 90, and e^z passes it on.
            double const bound = 100.0 * 0x1p-24 * std::fabs(truth) + 0x1p-24 * 1e-3;
            CAPTURE(x);
            CHECK(std::fabs(static_cast<double>(activated(kind, x)) - truth) <= bound);
        }
    }
}

TEST_CASE("far from zero an activation is the identity or nothing") {
    for (activation const kind : kinds) {
        CHECK(activated(kind, 100.0f) == 100.0f);
        CHECK(std::fabs(activated(kind, -100.0f)) < 1e-30f);
        CHECK(activated(kind, 1e30f) == 1e30f);
    }
}

TEST_CASE("NaN stays NaN") {
    for (activation const kind : kinds)
        CHECK(std::isnan(activated(kind, std::numeric_limits<float>::quiet_NaN())));
}

TEST_CASE("a value does not depend on its place in the row") {
    for (activation const kind : kinds) {
        std::vector<float> row(37, 0.7f);
        qtk::activate(kind, row);
        for (float const v : row) CHECK(v == row[0]);
    }
}
