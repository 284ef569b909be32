// SPDX-License-Identifier: Apache-2.0
//
// `qtk quantize --method M --layout gguf`: a folder in, a GGUF file out in which the layers of blocks are the codes
// that the method has found.
#pragma once

#include "quantize_method.hpp"
#include <filesystem>

namespace app {

/// Throws qtk::value_error for a scheme without a GGUF type and for a method that does more than choose codes, and
/// what its parts throw.
void quantize_to_gguf(std::filesystem::path const& source, std::filesystem::path const& target,
                      method_output_options const& options);

}  // namespace app
