// SPDX-License-Identifier: Apache-2.0
#include <qtk/model/image.hpp>

#include <doctest/doctest.h>

#include <cstdint>
#include <limits>
#include <vector>

namespace {

using qtk::image_batch, qtk::image_shape, qtk::pixel_rows, qtk::matrix;

}  // namespace

TEST_CASE("a batch may hold no images, but an image has pixels and channels") {
    CHECK(image_batch(0, {2, 3, 1}).count() == 0);
    CHECK(image_batch::from_bytes({}, {2, 3, 1}).count() == 0);
    CHECK_THROWS_WITH_AS(image_batch(1, {0, 3, 1}),
                         "images: expected at least one pixel and channel, found 0 x 3 x 1",
                         qtk::shape_error);
    CHECK_THROWS_AS(image_batch(1, {2, 3, 0}), qtk::shape_error);
    CHECK_THROWS_AS((void)image_batch::from_bytes({}, {2, 0, 1}), qtk::shape_error);
    CHECK_THROWS_AS((void)image_batch::from_planes({}, {2, 3, 0}), qtk::shape_error);
}

TEST_CASE("planes become pixels with all their channels") {
    // Two images of 1 x 2 pixels with 3 channels.
    std::vector<float> const planes{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
    auto const images = image_batch::from_planes(planes, {1, 2, 3});
    CHECK(images.count() == 2);
    CHECK(images.shape() == image_shape{1, 2, 3});
    std::vector<float> const expected{1, 3, 5, 2, 4, 6, 7, 9, 11, 8, 10, 12};
    CHECK(std::vector<float>(images.pixels().data, images.pixels().data + 12) == expected);
    CHECK_THROWS_WITH_AS((void)image_batch::from_planes(planes, {1, 5, 1}),
                         "images: 12 values are not whole images of 1 x 5 x 1", qtk::shape_error);
}

TEST_CASE("bytes are divided, and channels brought to their mean and deviation") {
    std::vector<std::uint8_t> const bytes{0, 255, 51, 102};
    auto const plain = image_batch::from_bytes(bytes, {1, 1, 2});
    CHECK(plain.pixels()(0, 1) == 1.0f);
    CHECK(plain.pixels()(1, 0) == 51.0f / 255.0f);
    auto const scaled = image_batch::from_bytes(
        bytes, {1, 1, 2}, {.divisor = 2.0f, .mean = {1.0f, 3.0f}, .deviation = {4.0f, 0.5f}});
    CHECK(scaled.pixels()(0, 0) == -0.25f);
    CHECK(scaled.pixels()(1, 0) == (25.5f - 1.0f) / 4.0f);
    CHECK(scaled.pixels()(1, 1) == 96.0f);
}

TEST_CASE("a scaling that makes no sense is refused") {
    std::vector<std::uint8_t> const bytes{1, 2};
    auto const scaled = [&](qtk::pixel_scaling const& how) {
        return image_batch::from_bytes(bytes, {1, 1, 2}, how);
    };
    CHECK_THROWS_WITH_AS((void)scaled({.mean = {1.0f}}),
                         "images: expected a scaling of 2 channels, found 1", qtk::shape_error);
    CHECK_THROWS_AS((void)scaled({.deviation = {1.0f, 1.0f, 1.0f}}), qtk::shape_error);
    CHECK_THROWS_AS((void)scaled({.divisor = 0.0f}), qtk::value_error);
    CHECK_THROWS_AS((void)scaled({.deviation = {1.0f, 0.0f}}), qtk::value_error);
    CHECK_THROWS_AS((void)scaled({.divisor = std::numeric_limits<float>::quiet_NaN()}),
                    qtk::value_error);
}

TEST_CASE("a view is of whole images without gaps") {
    matrix const pixels(12, 2);
    pixel_rows const all(pixels.view(), {2, 3, 2});
    CHECK(all.count() == 2);
    CHECK_THROWS_WITH_AS(pixel_rows(pixels.view(), {2, 4, 2}),
                         "images: expected rows of whole images of 2 x 4 x 2, found [12, 2]",
                         qtk::shape_error);
    CHECK_THROWS_AS(pixel_rows(pixels.view(), {2, 3, 1}), qtk::shape_error);
    CHECK_THROWS_AS(pixel_rows(qtk::matrix_view<float const>(pixels.data(), 6, 1, 2), {2, 3, 1}),
                    qtk::shape_error);
}

TEST_CASE("a slice is some of the images, and ends where they end") {
    matrix pixels(12, 2);
    pixels(6, 1) = 5.0f;
    pixel_rows const all(pixels.view(), {2, 3, 2});
    pixel_rows const second = all.slice(1, 1);
    CHECK(second.count() == 1);
    CHECK(second.pixels()(0, 1) == 5.0f);
    CHECK(all.slice(2, 0).count() == 0);
    CHECK_THROWS_AS((void)all.slice(1, 2), qtk::shape_error);
    CHECK_THROWS_AS((void)all.slice(3, 0), qtk::shape_error);
    CHECK_THROWS_AS((void)all.slice(1, std::numeric_limits<std::size_t>::max()), qtk::shape_error);
}
