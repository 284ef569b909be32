// SPDX-License-Identifier: Apache-2.0
//
// A model folder in memory as the GGUF file that a converter would make of it: names translated, GPT-2's
// matrices transposed, Llama's query and key rows in the order of neighbouring pairs.
#pragma once

#include <qtk/io/gguf_writer.hpp>
#include <qtk/model/gguf_reader.hpp>

#include "tiny_model.hpp"
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace qtk_test {

/// Rows i and i + d/2 of each head become rows 2 i and 2 i + 1.
inline std::vector<float> with_neighbours(float_tensor const& t, std::size_t d) {
    std::vector<float> out(t.values.size());
    std::size_t const cols = t.values.size() / t.shape[0];
    for (std::size_t r = 0; r < t.shape[0]; ++r) {
        std::size_t const head = r / d, i = r % d;
        std::size_t const to = head * d + (i < d / 2 ? 2 * i : 2 * (i - d / 2) + 1);
        std::copy_n(t.values.begin() + static_cast<std::ptrdiff_t>(r * cols), cols,
                    out.begin() + static_cast<std::ptrdiff_t>(to * cols));
    }
    return out;
}

struct gguf_model {
    qtk::gguf_writer file;
    std::vector<std::vector<float>> values;  // alive until the file is written

    /// Keys of the metadata, and all tensors but those named.
    void add(model_folder const& model, std::string const& skipped = "") {
        auto const& c = model.config;
        std::string const arch = c.at("model_type");
        bool const is_gpt2 = arch == "gpt2";
        values.reserve(model.tensors.size());
        file.set("general.architecture", arch);
        auto const count = [&](char const* key, char const* field) {
            file.set(arch + "." + key, c.at(field).get<std::uint32_t>());
        };
        count("block_count", is_gpt2 ? "n_layer" : "num_hidden_layers");
        count("embedding_length", is_gpt2 ? "n_embd" : "hidden_size");
        count("attention.head_count", is_gpt2 ? "n_head" : "num_attention_heads");
        count("feed_forward_length", is_gpt2 ? "n_inner" : "intermediate_size");
        count("context_length", is_gpt2 ? "n_positions" : "max_position_embeddings");
        if (is_gpt2) {
            file.set("gpt2.attention.layer_norm_epsilon", 1e-5f);
        } else {
            count("attention.head_count_kv", "num_key_value_heads");
            count("attention.key_length", "head_dim");
            file.set(arch + ".attention.layer_norm_rms_epsilon", 1e-6f);
        }
        for (auto const& [name, tensor] : model.tensors) {
            if (name == skipped) continue;
            std::vector<std::uint64_t> dims(tensor.shape.rbegin(), tensor.shape.rend());
            std::vector<float> data = tensor.values;
            bool const turns = name.find("q_proj") != name.npos || name.find("k_proj") != name.npos;
            if (arch == "llama" && turns)
                data = with_neighbours(tensor, c.at("head_dim").get<std::size_t>());
            if (is_gpt2 && dims.size() == 2 && name.find(".h.") != name.npos) {
                std::swap(dims[0], dims[1]);
                for (std::size_t r = 0; r < tensor.shape[0]; ++r)
                    for (std::size_t k = 0; k < tensor.shape[1]; ++k)
                        data[k * tensor.shape[0] + r] = tensor.values[r * tensor.shape[1] + k];
            }
            values.push_back(std::move(data));
            file.add(qtk::gguf_name(name), qtk::gguf_type::f32, dims,
                     std::as_bytes(std::span(values.back())));
        }
    }
};

}  // namespace qtk_test
