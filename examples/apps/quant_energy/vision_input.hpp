// SPDX-License-Identifier: Apache-2.0
//
// Which network, and which images? What all commands about vision ask: models in safetensors, and a data set as
// two sets that share no image, one to calibrate with and one to judge by.
#pragma once

#include <qtk/model/image.hpp>
#include <qtk/model/vision_model.hpp>

#include <CLI/CLI.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace app {

/// Images and what they show.
struct labelled_batch {
    qtk::image_batch images;
    std::vector<std::uint16_t> labels;

    [[nodiscard]] std::size_t count() const noexcept { return labels.size(); }
};

struct vision_options {
    std::vector<std::string> models{QTK_DATA_DIR "/digits/resnet_digits.safetensors",
                                    QTK_DATA_DIR "/digits/deit_digits.safetensors"};
    std::string data = "digits", calibration_data;
    std::size_t calibration_images = 100, test_images = 0;  ///< 0: all
    std::size_t heads = 0, short_side = 0, crop = 0;
    std::vector<float> mean{}, deviation{};
    float divisor = 0.0f;  ///< 0: 16 for the digits, else 255
    bool is_imagenet = false;

    /// `has_many_models`: --model may be given several times.
    void add_to(CLI::App& command, bool has_many_models);
};

/// Everything of a data set, read once.
struct vision_data {
    labelled_batch pool;  ///< to calibrate with
    labelled_batch test;
    std::string description;  ///< one sentence for people

    /// `count` images of the pool in a random order (all, if there are not more): the same for the same seed.
    [[nodiscard]] labelled_batch draw(std::size_t count, std::uint64_t seed) const;
};

/// Throws qtk::value_error for a flag that makes no sense, and what the readers throw.
[[nodiscard]] vision_data read_vision_data(vision_options const& options);

/// The images to train with, where the set has such: of the digits, CIFAR and MNIST, those of the pool left out. Throws
/// qtk::value_error for others.
[[nodiscard]] labelled_batch read_training_images(vision_options const& options);

/// Throws what qtk::load_vision_model() throws.
[[nodiscard]] qtk::vision_model open_vision_model(vision_options const& options,
                                                  std::size_t index = 0);

/// The file's name without folders and extension; a folder's name where that says nothing.
[[nodiscard]] std::string name_of_model(std::string const& path);

}  // namespace app
