// SPDX-License-Identifier: Apache-2.0
//
// `qtk eval --methods`: one table of method by scheme, every row paired with round to nearest.
#pragma once

#include "calibration_text.hpp"
#include "evaluation_text.hpp"
#include "output.hpp"
#include <cstdint>
#include <string>
#include <vector>

namespace app {

struct methods_options {
    std::string model, reference;
    std::vector<std::string> formats, methods;
    text_options text;
    calibration_options calibration;
    output_options output;
    std::uint64_t seed = 0;
};

/// Throws what its parts throw.
void run_methods(methods_options const& options);

}  // namespace app
