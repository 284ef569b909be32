// SPDX-License-Identifier: Apache-2.0
//
// What do the commands that write a model say and do alike? The plan, the work with its progress, the
// figures at the end.
#pragma once

#include "conversion.hpp"
#include "model_input.hpp"
#include <string>

namespace app {

struct conversion_figures {
    std::uint64_t weights = 0, bytes_in = 0, bytes_out = 0;
    /// Of the matrices that were to be quantized; and of those, what is in another type than asked for.
    std::uint64_t quantized_weights = 0, quantized_bytes = 0;
    std::uint64_t fallback_weights = 0, fallback_bytes = 0;
    std::size_t fallback_tensors = 0;
};
[[nodiscard]] conversion_figures figures_of(model_input const& input, conversion const& plan);

/// Shows the plan and does nothing (`is_dry`), or does the work; then the figures, as text or as JSON with
/// this schema.
void run_conversion(model_input const& input, conversion const& plan,
                    conversion_options const& options, bool is_dry, std::string const& json_target,
                    std::string const& schema);

}  // namespace app
