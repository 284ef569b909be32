// SPDX-License-Identifier: Apache-2.0
//
// How does a folder become a network? A Hugging Face folder: config.json and safetensors, of one of
// the architectures that config.hpp knows, with weights that are floats or lie in one of the published
// layouts of quantized layers. Everything is checked before anything is computed.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/core/matrix.hpp>
#include <qtk/core/nonfinite.hpp>
#include <qtk/io/checkpoint.hpp>
#include <qtk/io/limits.hpp>
#include <qtk/io/quantization_config_reader.hpp>
#include <qtk/math/blas.hpp>
#include <qtk/model/block_weights.hpp>
#include <qtk/model/checkpoint_reader.hpp>
#include <qtk/model/config.hpp>
#include <qtk/model/decoder.hpp>
#include <qtk/model/gguf_config.hpp>
#include <qtk/model/gguf_reader.hpp>
#include <qtk/model/quantized_reader.hpp>
#include <qtk/model/weights.hpp>

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace qtk {

struct load_options {
    nonfinite on_nonfinite = nonfinite::error;
    weight_loading weights = weight_loading::floats;
    io_limits limits{};
    /// Told what a quantized model's files say and this program does not do; null: nobody asks.
    std::function<void(std::string const&)> note = {};
};

namespace detail {

/// The head of an untied model; for a tied one the embedding serves, and a stored copy is skipped.
[[nodiscard]] inline std::optional<linear> load_head(weight_reader& file,
                                                     decoder_config const& config) {
    if (!config.has_tied_head)
        return linear("lm_head",
                      file.weight("lm_head.weight", config.vocabulary,
                                  config.token_width == 0 ? config.width : config.token_width));
    file.ignore("lm_head.weight");
    return {};
}

[[nodiscard]] inline decoder load_gpt2(weight_reader& file, decoder_config const& config) {
    // The bare network is published without the name of its wrapper.
    std::string const root = file.has("transformer.wte.weight") ? "transformer." : "";
    embedding table{file.weight(root + "wte.weight", config.vocabulary, config.width),
                    file.weight(root + "wpe.weight", config.context, config.width).floats()};
    std::vector<gpt2_block> blocks;
    for (std::size_t i = 0; i < config.layers; ++i)
        blocks.push_back(gpt2_block::load(file, config, root + "h." + std::to_string(i) + "."));
    norm last = read_norm(file, root + "ln_f", norm::kind::layer, config);
    return {config, std::move(table), std::move(blocks), std::move(last), load_head(file, config)};
}

[[nodiscard]] inline decoder load_llama(weight_reader& file, decoder_config const& config) {
    std::string const root = file.has("model.embed_tokens.weight") ? "model." : "";
    embedding table{file.weight(root + "embed_tokens.weight", config.vocabulary, config.width), {}};
    std::vector<double> frequencies =
        rope_frequencies(config.rope_theta, config.head_dim, config.scaling);
    // GGUF files hold the divisors that Llama 3's scaling comes to.
    if (std::string const name = "rope_freqs.weight"; file.has(name)) {
        std::vector<float> const divisors = file.vector(name, frequencies.size());
        for (std::size_t i = 0; i < divisors.size(); ++i)
            frequencies[i] /= static_cast<double>(divisors[i]);
    }
    auto const angles = std::make_shared<rotary const>(std::move(frequencies), config.pairs);
    decoder_config layer = config;
    std::vector<llama_block> blocks;
    for (std::size_t i = 0; i < config.layers; ++i) {
        layer.window = config.window_of(i);
        blocks.push_back(
            llama_block::load(file, layer, root + "layers." + std::to_string(i) + "."));
        blocks.back().set_rotary(angles);
    }
    norm last = read_norm(file, root + "norm", norm::kind::rms, config);
    return {config, std::move(table), std::move(blocks), std::move(last), load_head(file, config)};
}

/// Tokens of another width than the blocks': the two matrices between the widths are multiplied
/// into the embedding and into the head, which then have the blocks' width.
inline void project_tokens(weight_reader& file, decoder_config const& config,
                           std::string const& root, weight_matrix& tokens,
                           std::optional<linear>& head) {
    std::size_t const narrow = config.token_width, width = config.width;
    matrix const in = file.weight(root + "project_in.weight", width, narrow).floats();
    matrix const out = file.weight(root + "project_out.weight", narrow, width).floats();
    matrix const narrow_tokens = tokens.floats(),
                 narrow_head = head ? head->form().floats() : narrow_tokens;
    matrix wide_tokens(tokens.rows(), width), wide_head(tokens.rows(), width);
    // Logits are head (out x), that is (head out) x.
    matmul<factor::plain>(narrow_head.view(), out.view(), wide_head.view());
    matmul(narrow_tokens.view(), in.view(), wide_tokens.view());
    tokens = std::move(wide_tokens);
    head = linear("lm_head", std::move(wide_head));
}

[[nodiscard]] inline decoder load_opt(weight_reader& file, decoder_config const& config) {
    std::string const root =
        file.has("model.decoder.embed_tokens.weight") ? "model.decoder." : "decoder.";
    // The first two rows stood for padding: position 0 is row 2.
    constexpr std::size_t unused = 2;
    std::size_t const token_width = config.token_width == 0 ? config.width : config.token_width;
    weight_matrix tokens =
        file.weight(root + "embed_tokens.weight", config.vocabulary, token_width);
    matrix const stored =
        file.weight(root + "embed_positions.weight", config.context + unused, config.width)
            .floats();
    matrix positions(config.context, config.width);
    std::copy_n(stored.data() + unused * config.width, positions.view().size(), positions.data());
    std::vector<opt_block> blocks;
    for (std::size_t i = 0; i < config.layers; ++i)
        blocks.push_back(opt_block::load(file, config, root + "layers." + std::to_string(i) + "."));
    norm last = read_norm(file, root + "final_layer_norm",
                          config.has_last_norm ? norm::kind::layer : norm::kind::none, config);
    std::optional<linear> head = load_head(file, config);
    if (token_width != config.width) project_tokens(file, config, root, tokens, head);
    return {config, embedding{std::move(tokens), std::move(positions)}, std::move(blocks),
            std::move(last), std::move(head)};
}

[[nodiscard]] inline decoder load_family(weight_reader& file, decoder_config const& config) {
    switch (config.family) {
        case architecture::gpt2:
            return load_gpt2(file, config);
        case architecture::llama:
            return load_llama(file, config);
        case architecture::opt:
            return load_opt(file, config);
    }
    throw value_error("load_decoder: an unknown architecture");
}

[[nodiscard]] inline decoder build_decoder(weight_reader& reader, decoder_config const& config) {
    decoder model = load_family(reader, config);
    reader.require_all_used();
    return model;
}

}  // namespace detail

/// The network that `config` describes, with the weights of `file`. Throws io_error naming a tensor
/// that is missing, has another shape or has no place; nonfinite_error for NaN or infinite weights
/// unless the options say otherwise.
[[nodiscard]] inline decoder load_decoder(std::shared_ptr<checkpoint const> file,
                                          decoder_config const& config,
                                          load_options const& options = {}) {
    checkpoint_reader reader(std::move(file), options.on_nonfinite, options.weights);
    return detail::build_decoder(reader, config);
}

/// The network of a GGUF file, multiplied where it lies. Throws io_error naming a key or a tensor that is
/// missing, has another shape or has no place; nonfinite_error for NaN or infinite floats.
[[nodiscard]] inline decoder load_decoder(std::shared_ptr<gguf_file const> file) {
    decoder_config const config = read_gguf_config(*file);
    gguf_reader reader(std::move(file));
    return detail::build_decoder(reader, config);
}

/// Reads `folder`: config.json and the weights, floats or in the layout that quantization_config names.
/// Throws system_error where a file is missing, io_error for a layout that is not known or malformed.
[[nodiscard]] inline decoder load_decoder(std::filesystem::path const& folder,
                                          load_options const& options = {}) {
    decoder_config const config = read_config(folder, options.limits, accepted_weights::any);
    auto const quantized = read_quantization_config(folder, options.limits);
    auto file = std::make_shared<checkpoint const>(checkpoint::open(folder, options.limits));
    if (!quantized) return load_decoder(std::move(file), config, options);
    quantized_reader reader(std::move(file), *quantized, options.on_nonfinite, options.weights);
    decoder model = detail::build_decoder(reader, config);
    if (options.note)
        for (std::string const& text : reader.notes()) options.note(text);
    return model;
}

}  // namespace qtk
