// SPDX-License-Identifier: Apache-2.0
//
// How many bits cross each memory of a machine that reuses what it has fetched? A linear layer or a
// convolution is a product y [M, N] = x [M, K] W^T, W [N, K], cut into tiles m x n x k. A memory's
// traffic is what the tiles that fit into the next nearer one, of C bits, have to fetch from it:
//
//     bits(m, n, k) = weights M/m + activations N/n + outputs     M/m and N/n rounded up
//     m k bits_x + n k bits_W + m n bits_acc <= C                 one tile of each lies there
//
// with k = K or 1. A tile as deep as the product (k = K) stays while the inner loop runs: weights
// (or activations, whichever order is cheaper) then cross once. The cheapest tile is taken, for each
// level on its own.
//
// Assumed: memories hold exactly what the tiles need (no conflicts, no prefetch, nothing else lies
// there, no second buffer); each word that is fetched is charged once, to the memory it comes from
// (its arrival in the nearer one is inside that coefficient); outputs leave once, at their own
// width, and partial sums never leave the nearer memory. For these orders of loops no tile fetches
// less; a cache that evicts what was least recently used fetches more.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/energy/work.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

namespace qtk {

/// A product of matrices as memories see it: shapes and widths as stored.
struct matrix_product {
    std::size_t m = 1;                       ///< rows of x: tokens, or positions of the image
    std::size_t n = 1;                       ///< outputs
    std::size_t k = 1;                       ///< inputs that one output sums over
    operand weight = operand::floating(32);  ///< as stored: operand_of(i4)
    operand activation = operand::floating(32);
    double weight_bits = 0.0;      ///< stored per weight, scales included; 0: those of `weight`
    double output_bits = 0.0;      ///< stored per output; 0: those of `activation`
    double distinct_inputs = 0.0;  ///< of a convolution, whose windows overlap; 0: m k
};

/// A convolution as a product: windows as rows. A pass over the activations fetches each distinct
/// input once (the overlap of windows is used), while its tile is counted with the overlap. Windows
/// that do not touch each other leave inputs out.
struct convolution_size {
    std::size_t images = 1, height = 1, width = 1;  ///< of the input
    std::size_t in_channels = 1, out_channels = 1, kernel_height = 1, kernel_width = 1;
    std::size_t stride = 1, padding = 0;
};

/// value_error where the kernel does not fit into the padded image.
[[nodiscard]] inline matrix_product product_of(convolution_size const& layer, operand weight,
                                               operand activation) {
    auto const places = [&](std::size_t size, std::size_t kernel) {
        if (layer.stride == 0 || kernel == 0 || size + 2 * layer.padding < kernel)
            throw value_error("convolution: a kernel of " + std::to_string(kernel) + " at stride " +
                              std::to_string(layer.stride) + " over " + std::to_string(size) +
                              " + 2 x " + std::to_string(layer.padding) + " inputs has no output");
        return (size + 2 * layer.padding - kernel) / layer.stride + 1;
    };
    std::size_t const positions =
        places(layer.height, layer.kernel_height) * places(layer.width, layer.kernel_width);
    auto const inputs = layer.images * layer.in_channels * layer.height * layer.width;
    auto const rows = layer.images * positions,
               depth = layer.in_channels * layer.kernel_height * layer.kernel_width;
    return {.m = rows,
            .n = layer.out_channels,
            .k = depth,
            .weight = weight,
            .activation = activation,
            .distinct_inputs = static_cast<double>(std::min(inputs, rows * depth))};
}

/// One memory: whose price it has in a table, and how much of a layer it holds.
struct memory {
    memory_level level = memory_level::dram;
    double bytes = 0.0;
};

/// Memories from far to near; the first holds everything, so its size is not looked at. The
/// registers in front of the nearest one are what its traffic is reused in.
struct memory_hierarchy {
    std::vector<memory> memories;
    double register_bytes = 0.0;
};

/// The memories that published tables price, at their own sizes, before 256 bytes of registers.
[[nodiscard]] inline memory_hierarchy priced_hierarchy() {
    return {.memories = {{memory_level::dram, 0.0},
                         {memory_level::sram_1mib, 1048576.0},
                         {memory_level::sram_32kib, 32768.0},
                         {memory_level::sram_8kib, 8192.0}},
            .register_bytes = 256.0};
}

/// Bits of each operand that cross one memory.
struct product_traffic {
    double weights = 0.0, activations = 0.0, outputs = 0.0;
    [[nodiscard]] double total() const noexcept { return weights + activations + outputs; }
};

namespace detail {

/// A product in doubles, with the widths that a zero stands for written out.
struct tiled_product {
    double m, n, k, weight, activation, output, accumulator, inputs;

