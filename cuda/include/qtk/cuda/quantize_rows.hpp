// SPDX-License-Identifier: Apache-2.0
//
// How do activations become int8 on the device? As on the CPU (kernel/quantized_rows.hpp), with the
// same bits: a row is cut into segments, as long as the weights' groups; the scale max|x| / 127 is
// shared by a segment or by the whole row; each segment keeps the sum of its codes, through which
// zeros of weights are taken off. A scale is NaN where an infinity or a NaN was seen.
//
//   block   one row; its warps take segments in turn
#pragma once

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

/// Int8 activations in device memory.
struct int8_rows {
    std::int8_t* codes = nullptr;  ///< [m][depth], inside chunks as int8_place says
    float* scales = nullptr;       ///< [m][segments], or [m] if has_row_scales
    std::int32_t* sums = nullptr;  ///< [m][segments]
    std::size_t m = 0, cols = 0;
    std::size_t segment = 0;  ///< columns of a segment
    bool has_row_scales = false;

    [[nodiscard]] QTK_HD constexpr std::size_t segments() const noexcept {
        return div_ceil(cols, segment);
    }
    /// Columns filled up to whole chunks.
    [[nodiscard]] QTK_HD constexpr std::size_t depth() const noexcept {
        return div_ceil(cols, chunk_depth) * chunk_depth;
    }
    [[nodiscard]] QTK_HD constexpr std::size_t scale_at(std::size_t row,
                                                        std::size_t s) const noexcept {
        return has_row_scales ? row : row * segments() + s;
    }
};

namespace detail {

template <typename T>
[[nodiscard]] __device__ __forceinline__ T warp_sum(T value) {
    for (int mask = 16; mask > 0; mask /= 2) value += __shfl_xor_sync(0xffffffffu, value, mask);
    return value;
}
[[nodiscard]] __device__ __forceinline__ std::uint32_t warp_largest(std::uint32_t value) {
    for (int mask = 16; mask > 0; mask /= 2) {
        std::uint32_t const other = __shfl_xor_sync(0xffffffffu, value, mask);
        value = other > value ? other : value;
    }
    return value;
}

/// The bits of |x|: they order like the numbers, and above 0x7f7fffff lies what is none.
[[nodiscard]] __device__ __forceinline__ std::uint32_t magnitude_bits(float x) {
    return bit_cast<std::uint32_t>(x) & 0x7fffffffu;
}
/// The scale for a largest magnitude; NaN for none.
[[nodiscard]] __device__ __forceinline__ float int8_scale_of(std::uint32_t largest) {
    if (largest >= 0x7f800000u) return bit_cast<float>(0x7fc00000u);
    float const scale = bit_cast<float>(largest) / 127.0f;
    return scale > 0.0f ? scale : 1.0f;
}

}  // namespace detail

template <unsigned Warps>
__global__ void __launch_bounds__(Warps * 32) quantize_rows(numbers_in x, int8_rows to) {
    unsigned const lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    std::size_t const row = blockIdx.x;
    __shared__ std::uint32_t largest_of[Warps];
    float scale = 1.0f;
    if (to.has_row_scales) {
        std::uint32_t largest = 0;
        for (std::size_t k = threadIdx.x; k < to.cols; k += Warps * 32) {
            std::uint32_t const bits = detail::magnitude_bits(x.load(row, k));
            largest = bits > largest ? bits : largest;
        }
        largest = detail::warp_largest(largest);
        if (lane == 0) largest_of[warp] = largest;
        __syncthreads();
        for (unsigned w = 0; w < Warps; ++w)
            largest = largest_of[w] > largest ? largest_of[w] : largest;
        scale = detail::int8_scale_of(largest);
        if (threadIdx.x == 0) to.scales[row] = scale;
    }
    for (std::size_t s = warp; s < to.segments(); s += Warps) {
        std::size_t const first = s * to.segment;
        std::size_t const end = s + 1 < to.segments() ? first + to.segment : to.cols;
        if (!to.has_row_scales) {
            std::uint32_t largest = 0;
            for (std::size_t k = first + lane; k < end; k += 32) {
                std::uint32_t const bits = detail::magnitude_bits(x.load(row, k));
                largest = bits > largest ? bits : largest;
            }
            scale = detail::int8_scale_of(detail::warp_largest(largest));
            if (lane == 0) to.scales[to.scale_at(row, s)] = scale;
        }
        std::int32_t sum = 0;
        // The last segment fills the chunk up.
        std::size_t const filled = end == to.cols ? to.depth() : end;
        for (std::size_t k = first + lane; k < filled; k += 32) {
            std::int32_t code = 0;
            if (k < end && scale == scale) {
                float const v = x.load(row, k) / scale;
                float const clamped = v < -127.0f ? -127.0f : v > 127.0f ? 127.0f : v;
                code = static_cast<std::int32_t>(round_half_even(clamped));
            }
            to.codes[row * to.depth() + int8_place(k)] = static_cast<std::int8_t>(code);
            sum += code;
        }
        sum = detail::warp_sum(sum);
        if (lane == 0) to.sums[row * to.segments() + s] = sum;
    }
}

/// X [m, cols] to int8; `to` says how it is cut.
inline void launch_quantize_rows(numbers_in const& x, int8_rows const& to, cudaStream_t stream) {
    constexpr unsigned warps = 8;
    launch("quantize_rows", quantize_rows<warps>, dim3(static_cast<unsigned>(to.m)),
           dim3(warps * 32), 0, stream, x, to);
}

}  // namespace qtk::cuda
