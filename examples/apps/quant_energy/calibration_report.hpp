// SPDX-License-Identifier: Apache-2.0
//
// How is a calibration told? Coefficients with their intervals, how well they predict kernels they were not fitted
// to, and, of a rehearsal, whether they are those that were planted.
#pragma once

#include <qtk/energy/coefficients.hpp>
#include <qtk/energy/observation.hpp>

#include "output.hpp"
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace app {

/// The error of held-out kernels that a calibration should stay under.
inline constexpr double most_mape = 0.15;

struct calibration_outcome {
    qtk::coefficient_table table;  ///< With its calibration_record.
    std::vector<qtk::kernel_observation> observations;
    std::vector<std::size_t> held_out;  ///< Which of them were not fitted.
    std::vector<double> planted;        ///< By coefficient; none where something was measured.
    std::string planted_name;           ///< The table they are from.
    std::vector<std::string> warnings;
    std::uint64_t seed = 0;

    [[nodiscard]] qtk::calibration_record const& record() const { return *table.calibration; }
    [[nodiscard]] bool is_rehearsal() const noexcept { return !planted.empty(); }
    [[nodiscard]] bool is_inside(std::size_t coefficient) const;
    [[nodiscard]] double predicted(std::size_t observation) const;
};

[[nodiscard]] std::string calibration_text(calibration_outcome const& outcome);
[[nodiscard]] json calibration_json(calibration_outcome const& outcome);
[[nodiscard]] std::string calibration_html(calibration_outcome const& outcome);

}  // namespace app
