// SPDX-License-Identifier: Apache-2.0
//
// Are the gradients of a network's parts right?
#pragma once

#include <qtk/model/vision_parts.hpp>

#include "correlated.hpp"
#include "gradients.hpp"
#include "tiny_networks.hpp"
#include <cstddef>
#include <utility>
#include <vector>

namespace qtk_test {

/// Compares dL by the weights and the input of every part with differences, L = sum of c y with random c. Small
/// steps cross few kinks of ReLUs.
inline void check_parts(qtk::vision_model model, qtk::image_shape shape, float step = 2e-3f) {
    qtk::image_batch x = random_images(2, shape, 81);
    for (std::size_t i = 0; i < qtk::part_count(model); ++i) {
        CAPTURE(qtk::part_name(model, i));
        qtk::part_tape const tape(model, i, x);
        qtk::image_batch const y = tape.output();
        qtk::matrix const c = random_matrix(y.pixels().rows, y.pixels().cols, 82);
        std::vector<qtk::matrix> weights, by;
        qtk::for_each_linear_of_part(model, i, [&](qtk::linear const& layer) {
            weights.push_back(layer.weight());
            by.emplace_back(layer.out(), layer.in());
        });
        qtk::matrix const by_input = tape.backward(c.view(), by);
        CHECK(tape.backward(c.view(), {}) == by_input);
        auto const loss = [&] {
            std::size_t layer = 0;
            qtk::for_each_linear_of_part(model, i,
                                         [&](qtk::linear& l) { l.set_weight(weights[layer++]); });
            return weighted_sum(c.view(), qtk::run_part(model, i, x).pixels());
        };
        for (std::size_t layer = 0; layer < weights.size(); ++layer)
            check_gradient(weights[layer].view().flat(), by[layer].view().flat(), loss, 2e-2, step);
        check_gradient(x.pixels().flat(), by_input.view().flat(), loss, 2e-2, step);
        x = random_images(2, y.shape(), 83 + i);  // what it made itself may be zero in many places
    }
}

}  // namespace qtk_test
