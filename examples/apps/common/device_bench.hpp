// SPDX-License-Identifier: Apache-2.0
//
// How long does a CUDA device take for one linear layer? The seam between the program, which the host's
// compiler makes, and device_bench.cu, which nvcc makes; a build without nvcc has device_bench_absent.cpp
// in its place, which says so.
#pragma once

#include <qtk/format/qmatrix.hpp>
#include <qtk/model/rounded_activations.hpp>

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

namespace app {

struct device_description {
    std::string name;
    int sm = 0, multiprocessors = 0;
    int driver = 0, runtime = 0;  ///< 13000 is 13.0
    double read_bandwidth = 0.0;  ///< bytes a second, measured now
    std::size_t cache_bytes = 0;  ///< of the second level
};

/// What to do where there is no device or no CUDA in the program.
inline constexpr char const* device_hint =
    ". Hint: build qtk with nvcc of CUDA 12 or later on the PATH, on a machine with a GPU of sm_75 "
    "or newer, and run "
    "the same command there (docs/how-to/measure-on-a-t4.md); --device cpu measures this machine";

/// The device that is measured. Throws qtk::value_error, with the hint above, if there is none.
[[nodiscard]] device_description find_device();

struct device_times {
    std::size_t bytes = 0;              ///< of the weights as the device holds them
    std::vector<double> one_row, rows;  ///< seconds of one product, one value a run
};

/// Y = X W^T with one row of X and with `rows` rows, in halves or in what the activations become on the way
/// (f32 counts as halves). Weights are cold; some outputs are compared with sums in double before anything is
/// timed. Throws qtk::value_error for a format that qtk::cuda has no kernel for, qtk::error where CUDA fails,
/// std::runtime_error for wrong outputs.
[[nodiscard]] device_times time_on_device(qtk::any_qmatrix const& weight,
                                          qtk::layer_activations const& activations,
                                          std::size_t rows, std::size_t runs, std::size_t warmup);

/// Y = X W^T on the device, with `rows` rows of X, again and again. Throws like time_on_device().
class device_product {
  public:
    /// With cold weights each call finds them outside the cache; else there is one copy of them.
    device_product(qtk::any_qmatrix const& weight, qtk::layer_activations const& activations,
                   std::size_t rows, bool has_cold_weights);
    ~device_product();
    /// Of the weights as the device holds them, one copy.
    [[nodiscard]] std::size_t bytes() const;
    /// So many products; comes back when the last one is done.
    void multiply(std::size_t times);

  private:
    struct layers;
    std::unique_ptr<layers> layers_;
};

/// Waits for all work of the device.
void synchronize_device();

}  // namespace app
