// SPDX-License-Identifier: Apache-2.0
#include <qtk/io/image_preprocess.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <vector>

namespace {

qtk::image pattern(std::size_t height, std::size_t width, std::size_t channels = 1) {
    qtk::image made{height, width, channels, {}};
    for (std::size_t y = 0; y < height; ++y)
        for (std::size_t x = 0; x < width; ++x)
            for (std::size_t c = 0; c < channels; ++c)
                made.bytes.push_back(
                    static_cast<std::uint8_t>(37 * y * y + 101 * x + 13 * x * y + 50 * c));
    return made;
}
// Sums of at most 49 products of values up to 255, in two passes of floats; four digits are printed.
bool is_near(float found, double expected) {
    constexpr double of_floats = 255.0 * 49.0 * 6e-8, of_digits = 5e-5;
    return std::fabs(static_cast<double>(found) - expected) <= of_floats + of_digits;
}

}  // namespace

TEST_CASE("an image of the same size is itself") {
    auto const from = pattern(4, 3, 3);
    auto const to = qtk::resize_bilinear(from.view(), 4, 3);
    for (std::size_t i = 0; i < from.bytes.size(); ++i)
        CHECK(to.values[i] == static_cast<float>(from.bytes[i]));
}

TEST_CASE("one colour stays that colour in every size") {
    qtk::image const flat{5, 3, 1, std::vector<std::uint8_t>(15, 200)};
    for (std::size_t const side : {1u, 2u, 4u, 9u})
        for (float const v : qtk::resize_bilinear(flat.view(), side, side).values)
            CHECK(v == doctest::Approx(200.0).epsilon(1e-6));
}

TEST_CASE("half the size of four pixels is the mean weighted by triangles") {
    // Centre 1 reaches pixels 0..2: weights 1 - 0.25, 1 - 0.25, 1 - 0.75 over their sum 1.75.
    qtk::image const row{1, 4, 1, {10, 20, 30, 40}};
    auto const to = qtk::resize_bilinear(row.view(), 1, 2);
    CHECK(to.values[0] == doctest::Approx((0.75 * 10 + 0.75 * 20 + 0.25 * 30) / 1.75));
    CHECK(to.values[1] == doctest::Approx((0.25 * 20 + 0.75 * 30 + 0.75 * 40) / 1.75));
}

TEST_CASE("a resize gives what Pillow gives for images of floats") {
    struct reference {
        std::size_t height, width, to_height, to_width;
        std::vector<double> values;
    };
    for (auto const& [h, w, height, width, values] : std::vector<reference>{
             {7, 5, 3, 2, {85.7403, 118.0260, 129.9840, 132.0802, 144.5195, 107.0390}},
             {2, 3, 4, 5, {0.0000,   40.4000,  101.0000, 161.6000, 202.0000, 9.2500,   50.9500,
                           113.5000, 137.6500, 153.7500, 27.7500,  72.0500,  138.5000, 89.7500,
                           57.2500,  37.0000,  82.6000,  151.0000, 65.8000,  9.0000}},
             {5, 8, 3, 8, {15.8571,  122.4286, 119.2857, 79.5714, 186.1429, 183.0000,
                           143.2857, 140.1429, 107.5556, 92.3333, 105.5556, 90.3333,
                           160.4444, 31.4444,  158.4444, 29.4444, 78.7143,  226.1429,
                           117.5714, 118.7143, 156.4286, 47.8571, 195.2857, 86.7143}}}) {
        CAPTURE(height);
        auto const to = qtk::resize_bilinear(pattern(h, w).view(), height, width);
        REQUIRE(to.values.size() == values.size());
        for (std::size_t i = 0; i < values.size(); ++i) CHECK(is_near(to.values[i], values[i]));
    }
}

TEST_CASE("every channel is resized for itself") {
    auto const whole = qtk::resize_bilinear(pattern(7, 5, 3).view(), 3, 2);
    auto const first = qtk::resize_bilinear(pattern(7, 5, 1).view(), 3, 2);
    for (std::size_t i = 0; i < first.values.size(); ++i)
        CHECK(whole.values[3 * i] == first.values[i]);
}

