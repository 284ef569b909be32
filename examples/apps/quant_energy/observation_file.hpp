// SPDX-License-Identifier: Apache-2.0
//
// What was measured already? Kernels with their work, time and joules in a JSON file, written anew after each of
// them, so that a calibration that was stopped goes on where it was, and so that kernels which another program
// has measured (on a GPU, say) are fitted by the same command:
//
//     {"format": "qtk energy observations 1", "machine": "...", "meter": "...", "date": "...",
//      "observations": [
//        {"name": "w8a8, far, one row", "seconds": 2.1, "joules": 31.5, "start": 1767225600.0,
//         "works": [{"macs": 1e11, "weights": 1e11, "weight": {"kind": "integer", "bits": 8},
//                    "activation": {...}, "accumulator": {...}, "moved": {"dram": 8e11, "sram_1mib": 9e11}}]}]}
//
// `start` (seconds since 1970) may be left out, `works` are none where a pause was measured, and `joules` are
// missing where they are still to come from the recorded trace of another meter.
#pragma once

#include <qtk/energy/observation.hpp>

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace app {

/// One run between two readings. `kernel.joules` counts where `has_joules`.
struct recorded_run {
    qtk::kernel_observation kernel;
    double start = 0.0;  ///< Seconds since 1970; 0 where it is not known.
    bool has_joules = false;
};

struct observation_record {
    std::string machine, meter, date;
    std::vector<recorded_run> runs;

    /// Those of all runs; qtk::value_error naming the first that has no joules.
    [[nodiscard]] std::vector<qtk::kernel_observation> observations() const;
};

/// None where there is no such file; qtk::io_error naming the file and what is wrong in it.
[[nodiscard]] std::optional<observation_record> find_observations(std::string const& path);

/// The whole file or nothing. Throws qtk::system_error.
void write_observations(std::string const& path, observation_record const& record);

}  // namespace app
