// SPDX-License-Identifier: Apache-2.0
//
// What is timed on the device? Layers of each kind of product, several copies of the weights, so that
// each call finds them outside the cache; before that a sample of its outputs is compared with a sum
// in double.
#pragma once

#include <qtk/core/random.hpp>
#include <qtk/cuda/linear.hpp>
#include <qtk/quantize.hpp>

#include "device.hpp"
#include "t4_model.hpp"
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace qtk_bench {

/// How a product_kind is made: its activations, and the largest relative error of a sound kernel,
/// which is that of rounding activations to so many bits.
struct product_recipe {
    product_kind kind;
    qtk::cuda::device_activations activations;
    double largest_error;
};
inline constexpr product_recipe recipes[] = {
    {w4a16_product, qtk::cuda::device_activations::f16, 2e-3},
    {nf4_product, qtk::cuda::device_activations::f16, 2e-3},
    {w4a8_product, qtk::cuda::device_activations::a8_group, 2e-2},
    {w8a8_product, qtk::cuda::device_activations::a8_row, 3e-2},
    {w4a4_product, qtk::cuda::device_activations::a4_group, 3e-1},
    {llm_int8_product, qtk::cuda::device_activations::llm_int8, 3e-2}};

/// Normal weights of one shape, made once: quantizing them again is most of the waiting.
[[nodiscard]] inline qtk::matrix_view<float const> weights_of(product_shape const& s) {
    static std::vector<float> values;
    static std::pair<std::size_t, std::size_t> made{};
    if (made != std::pair(s.n, s.k)) {
        values = qtk::gaussian_vector(s.n * s.k, 1);
        made = {s.n, s.k};
    }
    return {values.data(), s.n, s.k};
}

[[nodiscard]] inline qtk::any_qmatrix quantized(product_kind const& kind, product_shape const& s) {
    using namespace qtk;
    constexpr scheme w4{.element = i4, .grain = per_group(128), .scale = scale_type::f16};
    constexpr scheme w_nf4{.element = nf4, .grain = per_group(64), .scale = scale_type::f16};
    constexpr scheme w8{.element = i8, .grain = per_channel};
    matrix_view<float const> const w = weights_of(s);
    if (kind.weight_bits == 8) return quantize<w8>(w);
    if (kind.group == 64) return quantize<w_nf4>(w);
    return quantize<w4>(w);
}

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

/// Layers of one kind and shape in device memory.
class cold_layers {
  public:
    cold_layers(product_recipe const& recipe, product_shape const& s, device_facts const& device,
                std::span<qtk::cuda::kernel_choice const> table, cudaStream_t stream)
        : weight_(quantized(recipe.kind, s)), recipe_(recipe), stream_(stream) {
        qtk::cuda::linear_options const options{
            .activations = recipe.activations,
            .table = table,
            .multiprocessors = static_cast<unsigned>(device.multiprocessors)};
        qtk::cuda::host_weight const packed = qtk::cuda::pack(weight_);
        layers_.emplace_back(packed, stream, options);
        while (layers_.size() < copies_of(layers_.front().bytes(), device))
            layers_.emplace_back(packed, stream, options);
    }

    /// Gives the layers m rows of X, and compares some outputs. Throws std::runtime_error if they
    /// are wrong.
    void give(std::size_t m) {
        std::vector<std::uint16_t> x = normal_halves(m * front().in(), 2);
        // What outlier columns are there for: four of them, in one row.
        if (recipe_.activations == qtk::cuda::device_activations::llm_int8)
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
                auto const p = weight_.params(col, c / weight_.grid().cols);
                exact += (static_cast<double>(level[weight_.field(col, c)]) - p.zero) *
                         static_cast<double>(p.scale) *
                         static_cast<double>(qtk::f16_to_float(x[row * k + c]));
            }
            double const found = static_cast<double>(qtk::f16_to_float(y[row * n + col]));
            difference += (found - exact) * (found - exact);
            size += exact * exact;
        }
        double const error = std::sqrt(difference / size);
        if (!(error <= recipe_.largest_error))
            throw std::runtime_error(std::string(recipe_.kind.name) + ", " + std::to_string(m_) +
                                     " rows: relative error " + std::to_string(error) +
                                     ", more than " + std::to_string(recipe_.largest_error));
    }

    qtk::any_qmatrix weight_;
    product_recipe recipe_;
    cudaStream_t stream_;
    std::vector<qtk::cuda::linear> layers_;
    std::size_t m_ = 0;
    qtk::cuda::buffer<std::uint16_t> x_, y_;
    qtk::cuda::workspace space_;
};

}  // namespace qtk_bench
