// SPDX-License-Identifier: Apache-2.0
//
// Who trains? LibTorch, behind this seam: training.hpp is all that the commands know of it. A build without LibTorch
// has training_absent.cpp in its place, which says what to install.
#pragma once

#include <qtk/core/matrix.hpp>
#include <qtk/model/image.hpp>

#include "trained_network.hpp"
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace app {

/// What to do in a build without LibTorch.
inline constexpr char const* torch_hint =
    "this program was built without LibTorch. Hint: install libtorch-dev (Debian's name) and build "
    "it anew with "
    "-DQTK_WITH_TORCH=ON";

[[nodiscard]] bool has_torch() noexcept;

/// Images with what they show.
struct labelled_rows {
    qtk::pixel_rows images;
    std::span<std::uint16_t const> labels;
};

struct training_options {
    bool learns_steps = true;   ///< LSQ; false: the plain straight-through estimator
    double distillation = 0.0;  ///< share of the loss that follows the float model's logits, 0 to 1
    double temperature = 4.0;   ///< of these logits
    std::size_t epochs = 10, batch = 32;
    double rate = 1e-3;  ///< of Adam at the start; falls to zero along half a cosine
    std::uint64_t seed = 0;
};

struct training_epoch {
    std::size_t number = 0;  ///< from 1
    double loss = 0.0, validation_loss = 0.0, validation_accuracy = 0.0;
};

struct training_outcome {
    std::vector<training_epoch> epochs;
    std::size_t best =
        0;  ///< index of the epoch whose weights were kept: best on the validation images
    double seconds = 0.0;
};

/// Trains the planned network (plan_layers()) in place: weights, biases, norms, tokens and positions, and with LSQ the
/// steps of weights and inputs. `teacher` is the float network. Throws value_error without LibTorch, for options
/// out of range and where training diverges.
training_outcome train_network(trained_network& network, trained_network const& teacher,
                               labelled_rows training, labelled_rows validation,
                               training_options const& options,
                               std::function<void(training_epoch const&)> const& on_epoch = {});

/// The logits of the network with weights and inputs rounded in floats, by LibTorch: [images, classes].
[[nodiscard]] qtk::matrix torch_logits(trained_network const& network, qtk::pixel_rows images);

struct gradient_attack {
    double epsilon = 0.0;    ///< no pixel moves farther, in units of the pixels
    std::size_t steps = 1;   ///< 1: FGSM (Goodfellow et al. 2015); more: PGD (Madry et al. 2018)
    double step_size = 0.0;  ///< of PGD; 0: 2.5 epsilon / steps
    bool has_random_start = false;
    std::uint64_t seed = 0;
};

/// The images moved to where the network's loss is higher, clipped to [0, 1], as pixel rows. Gradients pass roundings
/// straight through, and are zero where a value inside the network is clipped. Throws value_error without LibTorch.
[[nodiscard]] qtk::matrix adversarial_images(trained_network const& network, labelled_rows rows,
                                             gradient_attack const& attack);

}  // namespace app
