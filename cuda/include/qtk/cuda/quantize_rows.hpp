// SPDX-License-Identifier: Apache-2.0
//
// How do activations become int8 or int4 on the device? As on the CPU (kernel/quantized_rows.hpp),
// with the same bits: a row is cut into segments, as long as the weights' groups; the scale
// max|x| / 127 (or / 7) is shared by a segment or by the whole row; each segment keeps the sum of its
// codes, through which zeros of weights are taken off. A scale is NaN where an infinity or a NaN was
// seen.
//
//   block   one row; its warps take segments in turn
#pragma once

#include <qtk/cuda/collective.hpp>
#include <qtk/cuda/layout.hpp>
#include <qtk/cuda/operand.hpp>
#include <qtk/format/round.hpp>

#include <cstddef>
#include <cstdint>
#include <string>

namespace qtk::cuda {

/// Columns that one 32-bit sum holds for certain: 255 * 127 * 16384.
inline constexpr std::size_t longest_segment = 16384;

/// Segments of activations for weights of this shape, as the CPU cuts them: groups, or 128 columns of
/// a group that is longer than 512; with one scale a row as long as 32-bit sums allow. Throws
/// value_error if segments would cross the borders of groups.
[[nodiscard]] inline std::size_t segment_for(weight_layout const& w, bool has_row_scales) {
    std::size_t const most = has_row_scales ? longest_segment : w.group > 512 ? 128 : 512;
    std::size_t const segment = w.group < most ? w.group : most;
    if (w.groups() > 1 && w.group % segment != 0)
        throw value_error(
            "cuda: groups of " + std::to_string(w.group) +
            " columns with int8 activations: expected at most 512, or a multiple of " +
            std::to_string(segment));
    return segment;
}

/// Int8 or int4 activations in device memory.
struct activation_codes {
    std::uint8_t* codes = nullptr;  ///< [m][row_bytes], inside chunks as int8_place or int4_place
    float* scales = nullptr;        ///< [m][segments], or [m] if has_row_scales
    std::int32_t* sums = nullptr;   ///< [m][segments]
    std::size_t m = 0, cols = 0;
    std::size_t segment = 0;  ///< columns of a segment
    bool has_row_scales = false;
    int bits = 8;

    [[nodiscard]] QTK_HD constexpr std::size_t segments() const noexcept {
        return div_ceil(cols, segment);
    }
    /// Columns filled up to whole chunks.
    [[nodiscard]] QTK_HD constexpr std::size_t depth() const noexcept {
        return div_ceil(cols, chunk_depth) * chunk_depth;
    }
    [[nodiscard]] QTK_HD constexpr std::size_t row_bytes() const noexcept {
        return depth() * static_cast<std::size_t>(bits) / 8;
    }
    [[nodiscard]] QTK_HD constexpr std::size_t scale_at(std::size_t row,
                                                        std::size_t s) const noexcept {
        return has_row_scales ? row : row * segments() + s;
    }
};

/// Rows that become codes. Columns whose byte in `taken` is not zero count as zero: outliers that are
/// multiplied as floats (llm_int8.hpp). What is no number stays, and makes its scale NaN.
struct row_source {
    numbers_in x;
    std::uint8_t const* taken = nullptr;  ///< [cols]; null: no column is

