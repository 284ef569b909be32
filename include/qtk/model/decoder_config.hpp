// SPDX-License-Identifier: Apache-2.0
//
// What must be known of a decoder besides its weights? Its shape and the constants of its formulae,
// whatever file they were read from (config.hpp reads Hugging Face's).
#pragma once

#include <qtk/kernel/activation.hpp>
#include <qtk/model/rotary.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace qtk {

/// Which blocks the network is built of. Mistral and Qwen2 are Llama with a window and with biases.
enum class architecture : std::uint8_t { gpt2, llama, opt };

/// The shape of a decoder and the constants of its formulae.
struct decoder_config {
    architecture family = architecture::gpt2;
    std::size_t layers = 0, width = 0;
    std::size_t heads = 0, kv_heads = 0, head_dim = 0;
    std::size_t inner = 0;       ///< Width between the linear layers of the feed-forward part.
    std::size_t vocabulary = 0;  ///< Rows of the embedding.
    std::size_t context = 0;     ///< The most tokens of one window.
    float norm_epsilon = 1e-5f;
    activation act = activation::gelu_tanh;
    bool has_tied_head = true;  ///< The head is the embedding.

    double rope_theta = 0.0;  ///< 0: positions are learned vectors.
    rope_scaling scaling{};
    rope_pairs pairs = rope_pairs::halves;

    /// The most tokens that a token sees in a layer, itself among them; 0: all before it. The first
    /// `full_layers` layers see all in any case.
    std::size_t window = 0, full_layers = 0;

    bool has_attention_bias = true;  ///< Of queries, keys and values.
    bool has_output_bias = true;     ///< Of the layer behind attention.
    bool has_mlp_bias = true;

    /// OPT-350m alone differs: it normalizes after each part and has no last normalization; its
    /// tokens are vectors of another width than the blocks'.
    bool normalizes_first = true, has_last_norm = true;
    std::size_t token_width = 0;  ///< 0: the same width.

    std::optional<std::int32_t> bos;  ///< The token before every text.
    std::vector<std::int32_t> eos;    ///< The tokens that end a text.

    /// What layer i sees back, 0: all.
    [[nodiscard]] std::size_t window_of(std::size_t i) const noexcept {
        return i < full_layers ? 0 : window;
    }
};

}  // namespace qtk
