// SPDX-License-Identifier: Apache-2.0
#include "energy_source.hpp"

#include <qtk/core/error.hpp>
#include <qtk/energy/meter.hpp>
#include <qtk/energy/nvml_meter.hpp>
#include <qtk/energy/trace_meter.hpp>
#include <qtk/io/mapped_file.hpp>

#include <fmt/format.h>

#include "device_bench.hpp"
#include <algorithm>
#include <memory>
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
        // A run that ends with the trace may end past it by the rounding of its start.
        meter.advance(std::min(seconds, meter.duration() - meter.elapsed()));
        found = (meter.read() - before).count();
        return true;
    }
    return false;
}

}  // namespace

void energy_source_options::require(bool is_cuda) const {
    if (meter == "nvml" && !is_cuda)
        throw qtk::value_error(
            "--meter nvml: NVML measures the GPU, and these kernels run on the CPU, whose joules "
            "it "
            "does not see. Hint: --device cuda runs kernels of the GPU; joules of other programs "
            "are fitted with --fit-only --observations FILE (docs/how-to/calibrate-energy.md)");
    if (meter == "rapl" && is_cuda)
        throw qtk::value_error(
            "--meter rapl: RAPL measures the processor, and with --device cuda the kernels run on "
            "the GPU. Hint: --meter nvml");
    if (meter != "auto" && meter != "rapl" && meter != "nvml" && meter != "trace")
        throw qtk::value_error("--meter: expected auto, rapl, nvml or trace, found \"" + meter +
                               "\"");
    if (meter != "auto" && meter != "trace" && !traces.empty())
        throw qtk::value_error("--trace goes with --meter trace, not with " + meter);
}

run_meter open_meter(energy_source_options const& options, bool is_cuda,
                     std::string const& device) {
    constexpr char const* hint =
        "with --meter trace beside a meter that writes a log; --plan-only shows what would run, "
        "--simulate TABLE rehearses it";
    if (is_cuda) {
        // The fit finds static power itself: idle power stays inside the joules.
        auto const gpu = std::make_shared<qtk::nvml_meter>(
            qtk::nvml_options{.synchronize = synchronize_device, .idle_watts = 0.0});
        if (!gpu->is_present())
            throw qtk::value_error(
                "calibrate: nothing here measures the GPU's energy: " + gpu->description() +
                ". Hint: run it where NVIDIA's driver is, or " + hint);
        if (gpu->description().find(device) == std::string::npos)
            throw qtk::value_error(
                "calibrate: the first device of NVML is another one than CUDA's: " +
                gpu->description() + ", and " + device +
                ". Hint: CUDA_DEVICE_ORDER=PCI_BUS_ID in the environment");
        return {gpu->description(), [gpu] { return gpu->read().count(); }};
    }
    auto const processor = std::make_shared<qtk::rapl_meter>(options.powercap);
    if (processor->is_present())
        return {processor->description(), [processor] { return processor->read().count(); }};
    std::string reason = processor->description();
    if (qtk::nvml_library const gpu = qtk::open_nvml(); gpu.functions.init != nullptr)
        reason += "; NVML is there, but it measures the GPU: --device cuda runs kernels there";
    else
        reason += "; no NVML meter either: " + gpu.absence;
    throw qtk::value_error("calibrate: nothing here measures the processor's energy: " + reason +
                           ". Hint: run it as root on a machine with RAPL counters, or " + hint);
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
