// SPDX-License-Identifier: Apache-2.0
//
// What runs while a meter runs? The products of a calibration plan with the kernels that models use: a linear layer
// in a number format, again and again for some seconds. Weights that should come from afar exist so many times
// that no cache holds all of them, and take turns.
#pragma once

#include <qtk/energy/calibration_plan.hpp>
#include <qtk/energy/hierarchy.hpp>
#include <qtk/model/layer_format.hpp>
#include <qtk/model/linear.hpp>

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

namespace app {

/// Where products run, and the memories that weights come from there.
struct calibration_device {
    bool is_cuda = false;
    std::string name;  ///< Processor, instruction set and threads, or the GPU.
    /// Bytes of data; 0: not known. Of a GPU the second cache is the last one.
    std::size_t first_cache = 0, second_cache = 0, last_cache = 0;
    std::size_t most_bytes = 0;  ///< For copies of weights.

    /// This machine as it is now.
    [[nodiscard]] static calibration_device cpu();
    /// qtk::value_error with a hint where there is no GPU, or no CUDA in the program.
    [[nodiscard]] static calibration_device cuda();

    /// DRAM; a memory at the price of 1 MiB, which is the second cache; of a processor one at the price of
    /// 32 KiB, the first. Where a size is not known, it is that of the name.
    [[nodiscard]] qtk::memory_hierarchy hierarchy() const;
};

/// What this format multiplies there, as an energy table sees it; qtk::value_error for formats that calibration does
/// not run (`stored`, `sim:`, and fp16 and bf16, which are decoded to floats before they are multiplied; on a GPU
/// also fp32).
[[nodiscard]] qtk::multiplication multiplication_of(qtk::layer_format const& format, bool is_cuda);

struct calibration_plan_options {
    std::vector<qtk::layer_format> formats;
    double macs = 0.0;  ///< Of one run; 0: whatever `seconds` allow.
    double seconds = 2.0, pause_seconds = 1.0;
    std::size_t replicates = 2;
    bool is_cuda = false;
};

/// A run and the format it is in; none of a pause.
struct format_run {
    qtk::planned_run run;
    qtk::layer_format const* format = nullptr;
};

/// The plan of these formats, whose names begin with the format's. qtk::value_error where two formats multiply
/// alike, for no meter could tell their multiplications apart.
[[nodiscard]] std::vector<format_run> plan_of(calibration_plan_options const& options);

/// A product that is ready to run.
class calibration_kernel {
  public:
    calibration_kernel() = default;
    calibration_kernel(calibration_kernel const&) = delete;
    calibration_kernel& operator=(calibration_kernel const&) = delete;
    virtual ~calibration_kernel() = default;

    /// Multiplies `times` times, and is done when it returns.
    virtual void multiply(std::size_t times) = 0;
    /// Stored bits a weight, scales included.
    [[nodiscard]] virtual double weight_bits() const = 0;
    /// Do weights that should come from DRAM really come from there?
    [[nodiscard]] virtual bool is_far_enough() const { return true; }

    /// Multiplies for at least so long; how often.
    [[nodiscard]] std::size_t multiply_for(double seconds);
};

/// Makes weights and inputs of a run that is no pause.
[[nodiscard]] std::unique_ptr<calibration_kernel> make_kernel(format_run const& run,
                                                              calibration_device const& device);

}  // namespace app
