// SPDX-License-Identifier: Apache-2.0
#include <qtk/eval/classification.hpp>
// The header under test comes first, so that it is seen to need nothing else.
#include <qtk/core/matrix.hpp>
#include <qtk/io/digits.hpp>

#include <doctest/doctest.h>

#include "tiny_vision.hpp"
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace {

qtk::matrix logits_of(std::vector<std::vector<float>> const& rows) {
    qtk::matrix m(rows.size(), rows[0].size());
    for (std::size_t r = 0; r < rows.size(); ++r)
        for (std::size_t c = 0; c < rows[r].size(); ++c) m(r, c) = rows[r][c];
    return m;
}
constexpr float no_number = std::numeric_limits<float>::quiet_NaN();
constexpr double rounding = 1e-12;

}  // namespace

TEST_CASE("losses and answers by hand") {
    auto const logits = logits_of({{0, 0, 0}, {1, 3, 2}, {1, 3, 2}, {1000, 0, 0}, {1000, 0, 0}});
    std::vector<std::uint16_t> const labels{0, 1, 2, 0, 1};
    auto const found = qtk::classify(logits.view(), labels);
    // Of equal logits the first counts.
    CHECK(found.is_right == std::vector<std::uint8_t>{1, 1, 0, 1, 0});
    CHECK(found.right() == 3);
    CHECK(found.accuracy() == doctest::Approx(0.6).epsilon(rounding));
    CHECK(found.losses[0] == doctest::Approx(std::log(3.0)).epsilon(rounding));
    double const log_sum = std::log(std::exp(1.0) + std::exp(2.0) + std::exp(3.0));
    CHECK(found.losses[1] == doctest::Approx(log_sum - 3.0).epsilon(rounding));
    CHECK(found.losses[2] == doctest::Approx(log_sum - 2.0).epsilon(rounding));
    CHECK(found.losses[3] == 0.0);
    CHECK(found.losses[4] == doctest::Approx(1000.0).epsilon(rounding));
    CHECK(found.mean_loss() ==
          doctest::Approx((std::log(3.0) + 2.0 * log_sum - 5.0 + 1000.0) / 5.0).epsilon(rounding));
}

TEST_CASE("a logit that is no number is never right") {
    auto const logits = logits_of({{no_number, 1, 0}, {1, no_number, 0}, {2, 1, no_number}});
    auto const found = qtk::classify(logits.view(), std::vector<std::uint16_t>{0, 0, 0});
    CHECK(found.right() == 0);
    for (double const loss : found.losses) CHECK(std::isnan(loss));
}

TEST_CASE("labels that do not fit are refused") {
    auto const logits = logits_of({{0, 1}, {1, 0}});
    CHECK_THROWS_AS((void)qtk::classify(logits.view(), std::vector<std::uint16_t>{0}),
                    qtk::shape_error);
    CHECK_THROWS_WITH_AS((void)qtk::classify(logits.view(), std::vector<std::uint16_t>{0, 2}),
                         doctest::Contains("image 1 is of class 2"), qtk::value_error);
    CHECK_THROWS_AS((void)qtk::classification{}.accuracy(), qtk::value_error);
}

TEST_CASE("the embedded networks know the digits") {
    auto const data = qtk::read_digits(qtk_test::digits::path(""), qtk::test_digits);
    auto const images = qtk::image_batch::from_bytes(
        data.bytes, {data.height, data.width, data.channels}, {.divisor = 16.0f});
    for (auto const& [name, right] : {std::pair{"resnet", 499}, std::pair{"deit", 477}}) {
        CAPTURE(name);
        auto const model = qtk::load_vision_model(
            qtk_test::digits::path(std::string(name) + "_digits.safetensors"));
        auto const found = qtk::classify(model, images, data.labels);
        CHECK(found.count() == 500);
        CHECK(found.right() == static_cast<std::size_t>(right));
        CHECK(found.mean_loss() < 0.25);
    }
}