    [[nodiscard]] __device__ __forceinline__ float load(std::size_t row, std::size_t col) const {
        float const value = x.load(row, col);
        if (taken == nullptr || taken[col] == 0) return value;
        return (bit_cast<std::uint32_t>(value) & 0x7fffffffu) < 0x7f800000u ? 0.0f : value;
    }
};

namespace detail {

/// The bits of |x|: they order like the numbers, and above 0x7f7fffff lies what is none.
[[nodiscard]] __device__ __forceinline__ std::uint32_t magnitude_bits(float x) {
    return bit_cast<std::uint32_t>(x) & 0x7fffffffu;
}
/// The largest magnitude among columns first, first + step, .. of a row, as bits.
[[nodiscard]] __device__ __forceinline__ std::uint32_t largest_bits(
    row_source const& x, std::size_t row, std::size_t first, std::size_t end, unsigned step) {
    std::uint32_t largest = 0;
    for (std::size_t k = first; k < end; k += step) {
        std::uint32_t const bits = magnitude_bits(x.load(row, k));
        largest = bits > largest ? bits : largest;
    }
    return largest;
}
/// The scale for a largest magnitude; NaN for none.
template <int Bits>
[[nodiscard]] __device__ __forceinline__ float scale_of(std::uint32_t largest) {
    if (largest >= 0x7f800000u) return bit_cast<float>(0x7fc00000u);
    constexpr auto top = static_cast<float>((1 << (Bits - 1)) - 1);
    float const scale = bit_cast<float>(largest) / top;
    return scale > 0.0f ? scale : 1.0f;
}

/// The code of column k of a row; zero past the end and where there is no scale.
template <int Bits>
[[nodiscard]] __device__ __forceinline__ std::int32_t code_of(row_source const& x, std::size_t row,
                                                              std::size_t k, std::size_t end,
                                                              float scale) {
    constexpr auto top = static_cast<float>((1 << (Bits - 1)) - 1);
    if (k >= end || !(scale == scale)) return 0;
    float const v = x.load(row, k) / scale;
    return static_cast<std::int32_t>(round_half_even(v < -top ? -top : v > top ? top : v));
}

/// Codes of columns [first, filled) of a row by one warp, those from `end` on zero; the lane's share
/// of their sum.
template <int Bits>
__device__ __forceinline__ std::int32_t write_codes(row_source const& x, activation_codes const& to,
                                                    std::size_t row, std::size_t first,
                                                    std::size_t end, std::size_t filled,
                                                    float scale) {
    unsigned const lane = threadIdx.x % 32;
    std::uint8_t* const codes = to.codes + row * to.row_bytes();
    std::int32_t sum = 0;
    if constexpr (Bits == 8) {
        for (std::size_t k = first + lane; k < filled; k += 32) {
            std::int32_t const code = code_of<8>(x, row, k, end, scale);
            codes[int8_place(k)] = static_cast<std::uint8_t>(code);
            sum += code;
        }
    } else {
        // Columns k and k + 16 share a byte.
        for (std::size_t k = first + lane / 16 * 32 + lane % 16; k < filled; k += 64) {
            std::int32_t const low = code_of<4>(x, row, k, end, scale);
            std::int32_t const high = code_of<4>(x, row, k + 16, end, scale);
            bit_place const at = int4_place(k);
            codes[at.word * 4 + at.shift / 8] =
                static_cast<std::uint8_t>((low & 15) | (high & 15) << 4);
            sum += low + high;
        }
    }
    return sum;
}

}  // namespace detail

template <int Bits, unsigned Warps>
__global__ void __launch_bounds__(Warps * 32) quantize_rows(row_source x, activation_codes to) {
    unsigned const lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    std::size_t const row = blockIdx.x;
    float scale = 1.0f;
    if (to.has_row_scales) {
        scale = detail::scale_of<Bits>(block_reduce<Warps>(
            detail::largest_bits(x, row, threadIdx.x, to.cols, Warps * 32), larger_of{}));
        if (threadIdx.x == 0) to.scales[row] = scale;
    }
    for (std::size_t s = warp; s < to.segments(); s += Warps) {
        std::size_t const first = s * to.segment;
        std::size_t const end = s + 1 < to.segments() ? first + to.segment : to.cols;
        if (!to.has_row_scales) {
            scale = detail::scale_of<Bits>(
                warp_reduce(detail::largest_bits(x, row, first + lane, end, 32), larger_of{}));
            if (lane == 0) to.scales[to.scale_at(row, s)] = scale;
        }
        // The last segment fills the chunk up.
        std::size_t const filled = end == to.cols ? to.depth() : end;
        std::int32_t sum = detail::write_codes<Bits>(x, to, row, first, end, filled, scale);
        sum = warp_reduce(sum, sum_of{});
        if (lane == 0) to.sums[row * to.segments() + s] = sum;
    }
}

/// X [m, cols] to codes; `to` says how many bits, and how it is cut.
inline void launch_quantize_rows(row_source const& x, activation_codes const& to,
                                 cudaStream_t stream) {
    constexpr unsigned warps = 8;
    auto* const kernel = to.bits == 4 ? quantize_rows<4, warps> : quantize_rows<8, warps>;
    launch("quantize_rows", kernel, dim3(static_cast<unsigned>(to.m)), dim3(warps * 32), 0, stream,
           x, to);
}

}  // namespace qtk::cuda
