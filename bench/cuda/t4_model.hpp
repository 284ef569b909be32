// SPDX-License-Identifier: Apache-2.0
//
// How long would an NVIDIA T4 take for a product? No one measured it here: a model, and labelled so
// wherever it is printed. The time is the longer one of two: bytes over the bandwidth that a T4 reads
// with, operations over the rate that its tensor cores keep up.
//
//   bandwidth   255 GB/s: cuBLAS reads fp16 weights with 252 to 261 of the 320 GB/s on one T4 (tables of
//               vllm's pull request 6996)
//   halves      42 TFLOP/s: what the board's 70 W leave of 65 (Jia et al. 2019, arXiv:1903.07486)
//   int8, int4  2 and 4 times that: an assumption, the ratio of the peaks (65, 130, 260)
//
// Launches, the quantization of activations and everything else are left out: a bound, not a
// prediction of a kernel.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <string>

namespace qtk_bench {

inline constexpr double t4_bytes_per_second = 255e9, t4_half_operations = 42e12;

/// What is multiplied: bits of weights and of activations, columns that share a scale (0: a row).
struct product_kind {
    char const* name = "";
    int weight_bits = 16, activation_bits = 16;
    std::size_t group = 0, scale_bytes = 0;
};
inline constexpr product_kind fp16_product{"fp16", 16, 16, 0, 0},
    w4a16_product{"w4a16", 4, 16, 128, 2}, nf4_product{"nf4a16", 4, 16, 64, 2},
    w4a8_product{"w4a8", 4, 8, 128, 2}, w8a8_product{"w8a8", 8, 8, 0, 4},
    w4a4_product{"w4a4", 4, 4, 128, 2}, llm_int8_product{"llm_int8", 8, 8, 0, 4};

/// Y [m, n] = X [m, k] W [n, k]^T.
struct product_shape {
    std::size_t m = 1, n = 1, k = 1;

    [[nodiscard]] std::string text() const {
        return "M" + std::to_string(m) + "/N" + std::to_string(n) + "/K" + std::to_string(k);
    }
};

/// The layers that are timed, as [n, k], and how many rows they are given.
inline constexpr std::array<product_shape, 4> timed_layers{
    {{1, 4096, 4096}, {1, 11008, 4096}, {1, 4096, 14336}, {1, 2048, 8192}}};
inline constexpr std::array<std::size_t, 9> timed_rows{1, 2, 4, 8, 16, 32, 64, 128, 512};

struct modelled_time {
    double bytes = 0.0, operations = 0.0;
    double memory_us = 0.0, compute_us = 0.0;

    [[nodiscard]] double us() const { return std::max(memory_us, compute_us); }
    [[nodiscard]] bool is_memory_bound() const { return memory_us >= compute_us; }
};

/// Of the weights with their scales.
[[nodiscard]] inline double weight_bytes(product_kind const& kind, product_shape const& s) {
    auto const n = static_cast<double>(s.n), k = static_cast<double>(s.k);
    double const groups = kind.group > 0 ? k / static_cast<double>(kind.group) : 1.0;
    return n * k * kind.weight_bits / 8.0 + n * groups * static_cast<double>(kind.scale_bytes);
}

/// Weights once, activations as they are multiplied once, halves out.
[[nodiscard]] inline modelled_time model_t4(product_kind const& kind, product_shape const& s) {
    auto const m = static_cast<double>(s.m), n = static_cast<double>(s.n),
               k = static_cast<double>(s.k);
    modelled_time t;
    t.bytes = weight_bytes(kind, s) + m * k * kind.activation_bits / 8.0 + m * n * 2.0;
    t.operations = 2.0 * m * n * k;
    t.memory_us = t.bytes / t4_bytes_per_second * 1e6;
    t.compute_us = t.operations / (t4_half_operations * 16.0 / kind.activation_bits) * 1e6;
    return t;
}

}  // namespace qtk_bench
