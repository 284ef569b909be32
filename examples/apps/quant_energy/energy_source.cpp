// SPDX-License-Identifier: Apache-2.0
#include "energy_source.hpp"

#include <qtk/core/error.hpp>
#include <qtk/energy/nvml.hpp>
#include <qtk/io/mapped_file.hpp>

#include <fmt/format.h>

#include <utility>

namespace app {
namespace {

/// What the traces say of this time, or nothing where none covers it.
bool find_joules(std::vector<std::vector<qtk::trace_point>> const& traces, double begin,
                 double seconds, double& found) {
    for (auto const& points : traces) {
        if (points.empty() || begin < points.front().seconds ||
            begin + seconds > points.back().seconds)
            continue;
        qtk::trace_meter meter(points);
        meter.advance(begin - points.front().seconds);
        auto const before = meter.read();
        meter.advance(seconds);
        found = (meter.read() - before).count();
        return true;
    }
    return false;
}

}  // namespace

void energy_source_options::require() const {
    if (meter == "nvml")
        throw qtk::value_error(
            "--meter nvml: NVML measures the GPU, and the kernels of calibrate run on the CPU, "
            "whose joules it does not see. Hint: run kernels of the GPU between two readings of "
            "qtk::nvml_meter, write them as observations, and fit them with --fit-only "
            "--observations FILE (docs/how-to/calibrate-energy.md)");
    if (meter != "auto" && meter != "rapl" && meter != "trace")
        throw qtk::value_error("--meter: expected auto, rapl, nvml or trace, found \"" + meter +
                               "\"");
    if (meter == "rapl" && !traces.empty())
        throw qtk::value_error("--trace goes with --meter trace, not with rapl");
}

qtk::rapl_meter open_rapl(energy_source_options const& options) {
    qtk::rapl_meter meter(options.powercap);
    if (meter.is_present()) return meter;
    std::string reason = meter.description();
    if (qtk::nvml_library const gpu = qtk::open_nvml(); gpu.functions.init != nullptr)
        reason += "; NVML is there, but it measures the GPU and not the CPU's kernels";
    else
        reason += "; no NVML meter either: " + gpu.absence;
    throw qtk::value_error(
        "calibrate: nothing here measures the processor's energy: " + reason +
        ". Hint: run it as root on a machine with RAPL counters, or with --meter trace beside a "
        "meter that writes a log; --plan-only shows what would run, --simulate TABLE rehearses it");
}

std::string trace_names(energy_source_options const& options) {
    std::string text = "recorded trace";
    for (std::string const& path : options.traces)
        text += (&path == options.traces.data() ? " " : ", ") + path;
    return text;
}

void take_joules(observation_record& record, energy_source_options const& options) {
    std::vector<std::vector<qtk::trace_point>> traces;
    for (std::string const& path : options.traces) {
        auto const file = qtk::mapped_file::open(path, qtk::io_mode::read);
        auto points = qtk::parse_trace(file.text(), path);
        for (qtk::trace_point& point : points) point.seconds += options.trace_offset;
        // Out of order is an error of the file, and says where.
        try {
            static_cast<void>(qtk::trace_meter(points, "trace"));
        } catch (qtk::value_error const& fault) {
            throw qtk::io_error(path, fault.what());
        }
        traces.push_back(std::move(points));
    }
    for (recorded_run& run : record.runs) {
        if (run.has_joules) continue;
        if (!(run.start > 0.0))
            throw qtk::value_error("observation \"" + run.kernel.name +
                                   "\" has no start, so a trace cannot say its joules");
        if (!find_joules(traces, run.start, run.kernel.seconds, run.kernel.joules))
            throw qtk::value_error(fmt::format(
                "no trace covers the run \"{}\" from {:.3f} to {:.3f} s. Hint: both count seconds "
                "since 1970; --trace-offset S adds S to those of the trace",
                run.kernel.name, run.start, run.start + run.kernel.seconds));
        run.has_joules = true;
    }
}

}  // namespace app
