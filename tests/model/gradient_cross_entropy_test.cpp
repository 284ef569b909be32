// SPDX-License-Identifier: Apache-2.0
#include <qtk/model/gradient_cross_entropy.hpp>

#include <doctest/doctest.h>

#include "gradients.hpp"
#include <vector>

TEST_CASE(
    "the gradient of the cross-entropy agrees with differences, and the loss with its formula") {
    std::vector<float> scores{1.0f, -2.0f, 0.5f, 3.0f};
    auto const loss = [&] {
        double sum = 0.0;
        for (float const s : scores) sum += std::exp(static_cast<double>(s));
        return 3.0 * (std::log(sum) - static_cast<double>(scores[2]));
    };
    std::vector<float> by = scores;
    double const found = qtk::cross_entropy_gradient(by, 2, 3.0f);
    CHECK(3.0 * found == doctest::Approx(loss()).epsilon(1e-6));
    qtk_test::check_gradient(scores, by, loss, 1e-3);
}
