// SPDX-License-Identifier: Apache-2.0
//
// What is a layer of a decoder? Attention and a feed-forward part, each added to the stream of
// activations that runs through all blocks. This header states the contract; gpt2.hpp and llama.hpp
// hold the two kinds.
#pragma once

#include <qtk/core/matrix_view.hpp>
#include <qtk/model/config.hpp>
#include <qtk/model/linear.hpp>
#include <qtk/model/past.hpp>
#include <qtk/model/weights.hpp>

#include <concepts>
#include <cstddef>
#include <string>

namespace qtk {

namespace detail {
struct block_parts;  // a block opens its parts to the way back (block_gradient.hpp)
}

/// Sees nothing. An observer is called with every linear layer of a block and its input [t, in],
/// before the layer is applied: calibration collects its statistics so.
struct no_observer {
    void operator()(linear const&, matrix_view<float const>) const noexcept {}
};

template <typename B>
concept decoder_block = requires(B block, B const fixed, matrix_view<float> x, weight_reader& file,
                                 decoder_config const& config, std::string const& prefix) {
    { B::load(file, config, prefix) } -> std::same_as<B>;
    fixed.forward(x, no_observer{});
    fixed.forward(x, no_observer{}, static_cast<layer_past*>(nullptr));
    block.for_each_linear([](linear&) {});
    fixed.for_each_linear([](linear const&) {});
};

}  // namespace qtk
