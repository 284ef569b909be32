// SPDX-License-Identifier: Apache-2.0
//
// How does a program get a network that was trained for its few bits? One call from the file of the float network to
// what runs packed: plan the layers (trained_network.hpp), train (training.hpp), write, load again.
#pragma once

#include <qtk/core/scheme.hpp>
#include <qtk/model/vision_model.hpp>

#include "trained_network.hpp"
#include "training.hpp"
#include "training_data.hpp"
#include <cstddef>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace app {

/// "lsq" or "ste", perhaps with "+distill".
struct training_method {
    std::string name = "lsq";
    bool learns_steps = true, distills = false;
};
/// Throws value_error for other words.
[[nodiscard]] training_method parse_training_method(std::string const& text);

struct packed_training_options {
    std::filesystem::path model;  ///< the float network
    layer_plan plan{.scheme = {}, .activation_bits = 4};
    training_method method;
    double distillation = 0.5;  ///< share of the loss, where the method distills
    training_options how;       ///< learns_steps and distillation are the method's
    std::filesystem::path out;  ///< folder to write; empty: none is kept
};

struct packed_training {
    qtk::vision_model model;  ///< packed, as it was read from its files
    trained_network network;  ///< the same in floats
    training_outcome outcome;
    std::vector<double> hits;  ///< of the test images: 1 where the packed network is right, else 0
    double accuracy = 0.0;     ///< their mean
    std::vector<std::size_t> classes;  ///< what it says of them
};

/// Trains on data.training, calibrates and chooses the epoch on data.calibration, judges on data.test. Throws what
/// plan_layers(), train_network() and write_trained() throw: value_error without LibTorch.
[[nodiscard]] packed_training train_packed(
    packed_training_options const& options, training_data const& data,
    std::function<void(training_epoch const&)> const& on_epoch = {});

}  // namespace app
