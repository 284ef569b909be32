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
#include <string>
#include <vector>

namespace app {

/// What is known of the caches of this machine.
struct cache_sizes {
    std::size_t first = 0, second = 0, last = 0;  ///< Bytes of data; 0: not known.

    /// Of the first processor, as Linux tells them.
    [[nodiscard]] static cache_sizes now();
    /// DRAM; a memory at the price of 1 MiB, which is the second cache; one at the price of 32 KiB, the first.
    /// Where a size is not known, it is that of the name.
    [[nodiscard]] qtk::memory_hierarchy hierarchy() const;
};

/// What this format multiplies, as an energy table sees it; qtk::value_error for formats that calibration does not
/// run (`stored`, `sim:`, and fp16 and bf16, which are decoded to floats before they are multiplied).
[[nodiscard]] qtk::multiplication multiplication_of(qtk::layer_format const& format);

struct calibration_plan_options {
    std::vector<qtk::layer_format> formats;
    double macs = 0.0;  ///< Of one run; 0: whatever `seconds` allow.
    double seconds = 2.0, pause_seconds = 1.0;
    std::size_t replicates = 2;
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
    /// Makes weights (as many copies as `last_cache` asks for, within `most_bytes`) and inputs.
    calibration_kernel(format_run const& run, std::size_t last_cache, std::size_t most_bytes);

    /// Does weights that should come from DRAM really come from there?
    [[nodiscard]] bool is_far_enough() const noexcept { return is_far_enough_; }
    /// Stored bits a weight, scales included.
    [[nodiscard]] double weight_bits() const noexcept { return weight_bits_; }
    /// Multiplies `times` times.
    void multiply(std::size_t times);
    /// Multiplies for at least so long; how often.
    [[nodiscard]] std::size_t multiply_for(double seconds);

  private:
    std::vector<qtk::weight_matrix> copies_;
    qtk::matrix input_, output_;
    std::size_t next_ = 0;
    double weight_bits_ = 0.0;
    bool is_far_enough_ = true;
};

}  // namespace app
