// SPDX-License-Identifier: Apache-2.0
//
// On which images is a network trained, chosen and judged? Three sets that share no image: those to train with, those
// to calibrate and to choose an epoch by, and those that are looked at once, in the end.
#pragma once

#include <qtk/core/matrix_view.hpp>
#include <qtk/io/digits.hpp>
#include <qtk/model/image.hpp>
#include <qtk/model/vision_model.hpp>

#include "training.hpp"
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <utility>
#include <vector>

namespace app {

struct labelled_batch {
    qtk::image_batch images;
    std::vector<std::uint16_t> labels;

    [[nodiscard]] labelled_rows rows() const { return {images.view(), labels}; }
};

struct digit_data {
    labelled_batch training, calibration, test;
};

/// Of the folder with digits_images.u8 and digits_labels.u8; of the test, the first `tests` images. Throws what
/// qtk::read_digits() throws.
[[nodiscard]] inline digit_data read_digit_data(std::filesystem::path const& folder,
                                                std::size_t tests) {
    auto const part = [&](qtk::digit_rows rows) {
        qtk::labelled_images const images = qtk::read_digits(folder, rows);
        return labelled_batch{qtk::image_batch::from_bytes(
                                  images.bytes, {images.height, images.width, images.channels},
                                  {.divisor = qtk::digit_white}),
                              images.labels};
    };
    qtk::digit_rows judged = qtk::test_digits;
    judged.count = std::min(judged.count, tests);
    return {part(qtk::training_digits), part(qtk::calibration_digits), part(judged)};
}

/// 1 for each image whose likeliest class is its label, else 0.
[[nodiscard]] inline std::vector<double> hits_of(qtk::matrix_view<float const> logits,
                                                 std::span<std::uint16_t const> labels) {
    std::vector<std::size_t> const classes = qtk::likeliest_classes(logits);
    std::vector<double> hits(classes.size());
    for (std::size_t i = 0; i < hits.size(); ++i) hits[i] = classes[i] == labels[i] ? 1.0 : 0.0;
    return hits;
}

}  // namespace app
