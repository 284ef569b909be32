// SPDX-License-Identifier: Apache-2.0
//
// A whole model folder that a test can bend: configuration and tensors in memory, written to a
// temporary folder that goes away with its owner.
#pragma once

#include <qtk/core/random.hpp>
#include <qtk/io/safetensors_writer.hpp>

#include <nlohmann/json.hpp>

#include <stdlib.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <map>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

namespace qtk_test {

class temporary_folder {
  public:
    temporary_folder() {
        std::string name = (std::filesystem::temp_directory_path() / "qtk_test_XXXXXX").string();
        if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary folder");
        path_ = name;
    }
    temporary_folder(temporary_folder const&) = delete;
    temporary_folder& operator=(temporary_folder const&) = delete;
    ~temporary_folder() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    [[nodiscard]] std::filesystem::path const& path() const { return path_; }

  private:
    std::filesystem::path path_;
};

struct float_tensor {
    std::vector<std::uint64_t> shape;
    std::vector<float> values;
};

/// config.json and model.safetensors before they are files.
struct model_folder {
    nlohmann::json config;
    std::map<std::string, float_tensor> tensors;

    void add(std::string const& name, std::vector<std::uint64_t> const& shape) {
        std::uint64_t size = 1;
        for (auto const side : shape) size *= side;
        tensors[name] = {shape, qtk::gaussian_vector(size, 1000 + tensors.size())};
    }

    void write(std::filesystem::path const& folder) const {
        std::ofstream(folder / "config.json") << config;
        qtk::safetensors_writer file;
        for (auto const& [name, tensor] : tensors)
            file.add(name, qtk::dtype::f32, tensor.shape, std::as_bytes(std::span(tensor.values)));
        file.write(folder / "model.safetensors");
    }
};

/// GPT-2 with 2 blocks, width 8, 2 heads, 11 tokens, a context of 6 and an inner width of 12.
inline model_folder tiny_gpt2(std::string const& root = "transformer.") {
    model_folder m;
    m.config = {{"model_type", "gpt2"}, {"n_layer", 2},     {"n_embd", 8},  {"n_head", 2},
                {"n_positions", 6},     {"vocab_size", 11}, {"n_inner", 12}};
    m.add(root + "wte.weight", {11, 8});
    m.add(root + "wpe.weight", {6, 8});
    for (int i = 0; i < 2; ++i) {
        std::string const block = root + "h." + std::to_string(i) + ".";
        for (char const* name : {"ln_1", "ln_2"}) {
            m.add(block + name + ".weight", {8});
            m.add(block + name + ".bias", {8});
        }
        m.add(block + "attn.c_attn.weight", {8, 24});
        m.add(block + "attn.c_attn.bias", {24});
        m.add(block + "attn.c_proj.weight", {8, 8});
        m.add(block + "attn.c_proj.bias", {8});
        m.add(block + "mlp.c_fc.weight", {8, 12});
        m.add(block + "mlp.c_fc.bias", {12});
        m.add(block + "mlp.c_proj.weight", {12, 8});
        m.add(block + "mlp.c_proj.bias", {8});
    }
    m.add(root + "ln_f.weight", {8});
    m.add(root + "ln_f.bias", {8});
    return m;
}

/// Llama with 2 blocks, width 8, 4 query and 2 key heads of 4, 11 tokens, an inner width of 10.
inline model_folder tiny_llama() {
    model_folder m;
    m.config = {{"model_type", "llama"},    {"num_hidden_layers", 2},       {"hidden_size", 8},
                {"num_attention_heads", 4}, {"num_key_value_heads", 2},     {"head_dim", 4},
                {"intermediate_size", 10},  {"max_position_embeddings", 6}, {"rms_norm_eps", 1e-6},
                {"vocab_size", 11}};
    m.add("model.embed_tokens.weight", {11, 8});
    for (int i = 0; i < 2; ++i) {
        std::string const block = "model.layers." + std::to_string(i) + ".";
        m.add(block + "input_layernorm.weight", {8});
        m.add(block + "post_attention_layernorm.weight", {8});
        m.add(block + "self_attn.q_proj.weight", {16, 8});
        m.add(block + "self_attn.k_proj.weight", {8, 8});
        m.add(block + "self_attn.v_proj.weight", {8, 8});
        m.add(block + "self_attn.o_proj.weight", {8, 16});
        m.add(block + "mlp.gate_proj.weight", {10, 8});
        m.add(block + "mlp.up_proj.weight", {10, 8});
        m.add(block + "mlp.down_proj.weight", {8, 10});
    }
    m.add("model.norm.weight", {8});
    m.add("lm_head.weight", {11, 8});
    return m;
}

/// OPT with 2 blocks, width 8, 2 heads, 11 tokens, a context of 6 and an inner width of 12.
inline model_folder tiny_opt(std::string const& root = "model.decoder.") {
    model_folder m;
    m.config = {{"model_type", "opt"}, {"num_hidden_layers", 2},       {"hidden_size", 8},
                {"ffn_dim", 12},       {"max_position_embeddings", 6}, {"num_attention_heads", 2},
                {"vocab_size", 11}};
    m.add(root + "embed_tokens.weight", {11, 8});
    m.add(root + "embed_positions.weight", {8, 8});
    for (int i = 0; i < 2; ++i) {
        std::string const block = root + "layers." + std::to_string(i) + ".";
        for (char const* name : {"self_attn_layer_norm", "final_layer_norm"}) {
            m.add(block + name + ".weight", {8});
            m.add(block + name + ".bias", {8});
        }
        for (char const* name : {"q_proj", "k_proj", "v_proj", "out_proj"}) {
            m.add(block + "self_attn." + name + ".weight", {8, 8});
            m.add(block + "self_attn." + name + ".bias", {8});
        }
        m.add(block + "fc1.weight", {12, 8});
        m.add(block + "fc1.bias", {12});
        m.add(block + "fc2.weight", {8, 12});
        m.add(block + "fc2.bias", {8});
    }
    m.add(root + "final_layer_norm.weight", {8});
    m.add(root + "final_layer_norm.bias", {8});
    return m;
}

}  // namespace qtk_test
