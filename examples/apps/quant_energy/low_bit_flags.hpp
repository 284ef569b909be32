// SPDX-License-Identifier: Apache-2.0
//
// Which network at which bits, and on which images? The flags that training and attacks share.
#pragma once

#include <CLI/CLI.hpp>

#include <cstddef>
#include <string>

namespace app {

struct low_bit_options {
    std::string model = QTK_DATA_DIR "/digits/resnet_digits.safetensors", data = "digits";
    int activation_bits = 8, edge_bits = 8;
    std::size_t tests = 0;

    void add_to(CLI::App& command) {
        command
            .add_option("--model", model,
                        "ResNet (torchvision's names) or ViT (timm's), safetensors")
            ->capture_default_str()
            ->type_name("MODEL");
        command.add_option("--data", data, "digits, cifar10:DIR, cifar100:DIR or mnist:DIR")
            ->capture_default_str()
            ->type_name("{digits,cifar10:DIR,cifar100:DIR,mnist:DIR}");
        command.add_option("--activation-bits", activation_bits, "2 to 8; 0: floats")
            ->check(CLI::IsMember({0, 2, 3, 4, 5, 6, 7, 8}))
            ->capture_default_str();
        command
            .add_option("--edge-bits", edge_bits, "of the first and last layer; 0: like the others")
            ->check(CLI::IsMember({0, 2, 3, 4, 5, 6, 7, 8}))
            ->capture_default_str();
        command.add_option("--images", tests, "test images at most; 0: all")->capture_default_str();
    }
};

}  // namespace app
