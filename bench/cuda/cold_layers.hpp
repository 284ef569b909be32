// SPDX-License-Identifier: Apache-2.0
//
// How is one layer timed on the device? As several copies of its weights, so that each call finds them
// outside the cache; before that a sample of its outputs is compared with a sum in double.
#pragma once

#include <qtk/core/random.hpp>
#include <qtk/cuda/linear.hpp>
#include <qtk/format/qmatrix.hpp>

#include "device.hpp"
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace qtk_bench {

[[nodiscard]] inline std::vector<std::uint16_t> normal_halves(std::size_t count,
                                                              std::uint64_t seed) {
    std::vector<std::uint16_t> halves;
    halves.reserve(count);
    for (float const v : qtk::gaussian_vector(count, seed)) halves.push_back(qtk::float_to_f16(v));
    return halves;
}

/// Copies that do not fit into the cache together, twice over.
[[nodiscard]] inline std::size_t copies_of(std::size_t bytes, device_facts const& device) {
    return std::max<std::size_t>(2, 2 * device.cache_bytes / std::max<std::size_t>(bytes, 1) + 1);
}

/// The largest relative error of a sound kernel: that of rounding activations to so many bits.
[[nodiscard]] constexpr double largest_error(qtk::cuda::device_activations how) {
    using enum qtk::cuda::device_activations;
    if (how == f16) return 2e-3;
    if (how == a8_group) return 2e-2;
    return how == a4_row || how == a4_group ? 3e-1 : 3e-2;
}

/// One layer in device memory, as often as it takes, or `most_copies` times.
class cold_layers {
  public:
    cold_layers(qtk::any_qmatrix weight, qtk::cuda::linear_options const& options,
                device_facts const& device, cudaStream_t stream,
                std::size_t most_copies = static_cast<std::size_t>(-1))
        : weight_(std::move(weight)), activations_(options.activations), stream_(stream) {
        qtk::cuda::host_weight const packed = qtk::cuda::pack(weight_);
        layers_.emplace_back(packed, stream, options);
        while (layers_.size() < std::min(most_copies, copies_of(layers_.front().bytes(), device)))
            layers_.emplace_back(packed, stream, options);
    }

    /// Gives the layers m rows of X, and compares some outputs. Throws std::runtime_error if they
    /// are wrong.
    void give(std::size_t m) {
        std::vector<std::uint16_t> x = normal_halves(m * front().in(), 2);
        // What outlier columns are there for: four of them, in one row.
        if (activations_ == qtk::cuda::device_activations::llm_int8)
            for (std::size_t i = 0; i < 4; ++i)
                x[i * (front().in() / 4)] = qtk::float_to_f16(20.0f);
        m_ = m;
        x_ = qtk::cuda::buffer<std::uint16_t>(std::span<std::uint16_t const>(x), stream_);
        y_ = qtk::cuda::buffer<std::uint16_t>(m * front().out());
        space_ = qtk::cuda::make_workspace(front().workspace_bytes(m), stream_);
        run(0);
        compare(x, y_.to_host(stream_));
    }
    /// One product; call after call takes the next copy.
    void run(std::size_t call) {
        qtk::cuda::linear const& layer = layers_[call % layers_.size()];
        layer.multiply({x_.data(), layer.in()}, m_,
                       {y_.data(), layer.out(), qtk::cuda::number::f16, {}}, space_, stream_);
    }

    [[nodiscard]] std::size_t count() const { return layers_.size(); }
    [[nodiscard]] qtk::cuda::linear const& front() const { return layers_.front(); }

  private:
    void compare(std::vector<std::uint16_t> const& x, std::vector<std::uint16_t> const& y) const {
        double difference = 0.0, size = 0.0;
        std::size_t const n = front().out(), k = front().in();
        auto const level = qtk::levels_of(weight_.scheme().element);
        for (std::size_t i = 0; i < 64; ++i) {
            std::size_t const row = i * 7919 % m_, col = i * 104729 % n;
            double exact = 0.0;
            for (std::size_t c = 0; c < k; ++c) {
                std::size_t const down = weight_.grid().down == 1 ? 0 : col;
                auto const p = weight_.params(down, c / weight_.grid().cols);
                exact += (static_cast<double>(level[weight_.field(col, c)]) - p.zero) *
                         static_cast<double>(p.scale) *
                         static_cast<double>(qtk::f16_to_float(x[row * k + c]));
            }
            double const found = static_cast<double>(qtk::f16_to_float(y[row * n + col]));
            difference += (found - exact) * (found - exact);
            size += exact * exact;
        }
        double const error = std::sqrt(difference / size);
        if (!(error <= largest_error(activations_)))
            throw std::runtime_error(to_string(weight_.scheme()) + ", " + std::to_string(m_) +
                                     " rows: relative error " + std::to_string(error) +
                                     ", more than " + std::to_string(largest_error(activations_)));
    }

    qtk::any_qmatrix weight_;
    qtk::cuda::device_activations activations_;
    cudaStream_t stream_;
    std::vector<qtk::cuda::linear> layers_;
    std::size_t m_ = 0;
    qtk::cuda::buffer<std::uint16_t> x_, y_;
    qtk::cuda::workspace space_;
};

}  // namespace qtk_bench
