// SPDX-License-Identifier: Apache-2.0
#include <qtk/io/image.hpp>

#include <doctest/doctest.h>

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace {

qtk::labelled_images three() {
    return {3, 1, 2, 2, {0, 1, 2, 3, 10, 11, 12, 13, 20, 21, 22, 23}, {5, 6, 7}};
}

}  // namespace

TEST_CASE("the channels of a pixel lie side by side") {
    auto const images = three();
    CHECK(images.image_bytes() == 4);
    CHECK(images.image(1).at(0, 0, 1) == 11);
    CHECK(images.image(2).at(0, 1, 0) == 22);
    qtk::image const one{1, 1, 3, {7, 8, 9}};
    CHECK(one.view().at(0, 0, 2) == 9);
}

TEST_CASE("a part keeps images and labels together") {
    auto const last = three().part(1, 2);
    CHECK(last.count == 2);
    CHECK(last.labels == std::vector<std::uint16_t>{6, 7});
    CHECK(last.image(0).at(0, 0, 0) == 10);
    CHECK(three().part(3, 0).bytes.empty());
    constexpr auto most = std::numeric_limits<std::size_t>::max();
    CHECK_THROWS_AS((void)three().part(2, 2), qtk::shape_error);
    CHECK_THROWS_AS((void)three().part(4, 0), qtk::shape_error);
    CHECK_THROWS_AS((void)three().part(1, most), qtk::shape_error);
}

TEST_CASE("parts that are appended are the whole, and other sizes are refused") {
    auto const whole = three();
    qtk::labelled_images again;
    again.append(whole.part(0, 1));
    again.append(whole.part(1, 2));
    again.append({});
    CHECK(again == whole);
    CHECK_THROWS_WITH_AS(again.append({1, 2, 2, 1, {0, 0, 0, 0}, {0}}),
                         doctest::Contains("2 x 2 x 1 cannot follow images of 1 x 2 x 2"),
                         qtk::shape_error);
}

TEST_CASE("a size that is claimed is held against the limits before it is multiplied") {
    qtk::io_limits const limits;
    auto const fits = [&](std::uint64_t h, std::uint64_t w, std::uint64_t c) {
        return qtk::checked_image_bytes("a", 3, h, w, c, limits);
    };
    CHECK(fits(2, 3, 4) == 24);
    CHECK(fits(limits.image_side, 1, 1) == limits.image_side);
    constexpr auto most = std::numeric_limits<std::uint64_t>::max();
    CHECK_THROWS_AS((void)fits(0, 3, 1), qtk::io_error);
    CHECK_THROWS_AS((void)fits(3, 0, 1), qtk::io_error);
    CHECK_THROWS_AS((void)fits(3, 3, 0), qtk::io_error);
    CHECK_THROWS_AS((void)fits(3, 3, 5), qtk::io_error);
    CHECK_THROWS_AS((void)fits(most, most, 1), qtk::io_error);
    CHECK_THROWS_AS((void)fits(limits.image_side + 1, 1, 1), qtk::io_error);
    CHECK_THROWS_WITH_AS((void)fits(limits.image_side, limits.image_side, 1),
                         doctest::Contains("a: byte 3: an image of 32768 x 32768 pixels"),
                         qtk::io_error);
    CHECK(qtk::checked_set_bytes("a", 0, 10, 24, limits) == 240);
    CHECK_THROWS_AS((void)qtk::checked_set_bytes("a", 0, most, 2, limits), qtk::io_error);
}
