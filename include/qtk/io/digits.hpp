// SPDX-License-Identifier: Apache-2.0
//
// Which images come with qtk? The UCI optical digits (Alpaydin and Kaynak, CC BY 4.0): 1,797 grey
// images of 8 x 8 pixels with values 0..16, in digits_images.u8, and their labels in digits_labels.u8,
// in a fixed order. Three ranges of rows have a purpose each, so that nothing is measured on what it
// was fitted to.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/io/image.hpp>
#include <qtk/io/mapped_file.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace qtk {

/// Rows first, first + 1, ... of the digits.
struct digit_rows {
    std::size_t first = 0, count = 0;
};
inline constexpr digit_rows all_digits{0, 1797}, training_digits{0, 1097},
    calibration_digits{1097, 200}, test_digits{1297, 500};

/// The largest value of a pixel: networks of the digits take pixel / 16.
inline constexpr float digit_white = 16.0f;

namespace detail {

/// A file of exactly `count` bytes, none above `most`.
[[nodiscard]] inline std::vector<std::uint8_t> read_small_bytes(std::filesystem::path const& path,
                                                                std::size_t count, int most,
                                                                char const* what) {
    mapped_file const file = mapped_file::open(path, io_mode::read);
    if (file.bytes().size() != count)
        throw io_error(file.path(),
                       "expected the " + std::to_string(count) + " " + what +
                           " of the digits, found " + std::to_string(file.bytes().size()) +
                           " bytes",
                       std::min(count, file.bytes().size()));
    std::vector<std::uint8_t> values(count);
    for (std::size_t i = 0; i < count; ++i) {
        values[i] = std::to_integer<std::uint8_t>(file.bytes()[i]);
        if (values[i] > most)
            throw io_error(file.path(),
                           std::string("expected ") + what + " from 0 to " + std::to_string(most) +
                               ", found " + std::to_string(values[i]),
                           i);
    }
    return values;
}

}  // namespace detail

/// The digits of a folder. Throws system_error, io_error, and shape_error for rows that are not there.
[[nodiscard]] inline labelled_images read_digits(std::filesystem::path const& folder,
                                                 digit_rows rows = all_digits) {
    constexpr std::size_t side = 8;
    labelled_images all{all_digits.count, side, side, 1, {}, {}};
    all.bytes = detail::read_small_bytes(folder / "digits_images.u8", all.count * all.image_bytes(),
                                         16, "pixels");
    std::vector<std::uint8_t> const labels =
        detail::read_small_bytes(folder / "digits_labels.u8", all.count, 9, "labels");
    all.labels.assign(labels.begin(), labels.end());
    return all.part(rows.first, rows.count);
}

static_assert(training_digits.first + training_digits.count == calibration_digits.first &&
              calibration_digits.first + calibration_digits.count == test_digits.first &&
              test_digits.first + test_digits.count == all_digits.count);

}  // namespace qtk
