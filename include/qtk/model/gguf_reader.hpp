// SPDX-License-Identifier: Apache-2.0
//
// How does a network find its weights in a GGUF file? By translated names, and where they lie: matrices
// are multiplied from the mapped file, in the type that they have there.
//
//   transformer.h.3.mlp.c_fc.weight            blk.3.ffn_up.weight
//   model.layers.3.self_attn.q_proj.weight     blk.3.attn_q.weight
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/core/nonfinite.hpp>
#include <qtk/io/gguf.hpp>
#include <qtk/io/utf8.hpp>
#include <qtk/model/weights.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

namespace qtk {

/// The name in a GGUF file of a tensor of GPT-2, Llama, Mistral or Qwen2; empty if it has none.
[[nodiscard]] inline std::string gguf_name(std::string_view name) {
    using entry = std::pair<std::string_view, std::string_view>;
    constexpr std::array<entry, 6> whole{{{"wte", "token_embd"},
                                          {"embed_tokens", "token_embd"},
                                          {"wpe", "position_embd"},
                                          {"ln_f", "output_norm"},
                                          {"norm", "output_norm"},
                                          {"lm_head", "output"}}};
    constexpr std::array<entry, 15> parts{{{"ln_1", "attn_norm"},
                                           {"attn.c_attn", "attn_qkv"},
                                           {"attn.c_proj", "attn_output"},
                                           {"ln_2", "ffn_norm"},
                                           {"mlp.c_fc", "ffn_up"},
                                           {"mlp.c_proj", "ffn_down"},
                                           {"input_layernorm", "attn_norm"},
                                           {"self_attn.q_proj", "attn_q"},
                                           {"self_attn.k_proj", "attn_k"},
                                           {"self_attn.v_proj", "attn_v"},
                                           {"self_attn.o_proj", "attn_output"},
                                           {"post_attention_layernorm", "ffn_norm"},
                                           {"mlp.gate_proj", "ffn_gate"},
                                           {"mlp.up_proj", "ffn_up"},
                                           {"mlp.down_proj", "ffn_down"}}};
    if (name == "rope_freqs.weight") return std::string(name);
    for (std::string_view const root : {"transformer.", "model."})
        if (name.starts_with(root)) name.remove_prefix(root.size());
    std::size_t const dot = name.rfind('.');
    if (dot == name.npos) return {};
    std::string_view const ending = name.substr(dot);
    std::string_view stem = name.substr(0, dot);
    auto const found = [&](auto const& table, std::string const& prefix) -> std::string {
        for (auto const& [theirs, ours] : table)
            if (stem == theirs) return prefix + std::string(ours) + std::string(ending);
        return {};
    };
    for (std::string_view const blocks : {"h.", "layers."})
        if (stem.starts_with(blocks)) {
            stem.remove_prefix(blocks.size());
            std::size_t const end = stem.find('.');
            if (end == stem.npos) return {};
            std::string const prefix = "blk." + std::string(stem.substr(0, end)) + ".";
            stem.remove_prefix(end + 1);
            return found(parts, prefix);
        }
    return found(whole, "");
}

class gguf_reader final : public weight_reader {
  public:
    explicit gguf_reader(std::shared_ptr<gguf_file const> file) : file_(std::move(file)) {}

    [[nodiscard]] bool has(std::string_view name) const override {
        return file_->find(gguf_name(name)) != nullptr;
    }
    [[nodiscard]] std::vector<float> vector(std::string const& name, std::size_t size) override {
        gguf_tensor const& tensor = checked(name, 1, size);
        std::vector<float> values = file_->floats(tensor);
        require_finite(find_nonfinite(values), where(tensor), size);
        return values;
    }
    [[nodiscard]] weight_matrix weight(std::string const& name, std::size_t rows,
                                       std::size_t cols) override {
        gguf_tensor const& tensor = checked(name, rows, cols);
        gguf_view const view = file_->view(tensor);
        require_finite(find_nonfinite(view), where(tensor), cols);
        // As ggml does, activations become int8 where there is a kernel for it.
        return stored_weight{
            view, file_,
            has_int8_kernel(view.type) ? activation_type::a8_group : activation_type::f32};
    }
    /// GGUF holds [rows, cols] for these, too.
    [[nodiscard]] weight_matrix transposed(std::string const& name, std::size_t rows,
                                           std::size_t cols) override {
        return weight(name, rows, cols);
    }
    void ignore(std::string const& name) override { used_.insert(gguf_name(name)); }

    void require_all_used() const override {
        for (gguf_tensor const& tensor : file_->tensors())
            if (!used_.contains(std::string(tensor.name)))
                throw io_error(file_->path(),
                               "tensor " + qtk::quoted(tensor.name) +
                                   " has no place in the network that the metadata describe");
    }

  private:
    [[nodiscard]] std::string where(gguf_tensor const& tensor) const {
        return file_->path() + ": tensor " + qtk::quoted(tensor.name);
    }
    [[nodiscard]] gguf_tensor const& checked(std::string const& name, std::size_t rows,
                                             std::size_t cols) {
        gguf_tensor const& tensor = file_->at(gguf_name(name));
        if (tensor.dims[0] != cols || tensor.dims[1] != rows || tensor.dims[2] != 1 ||
            tensor.dims[3] != 1)
            throw io_error(file_->path(), "tensor " + qtk::quoted(tensor.name) +
                                              ": the metadata want " + std::to_string(rows) +
                                              " rows of " + std::to_string(cols) + ", found " +
                                              to_string(tensor));
        used_.insert(std::string(tensor.name));
        return tensor;
    }

    std::shared_ptr<gguf_file const> file_;
    std::unordered_set<std::string> used_;
};

}  // namespace qtk
