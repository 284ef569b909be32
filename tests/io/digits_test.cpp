// SPDX-License-Identifier: Apache-2.0
#include <qtk/io/digits.hpp>

#include <doctest/doctest.h>

#include "scratch.hpp"
#include <algorithm>
#include <array>
#include <filesystem>
#include <string>

namespace {

std::filesystem::path const embedded = std::filesystem::path(QTK_DATA_DIR) / "digits";

}  // namespace

TEST_CASE("the embedded digits have ten labels and values up to sixteen") {
    auto const all = qtk::read_digits(embedded);
    CHECK(all.count == 1797);
    CHECK(all.image_bytes() == 64);
    CHECK(*std::ranges::max_element(all.bytes) == 16);
    // The counts of the UCI test set, which no order changes.
    std::array<int, 10> count{};
    for (auto const label : all.labels) ++count[label];
    CHECK(count == std::array{178, 182, 177, 183, 181, 182, 181, 179, 174, 180});
}

TEST_CASE("the three splits are the rows that the data says") {
    auto const all = qtk::read_digits(embedded);
    auto const test = qtk::read_digits(embedded, qtk::test_digits);
    CHECK(test == all.part(1297, 500));
    CHECK(qtk::read_digits(embedded, qtk::training_digits).count == 1097);
    CHECK(qtk::read_digits(embedded, qtk::calibration_digits).labels[0] == all.labels[1097]);
    CHECK_THROWS_AS((void)qtk::read_digits(embedded, {1700, 100}), qtk::shape_error);
}

TEST_CASE("files of another length or with other values are refused") {
    test::scratch_folder const folder;
    std::string pixels(1797 * 64, '\x10'), labels(1797, '\x09');
    auto const write = [&] {
        test::write_file(folder / "digits_images.u8", pixels);
        test::write_file(folder / "digits_labels.u8", labels);
    };
    write();
    CHECK(qtk::read_digits(folder.path()).labels.back() == 9);
    labels[7] = 10;
    write();
    CHECK_THROWS_WITH_AS((void)qtk::read_digits(folder.path()),
                         doctest::Contains("byte 7: expected labels from 0 to 9, found 10"),
                         qtk::io_error);
    pixels[3] = 17;
    write();
    CHECK_THROWS_WITH_AS((void)qtk::read_digits(folder.path()),
                         doctest::Contains("byte 3: expected pixels from 0 to 16, found 17"),
                         qtk::io_error);
    pixels.pop_back();
    write();
    CHECK_THROWS_WITH_AS(
        (void)qtk::read_digits(folder.path()),
        doctest::Contains("expected the 115008 pixels of the digits, found 115007"), qtk::io_error);
    CHECK_THROWS_AS((void)qtk::read_digits(folder / "none"), qtk::system_error);
}
