// SPDX-License-Identifier: Apache-2.0
#include <qtk/model/gradient_activation.hpp>

#include <doctest/doctest.h>

#include "gradients.hpp"
#include <vector>

TEST_CASE("the slope of every activation agrees with differences") {
    for (auto const kind : {qtk::activation::gelu_tanh, qtk::activation::gelu_erf,
                            qtk::activation::silu, qtk::activation::relu}) {
        std::vector<float> x{-30.0f, -4.0f, -1.3f, -0.2f, 0.1f, 0.9f, 2.5f, 20.0f};
        std::vector<float> const c{1.0f, -2.0f, 0.5f, 1.0f, 3.0f, -1.0f, 0.3f, 2.0f};
        std::vector<float> d = c;
        qtk::activation_gradient(kind, x, d);
        qtk_test::check_gradient(
            x, d,
            [&] {
                std::vector<float> y = x;
                qtk::activate(kind, y);
                return qtk_test::weighted_sum({c.data(), 1, 8}, {y.data(), 1, 8});
            },
            2e-3);
    }
}

TEST_CASE("at zero the slopes are a half, and that of relu is zero") {
    std::vector<float> const x{0.0f};
    for (auto const kind :
         {qtk::activation::gelu_tanh, qtk::activation::gelu_erf, qtk::activation::silu}) {
        std::vector<float> d{1.0f};
        qtk::activation_gradient(kind, x, d);
        CHECK(d[0] == 0.5f);
    }
    std::vector<float> d{1.0f};
    qtk::activation_gradient(qtk::activation::relu, x, d);
    CHECK(d[0] == 0.0f);
}
