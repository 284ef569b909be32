// SPDX-License-Identifier: Apache-2.0
//
// Which tokenizer does a GGUF file bring along? The keys tokenizer.ggml.* as a tokenizer_source.
#pragma once

#include <qtk/io/gguf.hpp>
#include <qtk/io/tokenizer.hpp>
#include <qtk/io/tokenizer_source.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace qtk {

/// Throws io_error naming the key that is missing or faulty, or the tokenizer that is not known.
[[nodiscard]] inline tokenizer gguf_tokenizer(gguf_file const& file, io_limits const& limits = {}) {
    gguf_metadata const& keys = file.metadata();
    auto const key = [](char const* name) { return "tokenizer.ggml." + std::string(name); };
    auto const strings = [&](char const* name) {
        return keys.get_or<std::vector<std::string_view>>(key(name), {});
    };
    auto const id = [&](char const* name) -> std::optional<std::int32_t> {
        if (keys.find(key(name)) == nullptr) return std::nullopt;
        return keys.get<std::int32_t>(key(name));
    };
    tokenizer_source source;
    source.model = keys.get<std::string>(key("model"));
    source.pre = keys.get_or<std::string>(key("pre"), "default");
    source.tokens = keys.get<std::vector<std::string_view>>(key("tokens"));
    source.scores = keys.get_or<std::vector<float>>(key("scores"), {});
    source.token_types = keys.get_or<std::vector<std::int32_t>>(key("token_type"), {});
    source.merges = strings("merges");
    source.bos = id("bos_token_id");
    source.eos = id("eos_token_id");
    // Llama's SentencePiece vocabularies begin with BOS unless the file says otherwise.
    source.add_bos = keys.get_or<bool>(key("add_bos_token"), source.model == "llama");
    source.add_eos = keys.get_or<bool>(key("add_eos_token"), false);
    source.add_space_prefix = keys.get_or<bool>(key("add_space_prefix"), true);
    return tokenizer::from(source, file.path(), limits);
}

}  // namespace qtk
