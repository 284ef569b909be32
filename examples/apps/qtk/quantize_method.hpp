// SPDX-License-Identifier: Apache-2.0
//
// `qtk quantize --method`: a folder in, a calibrated and quantized folder out that other programs load, or a
// GGUF file (quantize_gguf.hpp).
#pragma once

#include "calibration_text.hpp"
#include "conversion.hpp"
#include <filesystem>
#include <string>
#include <vector>

namespace app {

struct method_output_options {
    std::string method, scheme, json_target;
    std::string layout = "gptq";
    std::vector<std::string> rules;  ///< PATTERN=keep protects layers
    std::string recipe_file;
    bool is_dry = false;
    conversion_options work;  ///< of --layout gguf alone
    calibration_options calibration;

    void add_to(CLI::App& command);
};

/// Throws qtk::value_error for options that do not go together, and what its parts throw.
void quantize_with_method(std::filesystem::path const& source, std::filesystem::path const& target,
                          method_output_options const& options);

}  // namespace app
