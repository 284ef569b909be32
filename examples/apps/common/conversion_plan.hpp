// SPDX-License-Identifier: Apache-2.0
//
// What will be in the output, and where? From an input and a recipe to the tensors, their types and their
// places, before anything is written.
#pragma once

#include <qtk/io/imatrix_file.hpp>

#include "conversion.hpp"
#include "model_input.hpp"
#include "recipe.hpp"
#include <filesystem>

namespace app {

/// A safetensors file in which the matrices of blocks have the scheme `usual`, unless the rules say
/// otherwise, and everything else is as it was. Throws qtk::value_error where nothing would be quantized,
/// qtk::io_error for an input that is quantized.
[[nodiscard]] conversion plan_safetensors(model_input const& input, tensor_recipe const& rules,
                                          tensor_action const& usual,
                                          std::filesystem::path const& target);

/// An importance matrix and the file that it is from.
struct imatrix_input {
    std::filesystem::path path;
    qtk::imatrix_file matrix;
};

/// A GGUF file; `usual` is a GGUF type: a float type for every matrix, another for those of blocks.
/// Where rows are no whole blocks, the step's action differs from what was wanted. With an importance
/// matrix the blocks weigh errors by it, and the file says so as llama.cpp's do; `method` goes into it as
/// qtk.method. Throws what export_folder() throws, and qtk::value_error if the importance is that of
/// another model.
[[nodiscard]] conversion plan_gguf(model_input const& input, tensor_recipe const& rules,
                                   tensor_action const& usual, std::filesystem::path const& target,
                                   imatrix_input const* importance = nullptr,
                                   std::string const& method = {});

/// A safetensors file in which everything that was quantized has the float type. Throws qtk::io_error where
/// nothing was.
[[nodiscard]] conversion plan_floats(model_input const& input, qtk::gguf_type type,
                                     std::filesystem::path const& target);

}  // namespace app
