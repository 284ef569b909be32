// SPDX-License-Identifier: Apache-2.0
//
// What does each part of a network cost alone, and what is left when it alone is protected?
#pragma once

#include "costs.hpp"
#include "study.hpp"
#include <string>
#include <vector>

namespace app {

struct sensitivity {
    struct part_costs {
        std::string name;
        language_costs only, kept;  ///< it alone is quantized; it alone is not
        /// How sure is it that the part alone costs more than the mean part: one-sided, corrected by Holm's
        /// procedure for the number of parts of its kind.
        double p_above_mean = 1.0;
    };

    quantization how;
    double bits = 0.0;
    passage_losses original;
    language_costs quantized;
    std::vector<part_costs> blocks, kinds, modules;  ///< the last two with --modules
};

/// On text 0.
[[nodiscard]] sensitivity measure_sensitivity(fairness_study const& study, quantization const& how,
                                              bool has_modules, std::uint64_t seed);

}  // namespace app
