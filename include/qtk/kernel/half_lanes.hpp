// SPDX-License-Identifier: Apache-2.0
//
// What does an instruction set bring to multiply f32, f16 and bf16 weights where they lie? Tiles of a
// few rows of W by a few of X that walk along k in 16 lanes, so that a row of W is read once, from
// front to back, and becomes floats in registers:
//
//   sums[m][r][lane] = fma(w[r][16 i + lane], x[m][16 i + lane], sums[m][r][lane])    i = 0, 1, ..
//
// and at the end lane i += lane i + 8, then 4, 2, 1. These are the roundings of every instruction set
// and every tile, so all give the same bits: a row of Y does not depend on the rows beside it.
#pragma once

#include <qtk/format/gguf_blocks.hpp>
#include <qtk/kernel/packed_layout.hpp>

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>

namespace qtk {

/// What the weights are; the index of lane_kernel::run.
enum class plain_type : std::uint8_t { f32, f16, bf16 };

inline constexpr std::size_t float_lanes = 16;

/// A tile of w_rows x x_rows. Rows of W are `row_bytes` apart at any address, rows of X `x_stride`
/// floats; n values; sums [x_rows][32][16], of which the first w_rows of each 32 are used.
struct lane_kernel {
    using tile = void (*)(std::uint8_t const* w, std::size_t row_bytes, float const* x,
                          std::size_t x_stride, std::size_t n, float* sums, bool is_first) noexcept;
    std::size_t w_rows = 1, x_rows = 1;
    std::array<tile, 3> run{};
};
/// n values to floats.
using lane_convert = void (*)(std::uint8_t const* from, std::size_t n, float* to) noexcept;

/// kernels[i] takes i + 1 rows of X; `one` a single row of each.
struct lane_engine {
    std::span<lane_kernel const> kernels;
    lane_kernel one;
    std::array<lane_convert, 3> convert{};
};

namespace scalar {

template <typename Block>
void lane_tile(std::uint8_t const* w, std::size_t, float const* x, std::size_t, std::size_t n,
               float* sums, bool is_first) noexcept {
    for (std::size_t lane = 0; lane < float_lanes && is_first; ++lane) sums[lane] = 0.0f;
    for (std::size_t k = 0; k < n; ++k) {
        std::array<float, 1> weight{};
        read_block<Block>(w + k * sizeof(Block)).decode(weight);
        float& sum = sums[k % float_lanes];
        sum = std::fma(weight[0], x[k], sum);
    }
}
template <typename Block>
void convert(std::uint8_t const* from, std::size_t n, float* to) noexcept {
    for (std::size_t k = 0; k < n; ++k)
        read_block<Block>(from + k * sizeof(Block)).decode(std::span<float, 1>(to + k, 1));
}
inline constexpr lane_kernel lane_kernels[] = {
    {1, 1, {lane_tile<f32_block>, lane_tile<f16_block>, lane_tile<bf16_block>}}};
/// What the others mean.
inline constexpr lane_engine lanes{
    lane_kernels, lane_kernels[0], {convert<f32_block>, convert<f16_block>, convert<bf16_block>}};

}  // namespace scalar

/// The sum of 16 lanes, which are used up.
[[nodiscard]] inline float sum_of_lanes(float* lane) noexcept {
    for (std::size_t width = float_lanes / 2; width > 0; width /= 2)
        for (std::size_t i = 0; i < width; ++i) lane[i] += lane[i + width];
    return lane[0];
}

/// y += W X^T in lanes: `width` rows of W, at most 32, by `count` of X.
inline void multiply_lanes(lane_engine const& engine, plain_type type, std::uint8_t const* w,
                           std::size_t row_bytes, std::size_t width, float const* x,
                           std::size_t x_stride, std::size_t count, std::size_t n, float* sums,
                           bool is_first) noexcept {
    auto const kind = static_cast<std::size_t>(type);
    std::size_t const most = engine.kernels.size();
    for (std::size_t m = 0; m < count;) {
        std::size_t const rows = count - m < most ? count - m : most;
        lane_kernel const& kernel = engine.kernels[rows - 1];
        float const* const from = x + m * x_stride;
        float* const to = sums + m * panel_columns * float_lanes;
        std::size_t r = 0;
        for (; r + kernel.w_rows <= width; r += kernel.w_rows)
            kernel.run[kind](w + r * row_bytes, row_bytes, from, x_stride, n, to + r * float_lanes,
                             is_first);
        for (; r < width; ++r)
            for (std::size_t i = 0; i < rows; ++i)
                engine.one.run[kind](w + r * row_bytes, row_bytes, from + i * x_stride, x_stride, n,
                                     to + (i * panel_columns + r) * float_lanes, is_first);
        m += rows;
    }
}

}  // namespace qtk
