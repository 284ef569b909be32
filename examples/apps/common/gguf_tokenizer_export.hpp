// SPDX-License-Identifier: Apache-2.0
//
// How is a Hugging Face tokenizer said in GGUF? Tokens with their types, and either merges and the name of
// a split (byte-level BPE) or scores (SentencePiece); checked by giving both the same texts.
#pragma once

#include <qtk/io/gguf_writer.hpp>
#include <qtk/model/decoder_config.hpp>

#include <filesystem>
#include <optional>
#include <string>

namespace app {

/// Sets the keys tokenizer.ggml.*. What comes back is a note for the user where GGUF has no word for a rule of the
/// tokenizer that few texts meet. Throws qtk::io_error for a tokenizer that GGUF cannot say, or says so that it gives
/// other ids for ordinary texts.
[[nodiscard]] std::optional<std::string> export_tokenizer(std::filesystem::path const& folder,
                                                          qtk::decoder_config const& config,
                                                          qtk::gguf_writer& writer);

}  // namespace app
