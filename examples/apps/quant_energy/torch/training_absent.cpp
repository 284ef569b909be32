// SPDX-License-Identifier: Apache-2.0
#include <qtk/core/error.hpp>

#include "training.hpp"

namespace app {
namespace {

[[noreturn]] void refuse() {
    throw qtk::value_error(torch_hint);
}

}  // namespace

bool has_torch() noexcept {
    return false;
}
training_outcome train_network(trained_network&, trained_network const&, labelled_rows,
                               labelled_rows, training_options const&,
                               std::function<void(training_epoch const&)> const&) {
    refuse();
}
qtk::matrix torch_logits(trained_network const&, qtk::pixel_rows) {
    refuse();
}
qtk::matrix adversarial_images(trained_network const&, labelled_rows, gradient_attack const&) {
    refuse();
}

}  // namespace app