    explicit tiled_product(matrix_product const& p)
        : m(static_cast<double>(p.m)),
          n(static_cast<double>(p.n)),
          k(static_cast<double>(p.k)),
          weight(p.weight_bits > 0.0 ? p.weight_bits : p.weight.bits),
          activation(p.activation.bits),
          output(p.output_bits > 0.0 ? p.output_bits : p.activation.bits),
          accumulator(accumulator_of(p.weight, p.activation).bits),
          inputs(p.distinct_inputs > 0.0 ? p.distinct_inputs : m * k) {}

    [[nodiscard]] product_traffic traffic(double weight_passes, double activation_passes) const {
        return {n * k * weight * weight_passes, inputs * activation * activation_passes,
                m * n * output};
    }
    /// The cheaper order of loops for this tile.
    [[nodiscard]] product_traffic with_tile(double rows, double outputs, double depth) const {
        double const down = std::ceil(m / rows), across = std::ceil(n / outputs);
        if (depth < k) return traffic(down, across);
        auto const weights_stay = traffic(1.0, across), inputs_stay = traffic(down, 1.0);
        return weights_stay.total() <= inputs_stay.total() ? weights_stay : inputs_stay;
    }
};

inline void require_product(matrix_product const& p) {
    if (p.m == 0 || p.n == 0 || p.k == 0)
        throw value_error("product: " + std::to_string(p.m) + " x " + std::to_string(p.n) + " x " +
                          std::to_string(p.k) + " has nothing to move");
    for (double const value : {p.weight_bits, p.output_bits, p.distinct_inputs})
        if (!(value >= 0.0) || !std::isfinite(value))
            throw value_error("product: a width or a number of inputs is " + std::to_string(value) +
                              "; expected a finite value of at least zero");
    if (p.weight.bits < 1 || p.activation.bits < 1)
        throw value_error("product: numbers of " + std::to_string(p.weight.bits) + " and " +
                          std::to_string(p.activation.bits) + " bits; expected at least 1");
}

}  // namespace detail

/// What crosses a memory whose nearer neighbour holds `near_bytes`: the cheapest tile of all.
/// value_error where not even one product of two numbers fits.
[[nodiscard]] inline product_traffic tiled_traffic(matrix_product const& product,
                                                   double near_bytes) {
    detail::require_product(product);
    detail::tiled_product const p(product);
    double const capacity = 8.0 * near_bytes;
    product_traffic best;
    bool has_tile = false;
    for (double const depth : {p.k, 1.0})
        // M/m rounded up takes few values: the smallest m of each is as good as any other.
        for (double strips = 1.0; strips <= p.m;) {
            double const rows = std::ceil(p.m / strips);
            double const left = capacity - rows * depth * p.activation;
            double const outputs =
                std::min(p.n, std::floor(left / (depth * p.weight + rows * p.accumulator)));
            if (outputs >= 1.0) {
                auto const found = p.with_tile(rows, outputs, depth);
                if (!has_tile || found.total() < best.total()) best = found;
                has_tile = true;
            }
            if (rows == 1.0) break;
            strips = std::ceil(p.m / (rows - 1.0));
        }
    if (!has_tile)
        throw value_error("product: " + std::to_string(near_bytes) +
                          " bytes hold no tile of weights of " + std::to_string(p.weight) +
                          " bits and activations of " + std::to_string(p.activation) + " bits");
    return best;
}

/// The work of one product on this machine: every memory's traffic by tiled_traffic(). value_error
/// where the memories are not in order or one cannot hold a tile.
[[nodiscard]] inline layer_work work_of(matrix_product const& product,
                                        memory_hierarchy const& machine) {
    auto const& memories = machine.memories;
    for (std::size_t i = 0; i < memories.size(); ++i) {
        bool const is_nearer = i == 0 || memories[i].level > memories[i - 1].level;
        bool const is_smaller = i < 2 || memories[i].bytes <= memories[i - 1].bytes;
        if (!is_nearer || !is_smaller || (i > 0 && !(memories[i].bytes > 0.0)))
            throw value_error("memory hierarchy: memory " + std::to_string(i) + " of " +
                              std::to_string(memories[i].bytes) +
                              " bytes is no nearer and smaller one than the memory before it");
    }
    detail::require_product(product);
    layer_work work{.macs = static_cast<double>(product.m) * static_cast<double>(product.n) *
                            static_cast<double>(product.k),
                    .weights = static_cast<double>(product.n) * static_cast<double>(product.k),
                    .weight = product.weight,
                    .activation = product.activation,
                    .accumulator = accumulator_of(product.weight, product.activation)};
    for (std::size_t i = 0; i < memories.size(); ++i) {
        bool const is_nearest = i + 1 == memories.size();
        double const near = is_nearest ? machine.register_bytes : memories[i + 1].bytes;
        work.moved.at(memories[i].level) = tiled_traffic(product, near).total();
    }
    return work;
}

}  // namespace qtk
