// SPDX-License-Identifier: Apache-2.0
//
// Which tensors of a file make one layer of a network? In Hugging Face's names:
//
//   linear     NAME.weight [out, in] and, where the network has one, NAME.bias [out]
//   layer norm NAME.weight and NAME.bias, both [width]
//   RMS norm   NAME.weight alone
//
// GPT-2's files of floats hold the weights of linear layers as [in, out]. Columns that a file has in
// another order stay in it, behind a change of the input.
#pragma once

#include <qtk/model/decoder_config.hpp>
#include <qtk/model/linear.hpp>
#include <qtk/model/norm.hpp>
#include <qtk/model/weights.hpp>

#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace qtk {

/// Throws what the reader throws for a tensor that is missing or has another shape.
[[nodiscard]] inline linear read_linear(weight_reader& file, std::string const& name,
                                        std::size_t out, std::size_t in, bool has_bias,
                                        weight_order order = weight_order::out_in) {
    layer_weight found = file.layer(name + ".weight", out, in, order);
    linear layer(name, std::move(found.weight),
                 has_bias ? file.vector(name + ".bias", out) : std::vector<float>{});
    if (!found.order.empty())
        layer.set_input(std::make_shared<input_transform const>(
            in, input_transform::parts{.order = std::move(found.order)}));
    return layer;
}

/// A norm of the network's width and epsilon; throws like read_linear().
[[nodiscard]] inline norm read_norm(weight_reader& file, std::string const& name, norm::kind type,
                                    decoder_config const& config) {
    norm result{.type = type, .weight = {}, .bias = {}, .epsilon = config.norm_epsilon};
    if (type != norm::kind::none) result.weight = file.vector(name + ".weight", config.width);
    if (type == norm::kind::layer) result.bias = file.vector(name + ".bias", config.width);
    return result;
}

}  // namespace qtk
