// SPDX-License-Identifier: Apache-2.0
//
// What does the configuration of a network with rotary positions say? Of Llama, and of its
// relatives: Mistral (Jiang et al. 2023), whose tokens see a window, and Qwen2 (Yang et al. 2024),
// whose queries, keys and values have biases and whose upper layers may see a window.
#pragma once

#include <qtk/model/config_reader.hpp>
#include <qtk/model/decoder_config.hpp>

#include <array>
#include <cstddef>
#include <optional>
#include <string>

namespace qtk::detail {

/// What one of the fields rope_parameters (newer files) and rope_scaling (older ones) says.
/// Stretched contexts of other kinds (dynamic, yarn, longrope) are not implemented.
[[nodiscard]] inline rope_scaling scaling_of(config_reader const& rope, std::size_t context) {
    // Older files call the kind "type"; some have both.
    std::string kind = "default";
    for (char const* const field : {"type", "rope_type"}) {
        if (rope.find(field) == nullptr) continue;
        std::string const found = rope.text(field);
        if (found != "default" && found != "linear" && found != "llama3")
            rope.refuse(field, "default, linear or llama3, all that is supported", found);
        if (field == std::string("rope_type") && rope.find("type") != nullptr && found != kind)
            rope.refuse(field, "the same as in type", found);
        kind = found;
    }
    if (rope.number("partial_rotary_factor", 0.0, 1.0, 1.0) != 1.0)
        rope.refuse("partial_rotary_factor", "1, all that is supported",
                    *rope.find("partial_rotary_factor"));
    rope.require_known({"rope_type", "type", "rope_theta", "partial_rotary_factor", "factor",
                        "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"});
    rope_scaling s;
    if (kind == "default") return s;
    s.factor = rope.number("factor", 1.0, 1e6);
    s.type = rope_scaling::kind::linear;
    if (kind == "linear") return s;
    s.type = rope_scaling::kind::llama3;
    s.low = rope.number("low_freq_factor", 1e-6, 1e6);
    s.high = rope.number("high_freq_factor", 1e-6, 1e6);
    if (!(s.high > s.low))
        rope.refuse("high_freq_factor", "more than low_freq_factor",
                    *rope.find("high_freq_factor"));
    s.original_context = rope.count("original_max_position_embeddings", most_context, context);
    return s;
}

/// The base of the rotary angles, at the top level (older files) or inside (newer ones), and how
/// they are scaled.
inline void read_rope(config_reader const& json, decoder_config& c) {
    std::optional<double> theta;
    std::optional<rope_scaling> scaling;
    if (json.find("rope_theta") != nullptr) theta = json.number("rope_theta", 1.0, 1e12);
    if (json.number("partial_rotary_factor", 0.0, 1.0, 1.0) != 1.0)
        json.refuse("partial_rotary_factor", "1, all that is supported",
                    *json.find("partial_rotary_factor"));
    for (char const* const field : {"rope_parameters", "rope_scaling"}) {
        auto const* const value = json.find(field);
        if (value == nullptr) continue;
        if (!value->is_object()) json.refuse(field, "an object", *value);
        config_reader const rope(*value, json.path() + ": " + field);
        rope_scaling const found = scaling_of(rope, c.context);
        if (scaling && *scaling != found)
            json.refuse(field, "the same as in rope_parameters", *value);
        scaling = found;
        if (rope.find("rope_theta") == nullptr) continue;
        double const inside = rope.number("rope_theta", 1.0, 1e12);
        if (theta && *theta != inside)
            rope.refuse("rope_theta", "the same as at the top level", *rope.find("rope_theta"));
        theta = inside;
    }
    c.rope_theta = theta.value_or(10000.0);
    c.scaling = scaling.value_or(rope_scaling{});
}

/// The window, where a field that is not there means another thing than null: no window.
[[nodiscard]] inline std::size_t window_in(config_reader const& json) {
    constexpr std::size_t published = 4096;
    if (!json.has("sliding_window")) return published;
    return json.find("sliding_window") == nullptr ? 0 : json.count("sliding_window", most_context);
}

/// Stops unless layer_types, if it is there, is what the other fields say.
inline void require_layer_types(config_reader const& json, decoder_config const& c) {
    auto const* const types = json.find("layer_types");
    if (types == nullptr) return;
    if (!types->is_array() || types->size() != c.layers)
        json.refuse("layer_types", "an array of " + std::to_string(c.layers) + " names", *types);
    for (std::size_t i = 0; i < c.layers; ++i) {
        char const* const expected = c.window_of(i) == 0 ? "full_attention" : "sliding_attention";
        if ((*types)[i] != expected)
            json.refuse("layer_types",
                        "\"" + std::string(expected) + "\" for layer " + std::to_string(i) +
                            ", as the other fields say",
                        (*types)[i]);
    }
}

/// `type` is llama, mistral or qwen2.
inline void read_llama(config_reader const& json, std::string const& type, decoder_config& c) {
    c.layers = json.count("num_hidden_layers", most_layers);
    c.width = json.count("hidden_size", most_width);
    c.heads = json.count("num_attention_heads", most_heads);
    // Of a Mistral or Qwen2 without this field nobody knows the number.
    c.kv_heads = type == "llama" ? json.count("num_key_value_heads", most_heads, c.heads)
                                 : json.count("num_key_value_heads", most_heads);
    if (c.heads % c.kv_heads != 0)
        json.refuse("num_key_value_heads",
                    "a divisor of num_attention_heads = " + std::to_string(c.heads), c.kv_heads);
    if (json.find("head_dim") == nullptr && c.width % c.heads != 0)
        json.refuse("num_attention_heads", "a divisor of hidden_size = " + std::to_string(c.width),
                    c.heads);
    c.head_dim = json.count("head_dim", most_width, c.width / c.heads);
    if (c.head_dim % 2 != 0) json.refuse("head_dim", "an even number", c.head_dim);
    c.inner = json.count("intermediate_size", most_width);
    c.context = json.count("max_position_embeddings", most_context);
    c.norm_epsilon = static_cast<float>(json.number("rms_norm_eps", 1e-12, 1.0));
    read_rope(json, c);
    c.act = activation_of(json, "hidden_act", "silu");
    c.has_tied_head = json.flag("tie_word_embeddings", false);
    if (type == "llama") {
        c.has_attention_bias = c.has_output_bias = json.flag("attention_bias", false);
        c.has_mlp_bias = json.flag("mlp_bias", false);
    } else {
        c.has_attention_bias = type == "qwen2";
        c.has_output_bias = c.has_mlp_bias = false;
    }
    if (type == "mistral" || (type == "qwen2" && json.flag("use_sliding_window", false)))
        c.window = window_in(json);
    if (type == "qwen2" && c.window != 0)
        c.full_layers = json.whole("max_window_layers", 0, most_layers, 28);
    require_layer_types(json, c);
}

}  // namespace qtk::detail
