// SPDX-License-Identifier: Apache-2.0
#include <qtk/core/error.hpp>

#include "device_bench.hpp"

namespace app {
namespace {

[[noreturn]] void refuse() {
    throw qtk::value_error(std::string("--device cuda: this qtk was built without CUDA") +
                           device_hint);
}

}  // namespace

device_description find_device() {
    refuse();
}

device_times time_on_device(qtk::any_qmatrix const&, qtk::layer_activations const&, std::size_t,
                            std::size_t, std::size_t) {
    refuse();
}

struct device_product::layers {};
device_product::device_product(qtk::any_qmatrix const&, qtk::layer_activations const&, std::size_t,
                               bool) {
    refuse();
}
device_product::~device_product() = default;
std::size_t device_product::bytes() const {
    refuse();
}
void device_product::multiply(std::size_t) {
    refuse();
}

void synchronize_device() {
    refuse();
}

}  // namespace app
