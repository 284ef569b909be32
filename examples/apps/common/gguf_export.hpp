// SPDX-License-Identifier: Apache-2.0
//
// How is a Hugging Face folder said in GGUF? Names, order of rows, metadata, tokenizer, as
// model/gguf_config.hpp, model/gguf_reader.hpp and io/gguf_tokenizer.hpp read them, and other programs with
// them. Architectures gpt2, llama, mistral (as llama), qwen2.
#pragma once

#include <qtk/io/gguf_writer.hpp>

#include "model_input.hpp"
#include <string>
#include <vector>

namespace app {

/// A tensor under its name in GGUF, in the order of the file.
struct exported_tensor {
    std::string name;
    input_tensor tensor;
    bool is_always_f32 = false;  ///< norms, biases, positions: programs expect them so
};

struct exported_folder {
    std::vector<exported_tensor> tensors;
    std::vector<std::string> notes;  ///< what the user must know of the file, in sentences
};

/// Sets the keys of network and tokenizer, and gives the tensors, rows in GGUF's order. Throws
/// qtk::io_error for a network that GGUF has no name for, for a tensor without a place, and where the
/// tokenizer would give other ids.
[[nodiscard]] exported_folder export_folder(model_input const& input, qtk::gguf_writer& writer);

}  // namespace app
