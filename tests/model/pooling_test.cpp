// SPDX-License-Identifier: Apache-2.0
#include <qtk/model/pooling.hpp>

#include <doctest/doctest.h>

#include "naive_vision.hpp"
#include "threads.hpp"
#include "tiny_vision.hpp"
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

using qtk::image_batch, qtk::image_shape, qtk::matrix;
using qtk_test::random_images;

TEST_CASE("no images give nothing, and one pixel is its own maximum and mean") {
    CHECK(qtk::max_pool(image_batch(0, {4, 4, 2}), {2, 2, 2, 0}).count() == 0);
    CHECK(qtk::mean_of_pixels(image_batch(0, {4, 4, 2})).rows() == 0);
    auto const one = random_images(2, {1, 1, 3}, 1);
    auto const pooled = qtk::max_pool(one, {3, 3, 2, 1});
    CHECK(std::equal(one.pixels().data, one.pixels().data + 6, pooled.pixels().data));
    matrix const means = qtk::mean_of_pixels(one);
    CHECK(std::equal(one.pixels().data, one.pixels().data + 6, means.data()));
}

TEST_CASE("the largest value of each window and channel") {
    struct {
        image_shape image;
        qtk::convolution_window window;
    } const examples[] = {{{8, 8, 3}, {3, 3, 2, 1}},
                          {{7, 5, 2}, {3, 3, 2, 1}},
                          {{6, 7, 1}, {2, 3, 2, 0}},
                          {{5, 5, 2}, {2, 2, 1, 1}}};
    for (auto const& e : examples) {
        if (e.window.height != e.window.width) {
            CHECK(qtk::max_pool(random_images(1, e.image, 1), e.window).shape() ==
                  image_shape{3, 3, 1});
            continue;
        }
        auto const images = random_images(2, e.image, 3);
        auto const pooled = qtk::max_pool(images, e.window);
        for (std::size_t n = 0; n < 2; ++n) {
            auto const expected = qtk_test::max_pool(
                qtk_test::planes_of(images, n), e.window.height, e.window.stride, e.window.padding);
            CHECK(qtk_test::planes_of(pooled, n) == expected);
        }
    }
}

TEST_CASE("padding does not win over negative values") {
    image_batch images(1, {2, 2, 1});
    std::fill_n(images.pixels().data, 4, -3.0f);
    auto const pooled = qtk::max_pool(images, {3, 3, 2, 1});
    CHECK(pooled.shape() == image_shape{1, 1, 1});
    CHECK(pooled.pixels()(0, 0) == -3.0f);
}

TEST_CASE("what is no number stays, wherever it lies in a window") {
    for (std::size_t at = 0; at < 4; ++at) {
        image_batch images = random_images(1, {2, 2, 1}, 1);
        images.pixels()(at, 0) = std::numeric_limits<float>::quiet_NaN();
        CHECK(std::isnan(qtk::max_pool(images, {2, 2, 2, 0}).pixels()(0, 0)));
        CHECK(std::isnan(qtk::mean_of_pixels(images)(0, 0)));
    }
}

TEST_CASE("means by hand, image by image") {
    auto const images =
        image_batch::from_planes(std::vector<float>{1, 2, 3, 6, 10, 20, 30, 60}, {2, 2, 1});
    matrix const means = qtk::mean_of_pixels(images);
    CHECK(means(0, 0) == 3.0f);
    CHECK(means(1, 0) == 30.0f);
}

TEST_CASE("pooling does not depend on the number of threads") {
    auto const images = random_images(3, {65, 64, 8}, 1);
    qtk_test::same_for_any_threads([&] {
        auto const pooled = qtk::max_pool(images, {3, 3, 2, 1});
        matrix const means = qtk::mean_of_pixels(pooled);
        std::vector<float> all(pooled.pixels().data, pooled.pixels().data + pooled.pixels().size());
        all.insert(all.end(), means.data(), means.data() + means.view().size());
        return all;
    });
}

TEST_CASE("windows that see nothing of the image are refused") {
    auto const images = random_images(1, {4, 4, 1}, 1);
    CHECK_THROWS_WITH_AS((void)qtk::max_pool(images, {2, 2, 1, 2}),
                         "max_pool: expected a padding below the window's sides, found 2",
                         qtk::shape_error);
    CHECK_THROWS_AS((void)qtk::max_pool(images, {5, 5, 1, 0}), qtk::shape_error);
}