TEST_CASE("bytes become shifted and scaled numbers, channels side by side") {
    qtk::image const one{1, 2, 3, {0, 51, 255, 255, 0, 102}};
    auto const x =
        qtk::preprocess(one.view(), {.mean = {0.5f, 0.0f, 1.0f}, .deviation = {0.25f, 1.0f, 2.0f}});
    CHECK(x.channels == 3);
    std::vector<double> const expected{-2.0, 0.2, 0.0, 2.0, 0.0, -0.3};
    for (std::size_t i = 0; i < 6; ++i)
        CHECK(static_cast<double>(x.values[i]) == doctest::Approx(expected[i]).epsilon(1e-6));
}

TEST_CASE("the centre is cut out, halves of pixels going to the even side") {
    auto const corner = [](std::size_t side, std::size_t crop) {
        qtk::image const one = pattern(side, side);
        auto const x = qtk::preprocess(one.view(), {.crop = crop, .scale = 1.0f});
        CHECK(x.values.size() == crop * crop);
        for (std::size_t at = 0; at + crop <= side; ++at)
            if (x.values[0] == static_cast<float>(one.view().at(at, at, 0)) &&
                x.values.back() ==
                    static_cast<float>(one.view().at(at + crop - 1, at + crop - 1, 0)))
                return at;
        return side;
    };
    CHECK(corner(5, 3) == 1);
    CHECK(corner(4, 3) == 0);  // round(0.5)
    CHECK(corner(6, 3) == 2);  // round(1.5)
    CHECK(corner(8, 3) == 2);  // round(2.5)
    CHECK(corner(3, 3) == 0);
}

TEST_CASE("the short side is resized and the long one follows, truncated") {
    auto const x = qtk::preprocess(pattern(6, 10).view(), {.short_side = 4, .scale = 1.0f});
    CHECK(x.height == 4);
    CHECK(x.width == 6);  // 6.67
    auto const y = qtk::preprocess(pattern(10, 6).view(), {.short_side = 4, .scale = 1.0f});
    CHECK(y.height == 6);
    CHECK(y.values == qtk::resize_bilinear(pattern(10, 6).view(), 6, 4).values);
}

TEST_CASE("networks of ImageNet see 224 x 224 x 3, of grey images as well") {
    auto const x = qtk::preprocess(pattern(300, 280).view(), qtk::imagenet_transform());
    CHECK(x.values.size() == 224 * 224 * 3);
    // The same grey through three means.
    CHECK(static_cast<double>(x.at(3, 5, 0)) * 0.229 + 0.485 ==
          doctest::Approx(static_cast<double>(x.at(3, 5, 2)) * 0.225 + 0.406).epsilon(1e-5));
}

TEST_CASE("images of a set become rows of a matrix") {
    qtk::labelled_images const set{2, 1, 2, 1, {0, 16, 8, 4}, {0, 1}};
    auto const x = qtk::preprocess(set, 0, 2, {.scale = 1.0f / 16.0f});
    CHECK(x.rows() == 2);
    CHECK(x(0, 1) == 1.0f);
    CHECK(x(1, 0) == 0.5f);
    CHECK(qtk::preprocess(set, 1, 1, {.scale = 1.0f})(0, 1) == 4.0f);
    CHECK(qtk::preprocess(set, 2, 0, {}).rows() == 0);
    CHECK_THROWS_AS((void)qtk::preprocess(set, 1, 2, {}), qtk::shape_error);
}

TEST_CASE("a transform that does not fit the image is refused") {
    auto const grey = pattern(4, 4), colour = pattern(4, 4, 3);
    CHECK_THROWS_WITH_AS((void)qtk::preprocess(grey.view(), {.crop = 5}),
                         doctest::Contains("larger than the image of 4 x 4"), qtk::value_error);
    CHECK_THROWS_AS((void)qtk::preprocess(colour.view(), {.mean = {0.0f, 0.0f}}), qtk::value_error);
    CHECK_THROWS_AS((void)qtk::preprocess(colour.view(), {.deviation = {0.0f}}), qtk::value_error);
    CHECK_THROWS_AS((void)qtk::preprocess(colour.view(), {.deviation = {}}), qtk::value_error);
    CHECK_THROWS_WITH_AS((void)qtk::preprocess(colour.view(), {.channels = 1}),
                         doctest::Contains("only grey can be repeated"), qtk::value_error);
    CHECK_THROWS_AS((void)qtk::resize_bilinear(grey.view(), 0, 4), qtk::value_error);
    CHECK_THROWS_AS((void)qtk::preprocess({0, 0, 1, {}}, {.short_side = 4, .crop = 2}),
                    qtk::value_error);
}
