// SPDX-License-Identifier: Apache-2.0
//
// How does a folder become a network? A Hugging Face folder: config.json and safetensors, of one of
// the architectures that config.hpp knows. Everything is checked before anything is computed.
#pragma once

#include <qtk/core/nonfinite.hpp>
#include <qtk/io/checkpoint.hpp>
#include <qtk/io/limits.hpp>
#include <qtk/model/config.hpp>
#include <qtk/model/decoder.hpp>
#include <qtk/model/weights.hpp>

#include <cstddef>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace qtk {

struct load_options {
    nonfinite on_nonfinite = nonfinite::error;
    io_limits limits{};
};

namespace detail {

/// The head of an untied model; for a tied one the embedding serves, and a stored copy is skipped.
[[nodiscard]] inline std::optional<linear> load_head(weight_reader& file,
                                                     decoder_config const& config) {
    if (!config.has_tied_head)
        return linear("lm_head", file.weight("lm_head.weight", config.vocabulary, config.width));
    file.ignore("lm_head.weight");
    return {};
}

[[nodiscard]] inline decoder load_gpt2(weight_reader& file, decoder_config const& config) {
    // The bare network is published without the name of its wrapper.
    std::string const root = file.has("transformer.wte.weight") ? "transformer." : "";
    embedding table{file.weight(root + "wte.weight", config.vocabulary, config.width),
                    file.weight(root + "wpe.weight", config.context, config.width)};
    std::vector<gpt2_block> blocks;
    for (std::size_t i = 0; i < config.layers; ++i)
        blocks.push_back(gpt2_block::load(file, config, root + "h." + std::to_string(i) + "."));
    norm last{.type = norm::kind::layer,
              .weight = file.vector(root + "ln_f.weight", config.width),
              .bias = file.vector(root + "ln_f.bias", config.width),
              .epsilon = config.norm_epsilon};
    return {config, std::move(table), std::move(blocks), std::move(last), load_head(file, config)};
}

[[nodiscard]] inline decoder load_llama(weight_reader& file, decoder_config const& config) {
    std::string const root = file.has("model.embed_tokens.weight") ? "model." : "";
    embedding table{file.weight(root + "embed_tokens.weight", config.vocabulary, config.width), {}};
    auto const angles = std::make_shared<rotary const>(config.rope_theta, config.head_dim);
    std::vector<llama_block> blocks;
    for (std::size_t i = 0; i < config.layers; ++i) {
        blocks.push_back(
            llama_block::load(file, config, root + "layers." + std::to_string(i) + "."));
        blocks.back().set_rotary(angles);
    }
    norm last{.type = norm::kind::rms,
              .weight = file.vector(root + "norm.weight", config.width),
              .bias = {},
              .epsilon = config.norm_epsilon};
    return {config, std::move(table), std::move(blocks), std::move(last), load_head(file, config)};
}

}  // namespace detail

/// The network that `config` describes, with the weights of `file`. Throws io_error naming a tensor
/// that is missing, has another shape or has no place; nonfinite_error for NaN or infinite weights
/// unless the options say otherwise.
[[nodiscard]] inline decoder load_decoder(checkpoint const& file, decoder_config const& config,
                                          load_options const& options = {}) {
    weight_reader reader(file, options.on_nonfinite);
    decoder model = config.family == architecture::gpt2 ? detail::load_gpt2(reader, config)
                                                        : detail::load_llama(reader, config);
    reader.require_all_used();
    return model;
}

/// Reads `folder`: config.json and the weights. Throws system_error where a file is missing.
[[nodiscard]] inline decoder load_decoder(std::filesystem::path const& folder,
                                          load_options const& options = {}) {
    decoder_config const config = read_config(folder, options.limits);
    return load_decoder(checkpoint::open(folder, options.limits), config, options);
}

}  // namespace qtk
