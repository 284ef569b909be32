// SPDX-License-Identifier: Apache-2.0
//
// Tiny vision models, loaded: what a test of networks runs.
#pragma once

#include <qtk/model/vision_model.hpp>

#include "scratch.hpp"
#include "tiny_vision.hpp"
#include <cstddef>
#include <utility>
#include <vector>

namespace qtk_test {

inline qtk::vision_model load_folder(model_folder const& model, std::size_t heads = 0) {
    temporary_folder const folder;
    model.write(folder.path());
    return qtk::load_vision_model(folder.path(), {.heads = heads});
}

/// A ResNet of basic blocks, one of bottlenecks behind a stem that pools, and a ViT; with images for them.
inline std::vector<std::pair<qtk::vision_model, qtk::image_batch>> tiny_networks() {
    return {{load_folder(tiny_resnet(3)), random_images(5, {4, 4, 3}, 71)},
            {load_folder(tiny_bottlenecks()), random_images(5, {11, 11, 3}, 72)},
            {load_folder(tiny_vit(), 2), random_images(5, {6, 6, 3}, 73)}};
}

}  // namespace qtk_test
