// SPDX-License-Identifier: Apache-2.0
#include <qtk/model/vit_gradient.hpp>

#include <doctest/doctest.h>

#include "part_gradients.hpp"

TEST_CASE("the gradients of every part of a ViT agree with differences") {
    qtk_test::check_parts(qtk_test::load_folder(qtk_test::tiny_vit(), 2), {6, 6, 3});
}

TEST_CASE("rounded operands of attention are passed through inside their grids and stop outside") {
    qtk::vision_model model = qtk_test::load_folder(qtk_test::tiny_vit(), 2);
    qtk::image_batch const x = qtk_test::random_images(2, {10, 1, 8}, 85);
    qtk::matrix const d = qtk_test::random_matrix(20, 8, 86);
    auto const by_qkv = [&](float scale, std::int16_t highest) {
        model.for_each_attention([&](qtk::vit_attention& attention) {
            qtk::attention_rounding how;
            how.q = how.k = how.v = qtk::activation_grid{
                .scale = scale, .lowest = static_cast<std::int16_t>(-highest), .highest = highest};
            attention.set_rounding(how);
        });
        std::vector<qtk::matrix> by;
        qtk::for_each_linear_of_part(
            model, 1, [&](qtk::linear const& l) { by.emplace_back(l.out(), l.in()); });
        static_cast<void>(qtk::part_tape(model, 1, x).backward(d.view(), by));
        return by[0];
    };
    model.for_each_attention([](qtk::vit_attention& attention) { attention.set_rounding({}); });
    std::vector<qtk::matrix> exact;
    qtk::for_each_linear_of_part(
        model, 1, [&](qtk::linear const& l) { exact.emplace_back(l.out(), l.in()); });
    static_cast<void>(qtk::part_tape(model, 1, x).backward(d.view(), exact));
    qtk::matrix const fine = by_qkv(1e-3f, 32000), narrow = by_qkv(1e-6f, 100);
    float largest = 0.0f, worst = 0.0f, left = 0.0f;
    for (std::size_t k = 0; k < fine.view().size(); ++k) {
        largest = std::max(largest, std::fabs(exact[0].data()[k]));
        worst = std::max(worst, std::fabs(exact[0].data()[k] - fine.data()[k]));
        left = std::max(left, std::fabs(narrow.data()[k]));
    }
    CHECK(worst < 1e-2f * largest);
    CHECK(left == 0.0f);  // everything lies outside
}
