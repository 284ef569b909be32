// SPDX-License-Identifier: Apache-2.0
//
// A tiny network with three choices of bits for each layer: what a test of mixed precision assigns.
#pragma once

#include <qtk/eval/layer_candidates.hpp>
#include <qtk/model/layer_format.hpp>

#include "tiny_networks.hpp"
#include <string>

namespace qtk_test {

inline qtk::vision_model tiny_model_in(std::string const& format) {
    qtk::vision_model model = load_folder(tiny_resnet());
    model.for_each_linear([&](qtk::linear& layer) {
        qtk::apply_format(layer, qtk::weight_matrix(layer.form()), qtk::parse_layer_format(format));
    });
    return model;
}
inline qtk::candidate_network with_three_choices() {
    qtk::candidate_network network(load_folder(tiny_resnet()));
    network.add(8, "i8/channel", tiny_model_in("i8/channel"));
    network.add(2, "i2/channel", tiny_model_in("i2/channel"));
    network.add(4, "i4/channel@a8", tiny_model_in("i4/channel@a8"));
    return network;
}

}  // namespace qtk_test
