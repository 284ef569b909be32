// SPDX-License-Identifier: Apache-2.0
//
// Where do the joules of a run come from? From the counters of the processor or of the GPU, read before and after it,
// or later from the recorded trace of a meter that was on at that time (a plug, a power supply).
#pragma once

#include "observation_file.hpp"
#include <functional>
#include <string>
#include <vector>

namespace app {

struct energy_source_options {
    std::string meter = "auto", powercap = "/sys/class/powercap";
    std::vector<std::string> traces;
    double trace_offset = 0.0;  ///< Added to the seconds of the traces.

    /// qtk::value_error for flags that do not go together, and for a meter that does not see what runs.
    void require(bool is_cuda) const;
    /// Do joules come from traces, now or later?
    [[nodiscard]] bool is_trace() const { return meter == "trace" || !traces.empty(); }
};

/// A meter that is there. Idle power is inside its joules.
struct run_meter {
    std::string description;
    std::function<double()> read;
};

/// The counters of the processor, or of the GPU of this name. qtk::value_error that says what is missing and what can
/// be done without a meter.
[[nodiscard]] run_meter open_meter(energy_source_options const& options, bool is_cuda,
                                   std::string const& device);

/// Gives every run that has no joules those of the traces between its start and its end. qtk::io_error for a file
/// that is no trace; qtk::value_error for a run that none of them covers.
void take_joules(observation_record& record, energy_source_options const& options);

/// "recorded trace a.csv, b.csv".
[[nodiscard]] std::string trace_names(energy_source_options const& options);

}  // namespace app
