// SPDX-License-Identifier: Apache-2.0
//
// What network do these weights belong to? The config.json of a Hugging Face folder, of model type
// gpt2, llama, mistral, qwen2 or opt, checked field by field: what would change the computation and
// is not implemented is refused, never ignored.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/io/limits.hpp>
#include <qtk/io/mapped_file.hpp>
#include <qtk/io/strict_json.hpp>
#include <qtk/model/config_gpt.hpp>
#include <qtk/model/config_llama.hpp>
#include <qtk/model/config_reader.hpp>
#include <qtk/model/decoder_config.hpp>

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace qtk {

namespace detail {

struct unknown_network {
    std::string_view type, what;
};

/// Networks that many know, and what they have that qtk has not: it is no matter of another name.
inline constexpr unknown_network unknown_networks[] = {
    {"bert", "an encoder, which sees the whole text and predicts no next token"},
    {"bloom", "a decoder with distances added to its scores (ALiBi)"},
    {"falcon", "a decoder with parallel parts in a block"},
    {"gemma", "a decoder with a scaled embedding and norms around 1"},
    {"gemma2", "a decoder with four norms a block and capped scores"},
    {"gemma3", "a network of text and images with four norms a block"},
    {"gemma3_text", "a decoder with four norms a block and two kinds of angles"},
    {"gpt_neox", "a decoder with parallel parts in a block and angles for a part of a head"},
    {"gptj", "a decoder with parallel parts in a block and angles for a part of a head"},
    {"mamba", "a state space network without attention"},
    {"mixtral", "a decoder with a choice of experts in each block"},
    {"phi", "a decoder with parallel parts in a block and angles for a part of a head"},
    {"phi3", "a decoder with fused layers and two sets of angles"},
    {"qwen2_moe", "a decoder with a choice of experts in each block"},
    {"qwen3", "a decoder with norms of queries and keys"},
    {"qwen3_moe", "a decoder with norms of queries and keys and a choice of experts"},
    {"t5", "an encoder and a decoder, for translation"},
};

[[noreturn]] inline void refuse_type(config_reader const& json, std::string const& type) {
    for (unknown_network const& network : unknown_networks)
        if (network.type == type)
            throw io_error(json.path(), "model_type: " + type + " is " + std::string(network.what) +
                                            ", which qtk does not run; it runs gpt2, llama, "
                                            "mistral, qwen2 and opt");
    json.refuse("model_type", "gpt2, llama, mistral, qwen2 or opt", type);
}

}  // namespace detail

/// Which weights a reader of config.json can make use of.
enum class accepted_weights : std::uint8_t {
    floats,  ///< a quantization_config is refused
    any      ///< quantization_config is somebody else's (io/quantization_config.hpp)
};

/// Reads the text of a config.json; `path` serves in messages. Throws io_error.
[[nodiscard]] inline decoder_config parse_config(
    std::string_view text, std::string const& path, io_limits const& limits = {},
    accepted_weights accepted = accepted_weights::floats) {
    nlohmann::json const object = parse_strict_json(text, path, limits);
    if (!object.is_object()) throw io_error(path, "expected a JSON object");
    detail::config_reader const json(object, path);
    decoder_config c;
    std::string const type = json.text("model_type");
    if (type == "gpt2") {
        c.family = architecture::gpt2;
        detail::read_gpt2(json, c);
    } else if (type == "llama" || type == "mistral" || type == "qwen2") {
        c.family = architecture::llama;
        detail::read_llama(json, type, c);
    } else if (type == "opt") {
        c.family = architecture::opt;
        detail::read_opt(json, c);
    } else {
        detail::refuse_type(json, type);
    }
    if (auto const* const found = json.find("quantization_config");
        found != nullptr && accepted == accepted_weights::floats)
        json.refuse("quantization_config", "float weights", *found);
    c.vocabulary = json.count("vocab_size", limits.vocabulary);
    auto const bos = json.tokens("bos_token_id", c.vocabulary);
    if (bos.size() > 1) json.refuse("bos_token_id", "one token", *json.find("bos_token_id"));
    if (!bos.empty()) c.bos = bos.front();
    c.eos = json.tokens("eos_token_id", c.vocabulary);
    return c;
}

/// Reads `folder`/config.json. Throws system_error if it is not there, io_error if it is faulty.
[[nodiscard]] inline decoder_config read_config(
    std::filesystem::path const& folder, io_limits const& limits = {},
    accepted_weights accepted = accepted_weights::floats) {
    mapped_file const file =
        mapped_file::open(folder / "config.json", io_mode::read, limits.json_bytes);
    return parse_config(file.text(), file.path(), limits, accepted);
}

}  // namespace qtk
