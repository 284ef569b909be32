// SPDX-License-Identifier: Apache-2.0
//
// Which products are timed on the device? Weights of each kind, normal ones, in the usual shapes.
#pragma once

#include <qtk/core/random.hpp>
#include <qtk/cuda/linear.hpp>
#include <qtk/quantize.hpp>

#include "cold_layers.hpp"
#include "t4_model.hpp"
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace qtk_bench {

/// How a product_kind is made.
struct product_recipe {
    product_kind kind;
    qtk::cuda::device_activations activations;
};
inline constexpr product_recipe recipes[] = {
    {w4a16_product, qtk::cuda::device_activations::f16},
    {nf4_product, qtk::cuda::device_activations::f16},
    {w4a8_product, qtk::cuda::device_activations::a8_group},
    {w8a8_product, qtk::cuda::device_activations::a8_row},
    {w4a4_product, qtk::cuda::device_activations::a4_group},
    {llm_int8_product, qtk::cuda::device_activations::llm_int8}};

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

/// Layers of one kind and shape, multiplied by the kernels of `table`.
[[nodiscard]] inline cold_layers make_layers(product_recipe const& recipe, product_shape const& s,
                                             device_facts const& device,
                                             std::span<qtk::cuda::kernel_choice const> table,
                                             cudaStream_t stream) {
    return {quantized(recipe.kind, s),
            {.activations = recipe.activations,
             .table = table,
             .multiprocessors = static_cast<unsigned>(device.multiprocessors)},
            device,
            stream};
}

}  // namespace qtk_bench
