// SPDX-License-Identifier: Apache-2.0
//
// What every test of a packed product goes through: schemes, shapes with tails, instruction sets.
#pragma once

#include <qtk/format/levels.hpp>
#include <qtk/kernel/isa.hpp>
#include <qtk/kernel/product_options.hpp>

#include "cases.hpp"
#include <array>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

namespace cases {

/// Every way of scaling int8 activations.
inline constexpr qtk::activation_type int8_types[] = {
    qtk::activation_type::a8_row, qtk::activation_type::a8_group, qtk::activation_type::a8_static};

struct product_shape {
    std::size_t m = 1, n = 1, k = 1;
};

inline std::vector<product_shape> shapes_of_products() {
    return {{1, 32, 128}, {1, 33, 100}, {2, 31, 260}, {3, 7, 33},    {4, 64, 64},
            {5, 1, 1},    {8, 40, 130}, {9, 70, 96},  {16, 96, 256}, {37, 65, 200}};
}

/// Every format; and every way of sharing, storing and centring scales for 4 and 8 bits.
inline std::vector<qtk::scheme> schemes_of_products() {
    using qtk::scale_type;
    std::vector<qtk::scheme> all;
    for (auto const& [name, f] : qtk::known_formats) {
        if (f.kind == qtk::numeral::unsigned_integer) continue;
        all.push_back({.element = f, .grain = qtk::per_group(32), .scale = scale_type::f16});
        if (f.is_integer())
            all.push_back(
                {.element = f, .grain = qtk::per_group(64), .zero = qtk::origin::floating});
    }
    for (qtk::format const& f : {qtk::i4, qtk::i8})
        for (qtk::origin const zero : {qtk::origin::fixed, qtk::origin::floating}) {
            all.push_back({.element = f, .zero = zero});
            all.push_back({.element = f, .grain = qtk::per_channel, .zero = zero});
            all.push_back({.element = f,
                           .grain = qtk::per_group(128),
                           .zero = zero,
                           .scale = scale_type::bf16});
            all.push_back({.element = f, .grain = qtk::per_group(20), .zero = zero});
            all.push_back({.element = f, .grain = qtk::per_block(3, 48), .zero = zero});
        }
    all.push_back(qtk::mxfp4);
    all.push_back(qtk::nvfp4);
    return all;
}

/// Is each value as near to the expected one as its bound says?
inline bool within(std::vector<float> const& found, std::vector<float> const& expected,
                   std::vector<double> const& bounds) {
    bool all = found.size() == expected.size();
    for (std::size_t i = 0; all && i < found.size(); ++i)
        all = std::fabs(static_cast<double>(found[i]) - static_cast<double>(expected[i])) <=
              bounds[i];
    return all;
}

/// Those that are compared with scalar.
inline std::vector<qtk::instruction_set> usable_isas() {
    std::vector<qtk::instruction_set> all;
    for (auto const set : {qtk::instruction_set::xsimd, qtk::instruction_set::avx2,
                           qtk::instruction_set::avx512, qtk::instruction_set::amx})
        if (qtk::is_usable(set)) all.push_back(set);
    return all;
}

inline bool same_bits(std::vector<float> const& a, std::vector<float> const& b) {
    return a.size() == b.size() &&
           (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0);
}

/// Random weights and activations of one product.
struct product {
    product_shape shape;
    qtk::any_qmatrix weights;
    qtk::packed_matrix packed;
    std::vector<float> x, decoded;
    std::array<float, 256> level;

    product(qtk::scheme const& s, product_shape size);

    [[nodiscard]] std::vector<float> on(qtk::instruction_set isa,
                                        qtk::product_options const& options) const;
    /// What each result of float and bf16 products may differ by from the twin's.
    [[nodiscard]] std::vector<double> bounds(qtk::activation_type type) const {
        std::vector<double> all(shape.m * shape.n);
        for (std::size_t n = 0; n < shape.n; ++n)
            for (std::size_t k = 0; k < shape.k; ++k) {
                double const w = type == qtk::activation_type::bf16
                                     ? std::fabs(static_cast<double>(decoded[n * shape.k + k]))
                                     : weight_magnitude(n, k);
                for (std::size_t m = 0; m < shape.m; ++m)
                    all[m * shape.n + n] += std::fabs(static_cast<double>(x[m * shape.k + k])) * w;
            }
        // Rounding to bf16 may have made each factor larger by 2^-8 of it.
        double const rounded = type == qtk::activation_type::bf16 ? 1.01 : 1.0;
        for (double& bound : all)
            bound *= static_cast<double>(packed.view().layout.depth() + 4) * 0x1p-23 * rounded;
        return all;
    }
    /// (|level| + |zero|) scale: what bounds of rounding errors grow with.
    [[nodiscard]] double weight_magnitude(std::size_t n, std::size_t k) const {
        qtk::tile_params const p = weights.params(n / weights.grid().rows, k / weights.grid().cols);
        float const own = level[weights.field(n, k)];
        bool const is_integer = weights.scheme().element.is_integer();
        return (std::fabs(static_cast<double>(own)) + (is_integer ? p.zero : 0)) *
               static_cast<double>(p.scale);
    }
};

}  // namespace cases
