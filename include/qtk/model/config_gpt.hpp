// SPDX-License-Identifier: Apache-2.0
//
// What does the configuration of a network with learned positions say? Of GPT-2, and of OPT (Zhang
// et al. 2022), which differs in names, in its activation, and in OPT-350m also in the order of
// normalization.
#pragma once

#include <qtk/model/config_reader.hpp>
#include <qtk/model/decoder_config.hpp>

#include <cstddef>
#include <string>

namespace qtk::detail {

inline void read_gpt2(config_reader const& json, decoder_config& c) {
    c.layers = json.count("n_layer", most_layers);
    c.width = json.count("n_embd", most_width);
    c.heads = c.kv_heads = json.count("n_head", most_heads);
    if (c.width % c.heads != 0)
        json.refuse("n_head", "a divisor of n_embd = " + std::to_string(c.width), c.heads);
    c.head_dim = c.width / c.heads;
    c.inner = json.count("n_inner", most_width, 4 * c.width);
    c.context = json.count("n_positions", most_context);
    c.norm_epsilon = static_cast<float>(json.number("layer_norm_epsilon", 1e-12, 1.0, 1e-5));
    c.act = activation_of(json, "activation_function", "gelu_new");
    c.has_tied_head = json.flag("tie_word_embeddings", true);
    json.require_flag("scale_attn_weights", true);
    json.require_flag("scale_attn_by_inverse_layer_idx", false);
    json.require_flag("add_cross_attention", false);
}

inline void read_opt(config_reader const& json, decoder_config& c) {
    c.layers = json.count("num_hidden_layers", most_layers);
    c.width = json.count("hidden_size", most_width);
    c.heads = c.kv_heads = json.count("num_attention_heads", most_heads);
    if (c.width % c.heads != 0)
        json.refuse("num_attention_heads", "a divisor of hidden_size = " + std::to_string(c.width),
                    c.heads);
    c.head_dim = c.width / c.heads;
    c.inner = json.count("ffn_dim", most_width);
    c.context = json.count("max_position_embeddings", most_context);
    c.token_width = json.count("word_embed_proj_dim", most_width, c.width);
    c.normalizes_first = json.flag("do_layer_norm_before", true);
    // Checkpoints that were tuned with the first ports have no last normalization.
    c.has_last_norm = c.normalizes_first && !json.flag("_remove_final_layer_norm", false);
    c.act = activation_of(json, "activation_function", "relu");
    c.has_tied_head = json.flag("tie_word_embeddings", true);
    c.has_attention_bias = c.has_output_bias = c.has_mlp_bias = json.flag("enable_bias", true);
    json.require_flag("layer_norm_elementwise_affine", true);
}

}  // namespace qtk::detail
