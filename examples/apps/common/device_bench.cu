// SPDX-License-Identifier: Apache-2.0
#include "cold_layers.hpp"
#include "device_bench.hpp"
#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

namespace app {
namespace {

[[nodiscard]] qtk_bench::device_facts require_device() {
    std::string why;
    std::optional<qtk_bench::device_facts> const device = qtk_bench::find_device(why);
    if (!device)
        throw qtk::value_error("--device cuda: no CUDA device to measure (" + why + ")" +
                               device_hint);
    return *device;
}

[[nodiscard]] qtk::cuda::device_activations activations_of(qtk::layer_activations const& how) {
    using enum qtk::cuda::device_activations;
    if (how.has_outliers) return llm_int8;
    switch (how.type) {
        case qtk::activation_type::f32:
            return f16;
        case qtk::activation_type::a8_row:
            return a8_row;
        case qtk::activation_type::a8_group:
            return a8_group;
        default:
            throw qtk::value_error(
                "--device cuda: expected activations f32 (halves on the device), a8, a8_group or "
                "llm_int8");
    }
}

/// Seconds of one product, the mean of a pass over all copies, one value a run.
[[nodiscard]] std::vector<double> time_rows(qtk_bench::cold_layers& layers, std::size_t rows,
                                            std::size_t runs, std::size_t warmup,
                                            cudaStream_t stream) {
    // A launch takes some microseconds: enough of them between two events, so that the events do not count.
    constexpr std::size_t least_calls = 32;
    std::size_t const calls = qtk_bench::is_emulated ? 1 : std::max(layers.count(), least_calls);
    layers.give(rows);
    qtk_bench::stopwatch watch;
    std::vector<double> seconds;
    for (std::size_t run = 0; run < warmup + runs; ++run) {
        watch.start(stream);
        for (std::size_t i = 0; i < calls; ++i) layers.run(i);
        double const took = watch.stop(stream);
        if (run >= warmup) seconds.push_back(took / static_cast<double>(calls));
    }
    return seconds;
}

}  // namespace

device_description find_device() {
    qtk_bench::device_facts const device = require_device();
    return {device.name,
            10 * device.major + device.minor,
            device.multiprocessors,
            device.driver,
            device.runtime,
            qtk_bench::read_bandwidth(device, cudaStream_t{}),
            device.cache_bytes};
}

device_times time_on_device(qtk::any_qmatrix const& weight,
                            qtk::layer_activations const& activations, std::size_t rows,
                            std::size_t runs, std::size_t warmup) {
    static qtk_bench::device_facts const device = require_device();
    cudaStream_t const stream{};
    qtk_bench::cold_layers layers(
        weight,
        {.activations = activations_of(activations),
         .threshold = activations.threshold,
         .multiprocessors = static_cast<unsigned>(device.multiprocessors)},
        device, stream);
    device_times times{layers.front().bytes(), {}, {}};
    times.one_row = time_rows(layers, 1, runs, warmup, stream);
    times.rows = time_rows(layers, rows, runs, warmup, stream);
    return times;
}

struct device_product::layers {
    cudaStream_t stream{};
    qtk_bench::cold_layers cold;
    std::size_t calls = 0;
};

device_product::device_product(qtk::any_qmatrix const& weight,
                               qtk::layer_activations const& activations, std::size_t rows,
                               bool has_cold_weights) {
    static qtk_bench::device_facts const device = require_device();
    cudaStream_t const stream{};
    qtk::cuda::linear_options const how{
        .activations = activations_of(activations),
        .threshold = activations.threshold,
        .multiprocessors = static_cast<unsigned>(device.multiprocessors)};
    std::size_t const most_copies = has_cold_weights ? static_cast<std::size_t>(-1) : 1;
    layers_ = std::make_unique<layers>(
        layers{stream, qtk_bench::cold_layers(weight, how, device, stream, most_copies)});
    layers_->cold.give(rows);
}
device_product::~device_product() = default;
std::size_t device_product::bytes() const {
    return layers_->cold.front().bytes();
}
void device_product::multiply(std::size_t times) {
    for (std::size_t i = 0; i < times; ++i) layers_->cold.run(layers_->calls++);
    qtk::cuda::check(cudaStreamSynchronize(layers_->stream), "cudaStreamSynchronize");
}

void synchronize_device() {
    qtk::cuda::check(cudaStreamSynchronize(cudaStream_t{}), "cudaStreamSynchronize");
}

}  // namespace app
