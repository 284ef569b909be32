// SPDX-License-Identifier: Apache-2.0
//
// On which images is a network trained, chosen and judged? Three sets that share no image: those to train with, those
// to calibrate and to choose an epoch by, and those that are looked at once, in the end.
#pragma once

#include <qtk/core/matrix_view.hpp>
#include <qtk/model/vision_model.hpp>

#include "training.hpp"
#include "vision_input.hpp"
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace app {

[[nodiscard]] inline labelled_rows rows_of(labelled_batch const& batch) {
    return {batch.images.view(), batch.labels};
}

struct training_data {
    labelled_batch training, calibration, test;
};

/// Of a set as --data names it; of the test, the first `tests` images. Throws what read_vision_data() throws, and
/// qtk::value_error for a set without images to train with.
[[nodiscard]] inline training_data read_training_data(std::string const& set, std::size_t tests) {
    vision_options options;
    options.data = set;
    options.test_images = tests;
    vision_data read = read_vision_data(options);
    return {read_training_images(options), std::move(read.pool), std::move(read.test)};
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
