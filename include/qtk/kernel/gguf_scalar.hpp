// SPDX-License-Identifier: Apache-2.0
//
// What do products with GGUF blocks mean? Rounding by rounding, with the lanes of
// gguf_activations.hpp.
//
//   int8 activations: 16 partial sums, one a lane. Chunk after chunk, with the lane's block and the
//   scale a of its activations,
//     I = sum of sc (q - offset) code over the steps, J = sum of mn code     exact, 32 bits
//     y[lane] = fma(I, d a, y[lane])
//     y[lane] = fma(-J, dmin a, y[lane])                                     q4_K
//   and at the end y[i] += y[i + 8], then 4, 2, 1; y[0] times the scale that the row shares. Every
//   instruction set does these roundings in this order, so all give the same bits.
//
//   float activations: sums in double precision of the decoded weights times x. Kernels use floats
//   in any order, and may take dmin mn out of the sum: within (cols + 8) 2^-23 sum (|d sc q| + |dmin
//   mn|) |x|.
#pragma once

#include <qtk/format/gguf_blocks.hpp>
#include <qtk/kernel/epilogue.hpp>
#include <qtk/kernel/gguf_activations.hpp>
#include <qtk/kernel/product_scalar.hpp>

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace qtk::scalar {

/// 16 values of a block that share one scale: value i is d scale level[i] - dmin minimum.
struct gguf_levels {
    float d = 0.0f, dmin = 0.0f;
    std::int32_t scale = 1, minimum = 0;
    std::array<std::int32_t, gguf_piece> level{};
};

[[nodiscard]] inline gguf_levels levels_at(q4_0_block const& block, std::size_t first) noexcept {
    gguf_levels to{.d = detail::little_endian_f16(block.d)};
    for (std::size_t i = 0; i < gguf_piece; ++i)
        to.level[i] = (first == 0 ? block.nibbles[i] & 15 : block.nibbles[i] >> 4) - 8;
    return to;
}
[[nodiscard]] inline gguf_levels levels_at(q8_0_block const& block, std::size_t first) noexcept {
    gguf_levels to{.d = detail::little_endian_f16(block.d)};
    for (std::size_t i = 0; i < gguf_piece; ++i) to.level[i] = block.codes[first + i];
    return to;
}
[[nodiscard]] inline gguf_levels levels_at(q4_K_block const& block, std::size_t first) noexcept {
    gguf_levels to{.d = detail::little_endian_f16(block.d),
                   .dmin = detail::little_endian_f16(block.dmin),
                   .scale = block.scale(first / 32),
                   .minimum = block.minimum(first / 32)};
    for (std::size_t i = 0; i < gguf_piece; ++i) to.level[i] = block.field(first + i);
    return to;
}
[[nodiscard]] inline gguf_levels levels_at(q6_K_block const& block, std::size_t first) noexcept {
    gguf_levels to{.d = detail::little_endian_f16(block.d), .scale = block.scales[first / 16]};
    for (std::size_t i = 0; i < gguf_piece; ++i) to.level[i] = block.field(first + i) - 32;
    return to;
}

/// The integer product of row r of the weights with row m of the activations.
template <typename Block>
[[nodiscard]] float gguf_dot_int8(gguf_view const& w, std::size_t r, gguf_activations const& x,
                                  std::size_t m) noexcept {
    std::array<float, gguf_lanes> y{};
    for (std::size_t c = 0; c < x.chunks; ++c)
        for (std::size_t lane = 0; lane < gguf_lanes; ++lane) {
            std::int32_t dot = 0, low = 0;
            float d = 0.0f, dmin = 0.0f;
            for (std::size_t t = 0; t < x.chunk.steps; ++t) {
                std::size_t const k = c * x.chunk.values + piece_of(Block::type, t, lane);
                if (k >= w.cols) continue;
                auto const block = read_block<Block>(w.row(r) + k / Block::values * sizeof(Block));
                gguf_levels const q = levels_at(block, k % Block::values);
                std::int32_t products = 0, sum = 0;
                for (std::size_t i = 0; i < gguf_piece; ++i) {
                    std::int32_t const code =
                        x.codes(m, c)[(4 * t + i / 4) * 64 + 4 * lane + i % 4];
                    products += q.level[i] * code;
                    sum += code;
                }
                dot += q.scale * products;
                low += q.minimum * sum;
                d = q.d;
                dmin = q.dmin;
            }
            float const a = x.scales(m, c)[lane];
            y[lane] = std::fma(static_cast<float>(dot), d * a, y[lane]);
            if constexpr (Block::type == gguf_type::q4_K)
                y[lane] = std::fma(-static_cast<float>(low), dmin * a, y[lane]);
        }
    for (std::size_t width = gguf_lanes / 2; width > 0; width /= 2)
        for (std::size_t i = 0; i < width; ++i) y[i] += y[i + width];
    return y[0] * x.row_scales[m];
}

/// `f.operator()<Block>()` for the block of a type with an int8 kernel.
template <typename F>
void with_int8_gguf_block(gguf_type type, F&& f) {
    switch (type) {
        case gguf_type::q4_0:
            return f.template operator()<q4_0_block>();
        case gguf_type::q8_0:
            return f.template operator()<q8_0_block>();
        case gguf_type::q4_K:
            return f.template operator()<q4_K_block>();
        case gguf_type::q6_K:
            return f.template operator()<q6_K_block>();
        default:
            break;
    }
}

/// A part of a product with int8 activations; panels are 32 rows of W. The type has an int8 kernel.
inline void gguf_int8(gguf_view const& w, gguf_activations const& x, product_part const& part,
                      output_rows const& y) noexcept {
    with_int8_gguf_block(w.type, [&]<typename Block>() {
        for (std::size_t p = part.panel; p < part.panel_end; ++p)
            for (std::size_t m = part.row; m < part.row_end; ++m) {
                std::array<float, panel_columns> sums{};
                for (std::size_t c = 0; c < panel_columns && p * panel_columns + c < w.rows; ++c)
                    sums[c] = gguf_dot_int8<Block>(w, p * panel_columns + c, x, m);
                write_panel(sums.data(), 1, m, p, y);
            }
    });
}

/// A part of a product with float activations.
inline void gguf_f32(gguf_view const& w, float_rows const& x, product_part const& part,
                     output_rows const& y) {
    std::vector<float> decoded(w.cols);
    std::size_t const rows = part.row_end - part.row;
    std::vector<float> sums(rows * panel_columns);
    for (std::size_t p = part.panel; p < part.panel_end; ++p) {
        for (std::size_t c = 0; c < panel_columns && p * panel_columns + c < w.rows; ++c) {
            decode_gguf_row(w, p * panel_columns + c, decoded);
            for (std::size_t m = 0; m < rows; ++m) {
                float const* const row = x.data + (part.row + m) * x.stride;
                double sum = 0.0;
                for (std::size_t k = 0; k < w.cols; ++k)
                    sum += static_cast<double>(decoded[k]) * static_cast<double>(row[k]);
                sums[m * panel_columns + c] = static_cast<float>(sum);
            }
        }
        write_panel(sums.data(), rows, part.row, p, y);
    }
}

}  // namespace qtk::scalar
