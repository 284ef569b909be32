// SPDX-License-Identifier: Apache-2.0
//
// What network does this GGUF file hold? The keys of its metadata as a decoder_config; architectures
// llama (Llama, Mistral, TinyLlama), qwen2 and gpt2. Key names: ggml's docs/gguf.md. What would change
// the computation and is not implemented is refused, never ignored.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/io/gguf.hpp>
#include <qtk/io/utf8.hpp>
#include <qtk/model/config_reader.hpp>
#include <qtk/model/decoder_config.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace qtk {
namespace detail {

/// Keys that begin with the architecture's name.
class gguf_config_keys {
  public:
    gguf_config_keys(gguf_file const& file, std::string architecture)
        : file_(file), prefix_(std::move(architecture) + ".") {}

    [[nodiscard]] bool has(std::string_view key) const {
        return file_.metadata().find(full(key)) != nullptr;
    }
    [[nodiscard]] std::size_t count(std::string_view key, std::size_t most) const {
        auto const value = file_.metadata().get<std::uint64_t>(full(key));
        if (value < 1 || value > most)
            refuse(key, "a whole number from 1 to " + std::to_string(most), std::to_string(value));
        return static_cast<std::size_t>(value);
    }
    [[nodiscard]] std::size_t count_or(std::string_view key, std::size_t most,
                                       std::size_t otherwise) const {
        return has(key) ? count(key, most) : otherwise;
    }
    [[nodiscard]] double number_or(std::string_view key, double otherwise) const {
        double const value = file_.metadata().get_or<double>(full(key), otherwise);
        if (!(value > 0.0 && value < 1e12)) refuse(key, "a positive number", std::to_string(value));
        return value;
    }
    [[nodiscard]] std::string text_or(std::string_view key, std::string const& otherwise) const {
        return file_.metadata().get_or<std::string>(full(key), otherwise);
    }
    [[noreturn]] void refuse(std::string_view key, std::string const& expected,
                             std::string const& found) const {
        throw io_error(file_.path(), full(key) + ": expected " + expected + ", found " + found);
    }

  private:
    [[nodiscard]] std::string full(std::string_view key) const {
        return prefix_ + std::string(key);
    }

    gguf_file const& file_;
    std::string prefix_;
};

inline void read_gguf_rope(gguf_config_keys const& keys, decoder_config& c) {
    c.rope_theta = keys.number_or("rope.freq_base", 10000.0);
    std::string const scaling = keys.text_or("rope.scaling.type", "none");
    if (scaling == "linear") {
        c.scaling.type = rope_scaling::kind::linear;
        c.scaling.factor = keys.number_or("rope.scaling.factor", 1.0);
    } else if (scaling != "none") {
        keys.refuse("rope.scaling.type", "none or linear", scaling);
    }
    if (keys.count_or("rope.dimension_count", most_width, c.head_dim) != c.head_dim)
        keys.refuse("rope.dimension_count", "the width of a head, " + std::to_string(c.head_dim),
                    "another");
}

}  // namespace detail

/// Throws io_error naming the key that is missing or not supported.
[[nodiscard]] inline decoder_config read_gguf_config(gguf_file const& file) {
    auto const name = file.metadata().get<std::string>("general.architecture");
    bool const is_gpt2 = name == "gpt2";
    if (!is_gpt2 && name != "llama" && name != "qwen2")
        throw io_error(file.path(), "general.architecture: expected llama, qwen2 or gpt2, found " +
                                        qtk::quoted(name) +
                                        ". Hint: other networks are not run by qtk");
    detail::gguf_config_keys const keys(file, name);
    decoder_config c;
    c.family = is_gpt2 ? architecture::gpt2 : architecture::llama;
    c.layers = keys.count("block_count", detail::most_layers);
    c.width = keys.count("embedding_length", detail::most_width);
    c.heads = keys.count("attention.head_count", detail::most_heads);
    c.kv_heads = keys.count_or("attention.head_count_kv", detail::most_heads, c.heads);
    if (c.heads % c.kv_heads != 0)
        keys.refuse("attention.head_count_kv", "a divisor of " + std::to_string(c.heads),
                    std::to_string(c.kv_heads));
    if (c.width % c.heads != 0 && !keys.has("attention.key_length"))
        keys.refuse("attention.head_count", "a divisor of " + std::to_string(c.width),
                    std::to_string(c.heads));
    c.head_dim = keys.count_or("attention.key_length", detail::most_width, c.width / c.heads);
    if (keys.count_or("attention.value_length", detail::most_width, c.head_dim) != c.head_dim)
        keys.refuse("attention.value_length", "the same as attention.key_length", "another");
    c.inner = keys.count("feed_forward_length", detail::most_width);
    c.context = keys.count("context_length", detail::most_context);
    c.has_tied_head = file.find("output.weight") == nullptr;
    if (keys.count_or("expert_count", detail::most_width, 1) != 1)
        keys.refuse("expert_count", "no mixture of experts", "one");
    gguf_tensor const& table = file.at("token_embd.weight");
    c.vocabulary = static_cast<std::size_t>(table.dims[1]);
    if (is_gpt2) {
        c.norm_epsilon = static_cast<float>(keys.number_or("attention.layer_norm_epsilon", 1e-5));
        return c;
    }
    c.act = activation::silu;
    c.norm_epsilon = static_cast<float>(keys.number_or("attention.layer_norm_rms_epsilon", 1e-5));
    if (c.head_dim % 2 != 0)
        keys.refuse("attention.key_length", "an even number", std::to_string(c.head_dim));
    detail::read_gguf_rope(keys, c);
    // Llama's rows of queries and keys are stored in the order in which neighbours are a pair.
    c.pairs = name == "llama" ? rope_pairs::neighbours : rope_pairs::halves;
    c.window = keys.count_or("attention.sliding_window", detail::most_context, 0);
    c.has_attention_bias = file.find("blk.0.attn_q.bias") != nullptr;
    c.has_output_bias = file.find("blk.0.attn_output.bias") != nullptr;
    c.has_mlp_bias = file.find("blk.0.ffn_up.bias") != nullptr;
    return c;
}

}  // namespace qtk
