// SPDX-License-Identifier: Apache-2.0
#include <qtk/model/gradient_convolution.hpp>

#include <doctest/doctest.h>

#include "correlated.hpp"
#include "gradients.hpp"
#include "threads.hpp"
#include "tiny_vision.hpp"

namespace {

using qtk_test::random_images;
using qtk_test::random_matrix;

void check_window(qtk::convolution_window const& window, qtk::image_shape shape,
                  std::size_t count) {
    std::size_t const channels = shape.channels, cols = window.height * window.width * channels;
    qtk::convolution layer(qtk::linear("conv", random_matrix(4, cols, 5)), window, channels);
    qtk::image_batch images = random_images(count, shape, 6);
    qtk::image_batch const y = layer.made_of(images);
    qtk::matrix const d = random_matrix(y.pixels().rows, 4, 7);
    qtk::matrix by_weight(4, cols), by_images(images.pixels().rows, channels);
    qtk::add_convolution_gradient(layer, images, d.view(), by_weight.view(), by_images.view());
    auto const loss = [&] {
        return qtk_test::weighted_sum(d.view(), layer.made_of(images).pixels());
    };
    qtk_test::check_gradient(images.pixels().flat(), by_images.view().flat(), loss);
    qtk::matrix weight = layer.layer().weight();
    qtk_test::check_gradient(weight.view().flat(), by_weight.view().flat(), [&] {
        layer.layer().set_weight(weight);
        return loss();
    });
}

}  // namespace

TEST_CASE("the gradients of a convolution agree with differences, whatever its window") {
    check_window({.height = 3, .width = 3, .stride = 1, .padding = 1}, {5, 4, 2}, 2);
    check_window({.height = 3, .width = 3, .stride = 2, .padding = 1}, {6, 5, 2}, 2);
    check_window({.height = 1, .width = 1, .stride = 1, .padding = 0}, {3, 4, 3}, 2);
    check_window({.height = 1, .width = 1, .stride = 2, .padding = 0}, {4, 4, 3}, 2);
    check_window({.height = 2, .width = 2, .stride = 2, .padding = 0}, {4, 6, 1}, 3);
    check_window({.height = 5, .width = 3, .stride = 1, .padding = 3}, {2, 3, 1},
                 1);  // windows of zeros alone
}

TEST_CASE("windows laid back are the transpose of windows laid out, over more than one tile") {
    qtk::convolution_window const window{.height = 3, .width = 3, .stride = 1, .padding = 1};
    qtk::image_shape const shape{70, 70, 16};
    qtk::convolution const layer(qtk::linear("conv", random_matrix(2, 144, 8)), window, 16);
    REQUIRE(2 * shape.pixels() > layer.rows_of_a_tile());
    qtk::image_batch const images = random_images(2, shape, 9);
    qtk::matrix const d = random_matrix(2 * shape.pixels(), 2, 10);
    qtk::matrix by_weight(2, 144), by_images(images.pixels().rows, 16);
    qtk::add_convolution_gradient(layer, images, d.view(), by_weight.view(), by_images.view());
    // y is linear in the images, and in the weight: <d, y> = <by_images, images> = <by_weight, weight>.
    double const along = qtk_test::weighted_sum(d.view(), layer.made_of(images).pixels());
    CHECK(qtk_test::weighted_sum(by_images.view(), images.pixels()) ==
          doctest::Approx(along).epsilon(1e-4));
    CHECK(qtk_test::weighted_sum(by_weight.view(), layer.layer().weight().view()) ==
          doctest::Approx(along).epsilon(1e-4));
}

TEST_CASE("the images' gradient is left alone where nobody asks for it, the weight's too") {
    qtk::convolution const layer(qtk::linear("conv", random_matrix(3, 18, 11)),
                                 {.height = 3, .width = 3, .stride = 1, .padding = 1}, 2);
    qtk::image_batch const images = random_images(2, {4, 4, 2}, 12);
    qtk::matrix const d = random_matrix(32, 3, 13);
    qtk::matrix both(3, 18), alone(3, 18), by_images(32, 2), by_images_alone(32, 2);
    qtk::add_convolution_gradient(layer, images, d.view(), both.view(), by_images.view());
    qtk::add_convolution_gradient(layer, images, d.view(), alone.view(), {});
    qtk::add_convolution_gradient(layer, images, d.view(), {}, by_images_alone.view());
    CHECK(both == alone);
    CHECK(by_images == by_images_alone);
}

TEST_CASE("the gradients of a convolution do not depend on the number of threads") {
    qtk::convolution const layer(qtk::linear("conv", random_matrix(8, 72, 14)),
                                 {.height = 3, .width = 3, .stride = 1, .padding = 1}, 8);
    qtk::image_batch const images = random_images(4, {16, 16, 8}, 15);
    qtk::matrix const d = random_matrix(1024, 8, 16);
    qtk_test::same_for_any_threads([&] {
        qtk::matrix by_images(1024, 8);
        qtk::add_convolution_gradient(layer, images, d.view(), {}, by_images.view());
        return by_images;
    });
}
