// SPDX-License-Identifier: Apache-2.0
#include <qtk/model/gradient_pooling.hpp>
#include <qtk/model/pooling.hpp>

#include <doctest/doctest.h>

#include "correlated.hpp"
#include "gradients.hpp"
#include "tiny_vision.hpp"

TEST_CASE("the gradient of a max pool goes to the largest pixel of every window") {
    for (qtk::convolution_window const window :
         {qtk::convolution_window{.height = 3, .width = 3, .stride = 2, .padding = 1},
          qtk::convolution_window{.height = 2, .width = 2, .stride = 2, .padding = 0}}) {
        qtk::image_batch images = qtk_test::random_images(2, {6, 6, 2}, 31);
        qtk::matrix const d = qtk_test::random_matrix(2 * window.over({6, 6, 2}).pixels(), 2, 32);
        qtk::matrix const by = qtk::max_pool_gradient(images, window, d.view());
        qtk_test::check_gradient(
            images.pixels().flat(), by.view().flat(),
            [&] {
                return qtk_test::weighted_sum(d.view(), qtk::max_pool(images, window).pixels());
            },
            5e-3, 1e-3f);
    }
}

TEST_CASE("of equal pixels the first one has the gradient, once") {
    qtk::image_batch const images(1, {2, 2, 1});
    qtk::matrix d(1, 1);
    d(0, 0) = 3.0f;
    qtk::matrix const by =
        qtk::max_pool_gradient(images, {.height = 2, .width = 2, .stride = 2}, d.view());
    CHECK(by(0, 0) == 3.0f);
    CHECK(by(1, 0) + by(2, 0) + by(3, 0) == 0.0f);
}

TEST_CASE("the gradient of a mean goes to all pixels alike") {
    qtk::image_batch images = qtk_test::random_images(3, {2, 3, 4}, 33);
    qtk::matrix const d = qtk_test::random_matrix(3, 4, 34);
    qtk_test::check_gradient(
        images.pixels().flat(), qtk::mean_of_pixels_gradient({2, 3, 4}, d.view()).view().flat(),
        [&] { return qtk_test::weighted_sum(d.view(), qtk::mean_of_pixels(images).view()); });
}
