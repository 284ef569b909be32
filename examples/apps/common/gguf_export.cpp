// SPDX-License-Identifier: Apache-2.0
#include "gguf_export.hpp"

#include <qtk/core/error.hpp>
#include <qtk/model/config.hpp>
#include <qtk/model/gguf_reader.hpp>
#include <qtk/model/rotary.hpp>

#include "gguf_tokenizer_export.hpp"
#include <algorithm>
#include <charconv>
#include <tuple>
#include <utility>

namespace app {
namespace {

/// Buffers that some folders hold and every program makes for itself.
[[nodiscard]] bool is_buffer(std::string_view name) noexcept {
    for (std::string_view const ending :
         {".attn.bias", ".attn.masked_bias", ".rotary_emb.inv_freq"})
        if (name.ends_with(ending)) return true;
    return false;
}

/// GGUF has one activation for each architecture.
void require_expressible(qtk::decoder_config const& c, std::string const& path,
                         std::string const& type) {
    auto const refuse = [&](char const* what) {
        throw qtk::io_error(path, std::string(what) + ", which GGUF cannot say of " + type);
    };
    if (c.family == qtk::architecture::opt)
        throw qtk::io_error(path,
                            "model_type: opt has no name in GGUF; gpt2, llama, mistral and "
                            "qwen2 have");
    bool const is_gpt2 = c.family == qtk::architecture::gpt2;
    if (c.act != (is_gpt2 ? qtk::activation::gelu_tanh : qtk::activation::silu))
        refuse("the activation is an unusual one");
    if (c.full_layers != 0) refuse("only some layers see a window");
}

void set_network(qtk::gguf_writer& writer, qtk::decoder_config const& c, std::string const& type) {
    bool const is_gpt2 = c.family == qtk::architecture::gpt2;
    std::string const name = type == "mistral" ? "llama" : type, prefix = name + ".";
    writer.set("general.architecture", name);
    auto const count = [&](char const* key, std::size_t value) {
        writer.set(prefix + key, static_cast<std::uint32_t>(value));
    };
    count("block_count", c.layers);
    count("context_length", c.context);
    count("embedding_length", c.width);
    count("feed_forward_length", c.inner);
    count("attention.head_count", c.heads);
    if (is_gpt2) {
        writer.set(prefix + "attention.layer_norm_epsilon", c.norm_epsilon);
        return;
    }
    count("attention.head_count_kv", c.kv_heads);
    count("attention.key_length", c.head_dim);
    count("attention.value_length", c.head_dim);
    count("vocab_size", c.vocabulary);
    count("rope.dimension_count", c.head_dim);
    if (c.window != 0) count("attention.sliding_window", c.window);
    writer.set(prefix + "attention.layer_norm_rms_epsilon", c.norm_epsilon);
    writer.set(prefix + "rope.freq_base", static_cast<float>(c.rope_theta));
    if (c.scaling.type == qtk::rope_scaling::kind::linear) {
        writer.set(prefix + "rope.scaling.type", "linear");
        writer.set(prefix + "rope.scaling.factor", static_cast<float>(c.scaling.factor));
    }
}

/// What Llama 3's scaling divides the frequencies by.
[[nodiscard]] exported_tensor frequency_divisors(qtk::decoder_config const& c) {
    auto const plain = qtk::rope_frequencies(c.rope_theta, c.head_dim),
               scaled = qtk::rope_frequencies(c.rope_theta, c.head_dim, c.scaling);
    std::vector<float> divisors;
    for (std::size_t i = 0; i < plain.size(); ++i)
        divisors.push_back(static_cast<float>(plain[i] / scaled[i]));
    std::uint64_t const n = divisors.size();
    return {"rope_freqs.weight",
            {"rope_freqs.weight", "F32", {n}, 4 * n, rows_of(std::move(divisors))},
            true};
}

/// A bias in the order of paired_rows_of().
[[nodiscard]] shared_rows paired_bias(row_source const& from, std::size_t head_dim) {
    std::vector<float> all(from.cols()), paired(from.cols());
    from.read(0, {all.data(), 1, all.size()});
    for (std::size_t i = 0; i < all.size(); ++i) {
        std::size_t const in_head = i % head_dim;
        paired[i] = all[i - in_head + in_head / 2 + (in_head % 2 == 1 ? head_dim / 2 : 0)];
    }
    return rows_of(std::move(paired));
}

/// The embedding, the blocks by their numbers, what comes behind them.
[[nodiscard]] std::tuple<int, unsigned, std::string> order_of(std::string const& name) {
    if (!name.starts_with("blk.")) return {name.starts_with("output") ? 2 : 0, 0u, name};
    unsigned number = 0;
    std::from_chars(name.data() + 4, name.data() + name.size(), number);
    return {1, number, name};
}

}  // namespace

exported_folder export_folder(model_input const& input, qtk::gguf_writer& writer) {
    if (!input.is_folder())
        throw qtk::value_error(
            input.path().string() +
            ": a GGUF file says what network it holds. Hint: give the folder with "
            "config.json and the tokenizer, not only the weights");
    qtk::decoder_config const c = qtk::read_config(input.path());
    std::string const type = input.architecture(), path = (input.path() / "config.json").string();
    require_expressible(c, path, type);
    set_network(writer, c, type);
    writer.set("general.name", std::filesystem::weakly_canonical(input.path()).filename().string());
    exported_folder folder;
    if (auto const note = export_tokenizer(input.path(), c, writer)) folder.notes.push_back(*note);

    bool const is_paired = type == "llama" || type == "mistral";
    std::vector<exported_tensor>& all = folder.tensors;
    for (input_tensor const& tensor : input.tensors()) {
        if (is_buffer(tensor.name) || (c.has_tied_head && tensor.name == "lm_head.weight"))
            continue;
        exported_tensor e{qtk::gguf_name(tensor.name), tensor};
        if (tensor.turned) {
            e.tensor.rows = tensor.turned;
            std::ranges::reverse(e.tensor.shape);
        }
        if (e.name.empty() || !tensor.rows->has_floats())
            throw qtk::io_error(
                input.path().string(),
                "tensor " + qtk::quoted(tensor.name) + " has no place in a GGUF file of " + type);
        bool const is_turning = is_paired && (e.name.find(".attn_q.") != e.name.npos ||
                                              e.name.find(".attn_k.") != e.name.npos);
        bool const is_bias = tensor.shape.size() == 1;
        std::uint64_t const rows = tensor.shape.empty() ? 0 : tensor.shape.front();
        if (is_turning && (rows == 0 || rows % c.head_dim != 0))
            throw qtk::io_error(input.path().string(),
                                "tensor " + qtk::quoted(tensor.name) + ": " + std::to_string(rows) +
                                    " rows are no whole heads of " + std::to_string(c.head_dim));
        if (is_turning)
            e.tensor.rows = is_bias ? paired_bias(*tensor.rows, c.head_dim)
                                    : paired_rows_of(tensor.rows, c.head_dim);
        e.is_always_f32 = is_bias || e.name == "position_embd.weight";
        all.push_back(std::move(e));
    }
    if (c.scaling.type == qtk::rope_scaling::kind::llama3) all.push_back(frequency_divisors(c));
    std::ranges::sort(all, {}, [](exported_tensor const& e) { return order_of(e.name); });
    return folder;
}

}  // namespace app
