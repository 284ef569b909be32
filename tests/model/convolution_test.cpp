// SPDX-License-Identifier: Apache-2.0
#include <qtk/model/convolution.hpp>
// The header under test comes first, so that it is seen to need nothing else.
#include <qtk/quantize_any.hpp>

#include <doctest/doctest.h>

#include "naive_vision.hpp"
#include "threads.hpp"
#include "tiny_vision.hpp"
#include <cmath>
#include <string>
#include <vector>

namespace {

using qtk::convolution, qtk::convolution_window, qtk::image_shape, qtk::matrix;
using qtk_test::random_images;

struct example {
    image_shape image;
    std::size_t out;
    convolution_window window;
};

qtk_test::float_tensor filters_for(example const& e) {
    std::vector<std::uint64_t> const shape{e.out, e.image.channels, e.window.height,
                                           e.window.width};
    return {shape, qtk::gaussian_vector(shape[0] * shape[1] * shape[2] * shape[3], 7)};
}

convolution made(example const& e, std::vector<float> bias = {}) {
    return {qtk::linear("conv",
                        qtk::filters_as_rows(filters_for(e).values, e.out, e.image.channels,
                                             e.window.height, e.window.width),
                        std::move(bias)),
            e.window, e.image.channels};
}

// Every shape that is odd in its own way: sides that differ, strides that leave pixels over, padding as wide as
// the window's reach and wider, windows larger than the image.
std::vector<example> const examples{{{5, 4, 3}, 2, {3, 3, 1, 1}}, {{5, 4, 3}, 2, {3, 3, 2, 1}},
                                    {{9, 8, 2}, 3, {7, 7, 2, 3}}, {{4, 6, 3}, 5, {2, 2, 2, 0}},
                                    {{5, 5, 4}, 6, {1, 1, 1, 0}}, {{5, 4, 4}, 6, {1, 1, 2, 0}},
                                    {{1, 1, 2}, 2, {3, 3, 1, 1}}, {{2, 1, 1}, 1, {5, 5, 1, 4}},
                                    {{3, 7, 1}, 2, {3, 3, 3, 0}}, {{2, 2, 1}, 1, {1, 1, 1, 2}}};

}  // namespace

TEST_CASE("no images give no output") {
    auto const y = made(examples[0]).made_of(qtk::image_batch(0, examples[0].image));
    CHECK(y.count() == 0);
    CHECK(y.shape() == image_shape{5, 4, 2});
}

TEST_CASE("a window of ones sums its neighbours, and zeros lie around the image") {
    qtk::image_batch image(1, {2, 2, 1});
    for (std::size_t i = 0; i < 4; ++i)
        image.pixels()(i, 0) = static_cast<float>(std::size_t{1} << i);
    convolution const sum(
        qtk::linear("sum", qtk::filters_as_rows(std::vector<float>(4, 1.0f), 1, 1, 2, 2)),
        {.height = 2, .width = 2, .stride = 1, .padding = 1}, 1);
    auto const y = sum.made_of(image);
    CHECK(y.shape() == image_shape{3, 3, 1});
    CHECK(std::vector<float>(y.pixels().data, y.pixels().data + 9) ==
          std::vector<float>{1, 3, 2, 5, 15, 10, 4, 12, 8});
}

TEST_CASE("columns of a window are rows of pixels with all their channels, and filters follow") {
    // Filter value = 100 c + 10 i + j.
    std::vector<float> filters;
    for (int c = 0; c < 2; ++c)
        for (int i = 0; i < 2; ++i)
            for (int j = 0; j < 3; ++j) filters.push_back(static_cast<float>(100 * c + 10 * i + j));
    matrix const weight = qtk::filters_as_rows(filters, 1, 2, 2, 3);
    CHECK(std::vector<float>(weight.data(), weight.data() + 12) ==
          std::vector<float>{0, 100, 1, 101, 2, 102, 10, 110, 11, 111, 12, 112});
    CHECK_THROWS_WITH_AS((void)qtk::filters_as_rows(filters, 1, 2, 3, 3),
                         "filters: expected 18 values, found 12", qtk::shape_error);
    auto const images = random_images(1, {3, 4, 2}, 1);
    matrix windows(4, 12);
    qtk::lay_out_windows(images, {.height = 2, .width = 3}, 0, windows.view());
    for (std::size_t r = 0; r < 4; ++r)
        for (std::size_t k = 0; k < 12; ++k)
            CHECK(windows(r, k) == images.pixels()((r / 2 + k / 6) * 4 + r % 2 + k % 6 / 2, k % 2));
}

TEST_CASE("a convolution gives what seven loops give") {
    for (example const& e : examples) {
        CAPTURE(qtk::to_string(e.image));
        CAPTURE(e.window.height);
        CAPTURE(e.window.stride);
        auto const images = random_images(3, e.image, 5);
        auto const bias = qtk::gaussian_vector(e.out, 6);
        auto const y = made(e, bias).made_of(images);
        for (std::size_t n = 0; n < 3; ++n) {
            auto const expected = qtk_test::convolution(
                filters_for(e), qtk_test::planes_of(images, n), e.window.stride, e.window.padding);
            REQUIRE(y.shape() == image_shape{expected[0].size(), expected[0][0].size(), e.out});
            // Sums of up to 98 products below 16 each, and most of them far below.
            for (std::size_t o = 0; o < e.out; ++o)
                for (std::size_t p = 0; p < y.shape().pixels(); ++p)
                    CHECK(std::fabs(static_cast<double>(y.pixels()(n * y.shape().pixels() + p, o)) -
                                    expected[o][p / y.shape().width][p % y.shape().width] -
                                    static_cast<double>(bias[o])) <= 98 * 98 * 16 * 0x1p-24);
        }
    }
}

TEST_CASE("sums are added to what is there, and negative ones become zero after that") {
    example const& e = examples[1];
    auto const images = random_images(2, e.image, 5);
    convolution const layer = made(e);
    auto const sums = layer.made_of(images);
    auto const before = random_images(2, sums.shape(), 8);
    auto added = before;
    layer.apply(images, added.pixels(), {.adds = true, .is_relu = true});
    auto const rectified = layer.made_of(images, {.is_relu = true});
    bool is_something_cut = false;
    for (std::size_t i = 0; i < sums.pixels().size(); ++i) {
        float const sum = sums.pixels().data[i], start = before.pixels().data[i];
        CHECK(rectified.pixels().data[i] == std::max(sum, 0.0f));
        // One sum starts at zero, the other at what is there: 27 roundings of values below 64.
        CHECK(std::fabs(added.pixels().data[i] - std::max(sum + start, 0.0f)) <=
              28 * 64 * 0x1p-24f);
        is_something_cut = is_something_cut || sum < 0.0f;
    }
    CHECK(is_something_cut);
}

TEST_CASE("tiles of many windows are seen one after the other, and make one image") {
    // 4608 values a window: 113 windows are a tile.
    example const e{{16, 17, 512}, 2, {3, 3, 1, 1}};
    auto const images = random_images(1, e.image, 5);
    convolution const layer = made(e);
    std::size_t rows = 0, calls = 0;
    matrix seen(16 * 17, 4608);
    auto const y =
        layer.made_of(images, {}, [&](qtk::linear const& l, qtk::matrix_view<float const> x) {
            CHECK(&l == &layer.layer());
            REQUIRE(rows + x.rows <= seen.rows());
            std::copy_n(x.data, x.size(), seen.view().row(rows).data());
            rows += x.rows, ++calls;
        });
    CHECK(rows == 16 * 17);
    CHECK(calls == 3);
    matrix all(16 * 17, 4608);
    qtk::lay_out_windows(images, e.window, 0, all.view());
    CHECK(all == seen);
    auto const expected =
        qtk_test::convolution(filters_for(e), qtk_test::planes_of(images, 0), 1, 1);
    for (std::size_t p = 0; p < 16 * 17; ++p)
        CHECK(static_cast<double>(y.pixels()(p, 1)) ==
              doctest::Approx(expected[1][p / 17][p % 17]).epsilon(1e-4).scale(64.0));
}

TEST_CASE("a quantized convolution gives what the floats of its codes give") {
    for (char const* spelling : {"i8/channel", "i4/g16/asym"}) {
        example const e{{6, 5, 8}, 7, {3, 3, 2, 1}};
        auto const images = random_images(2, e.image, 5);
        convolution floats = made(e), codes = floats, packed = floats;
        auto const q = qtk::quantize_any(floats.layer().weight(), qtk::parse_scheme(spelling));
        codes.layer().set_weight(q);
        floats.layer().set_weight(codes.layer().form().floats());
        packed.layer().set_weight(q);
        packed.layer().pack();
        auto const expected = floats.made_of(images);
        for (convolution const* layer : {&codes, &packed}) {
            auto const y = layer->made_of(images);
            for (std::size_t i = 0; i < y.pixels().size(); ++i)
                // 72 products below 16, summed in another order.
                CHECK(std::fabs(y.pixels().data[i] - expected.pixels().data[i]) <=
                      72 * 72 * 16 * 0x1p-24f);
        }
    }
}

TEST_CASE("windows do not depend on the number of threads") {
    auto const images = random_images(2, {64, 64, 4}, 5);
    qtk_test::same_for_any_threads([&] {
        matrix windows(2 * 64 * 64, 36);
        qtk::lay_out_windows(images, {3, 3, 1, 1}, 0, windows.view());
        return windows;
    });
}

TEST_CASE("images, windows and outputs that do not fit are refused") {
    convolution const layer = made(examples[0]);
    CHECK_THROWS_WITH_AS((void)layer.made_of(random_images(1, {5, 4, 2}, 1)),
                         "conv: expected images of 3 channels, found 5 x 4 x 2", qtk::shape_error);
    auto const images = random_images(1, {5, 4, 3}, 1);
    matrix wrong(20, 3), few(19, 2);
    CHECK_THROWS_WITH_AS(layer.apply(images, wrong.view()),
                         "conv: expected an output [20, 2], found [20, 3]", qtk::shape_error);
    CHECK_THROWS_AS(layer.apply(images, few.view()), qtk::shape_error);
    CHECK_THROWS_WITH_AS(
        (void)convolution_window({.height = 7, .width = 7, .stride = 2, .padding = 1})
            .over({4, 9, 1}),
        "a window of 7 x 7 does not fit an image of 4 x 9 x 1 with a padding of 1",
        qtk::shape_error);
    CHECK_THROWS_AS((void)convolution_window({.stride = 0}).over({4, 9, 1}), qtk::shape_error);
    CHECK_THROWS_WITH_AS(convolution(qtk::linear("c", matrix(2, 8)), {3, 3, 1, 1}, 1),
                         "c: expected filters of 9 values, found 8", qtk::shape_error);
    matrix windows(21, 27), narrow(20, 26);
    CHECK_THROWS_AS(qtk::lay_out_windows(images, {3, 3, 1, 1}, 0, windows.view()),
                    qtk::shape_error);
    CHECK_THROWS_AS(qtk::lay_out_windows(images, {3, 3, 1, 1}, 0, narrow.view()), qtk::shape_error);
}
