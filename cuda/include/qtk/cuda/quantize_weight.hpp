// SPDX-License-Identifier: Apache-2.0
//
// How do weights in device memory become packed ones, without a way over the host? Round to nearest
// with the bits of qtk::quantize (quantizer/tile_quantizer.hpp, range/minmax.hpp):
//
//   symmetric   s = max|w| / (2^(B-1) - 1), codes never reach field 0
//   asymmetric  lo = min(0, lo), hi = max(0, hi), s = (hi - lo) / (2^B - 1), z = round(-lo / s)
//   field       round(clamp(w / s, least - z, most - z)) + z, s as it is stored, half to even
//
// Two passes: a warp finds the extremes of a group, then a warp writes the words of a chunk. Instead
// of extremes, intervals may be given: from a calibration, or one for the tensor. A scale is NaN
// where an infinity or a NaN was seen, so that the group decodes to NaN.
#pragma once

#include <qtk/core/concepts.hpp>
#include <qtk/cuda/collective.hpp>
#include <qtk/cuda/operand.hpp>
#include <qtk/format/round.hpp>

#include <cstddef>
#include <cstdint>
#include <string>

namespace qtk::cuda {

/// Where packed weights are written: the arrays of a weight_operand, in device memory.
struct weight_result {
    uint4* words = nullptr;
    void* scales = nullptr;         ///< [layout.params()]
    std::uint8_t* zeros = nullptr;  ///< [layout.params()]; null: symmetric
    weight_layout layout = {};
    number scale_type = number::f16;

    [[nodiscard]] QTK_HD weight_operand operand() const {
        return {words, scales, zeros, layout, scale_type};
    }
};

/// What weights clip to, in device memory.
struct given_intervals {
    interval const* data = nullptr;  ///< null: the extremes of each group are found
    bool is_one = false;             ///< one for all; else [rows][groups]
};

namespace detail {

/// Scale, as it will be loaded, and zero of a group.
struct fitted {
    float scale;
    std::uint32_t zero;
};

/// Stores the parameters of row n and group q; the scale becomes what was stored.
__device__ __forceinline__ void store_params(weight_result const& to, std::size_t n, std::size_t q,
                                             fitted const& p) {
    std::size_t const at = to.layout.param(n, q);
    if (to.scale_type == number::f32) {
        static_cast<float*>(to.scales)[at] = p.scale;
    } else {
        static_cast<std::uint16_t*>(to.scales)[at] = float_to_half_bits(p.scale);
    }
    if (to.zeros != nullptr) to.zeros[at] = static_cast<std::uint8_t>(p.zero);
}

/// A positive scale as f16 holds it, never zero.
[[nodiscard]] __device__ __forceinline__ float half_scale(float scale) {
    std::uint16_t const bits = float_to_half_bits(scale);
    return half_bits_to_float(bits == 0 ? std::uint16_t{1} : bits);
}

template <int Bits>
[[nodiscard]] __device__ __forceinline__ fitted fit_group(float low, float high, bool is_sound,
                                                          bool has_zero, number scale_type) {
    constexpr std::uint32_t middle = 1u << (Bits - 1);
    constexpr auto steps = static_cast<float>((1 << Bits) - 1);
    if (!is_sound) return {bit_cast<float>(0x7fc00000u), middle};
    low = low < 0.0f ? low : 0.0f, high = high > 0.0f ? high : 0.0f;
    float scale;
    if (has_zero) {
        float const width = high - low;  // may overflow: then divide first
        scale = width <= 3.402823466e38f ? width / steps : high / steps - low / steps;
    } else {
        scale = (-low > high ? -low : high) / static_cast<float>(middle - 1);
    }
    if (!(scale > 0.0f)) return {1.0f, middle};
    if (scale_type == number::f16) scale = half_scale(scale);
    if (!has_zero) return {scale, middle};
    float const offset = -low / scale;
    return {scale, static_cast<std::uint32_t>(round_half_even(offset > steps ? steps : offset))};
}

/// The field of one weight.
template <int Bits>
[[nodiscard]] __device__ __forceinline__ std::uint32_t field_of(float w, float scale, float zero,
                                                                bool has_zero) {
    constexpr auto most = static_cast<float>((1 << Bits) - 1);
    float const low = (has_zero ? 0.0f : 1.0f) - zero, high = most - zero;
    float v = w / scale;
    v = v > low ? v : low;  // NaN too
    v = v < high ? v : high;
    return static_cast<std::uint32_t>(static_cast<std::int32_t>(round_half_even(v)) +
                                      static_cast<std::int32_t>(zero));
}

}  // namespace detail

/// Parameters of every row and group: a warp each.
template <int Bits, unsigned Warps>
__global__ void __launch_bounds__(Warps * 32)
    fit_weight(numbers_in w, given_intervals given, weight_result to) {
    unsigned const lane = threadIdx.x % 32;
    auto const groups = static_cast<unsigned>(to.layout.groups());
    std::size_t const at = std::size_t{blockIdx.x} * Warps + threadIdx.x / 32;
    std::size_t const n = at / groups;
    auto const q = static_cast<unsigned>(at % groups);
    if (n >= to.layout.rows) return;
    float low = 0.0f, high = 0.0f;
    std::uint32_t largest = 0;
    if (given.data != nullptr) {
        interval const range = given.data[given.is_one ? 0 : at];
        low = range.lowest, high = range.highest;
        largest = larger_of{}(bit_cast<std::uint32_t>(low) & 0x7fffffffu,
                              bit_cast<std::uint32_t>(high) & 0x7fffffffu);
    } else {
        std::size_t const first = q * to.layout.group, past = first + to.layout.group;
        std::size_t const end = past < to.layout.cols ? past : to.layout.cols;
        for (std::size_t k = first + lane; k < end; k += 32) {
            float const v = w.load(n, k);
            std::uint32_t const magnitude = bit_cast<std::uint32_t>(v) & 0x7fffffffu;
            largest = magnitude > largest ? magnitude : largest;
            low = v < low ? v : low, high = v > high ? v : high;
        }
        low = warp_reduce(low, smaller_of{});
        high = warp_reduce(high, larger_of{});
        largest = warp_reduce(largest, larger_of{});
    }
    if (lane != 0) return;
    detail::store_params(to, n, q,
                         detail::fit_group<Bits>(low, high, largest < 0x7f800000u,
                                                 to.zeros != nullptr, to.scale_type));
}

/// Words of every chunk of 16 rows: a warp each, 16 bytes a lane.
template <int Bits, unsigned Warps>
__global__ void __launch_bounds__(Warps * 32) encode_weight(numbers_in w, weight_result to) {
    weight_layout const& layout = to.layout;
    unsigned const lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
    auto const chunks = static_cast<unsigned>(layout.chunks());
    std::size_t const at = std::size_t{blockIdx.x} * Warps + threadIdx.x / 32;
    if (at >= layout.tiles() * chunks) return;
    auto const tile = static_cast<unsigned>(at / chunks);
    unsigned const first = static_cast<unsigned>(at % chunks) * static_cast<unsigned>(chunk_depth);
    auto const groups = static_cast<unsigned>(layout.groups());
    auto const cols = static_cast<unsigned>(layout.cols);
    constexpr std::uint32_t middle = 1u << (Bits - 1);
    constexpr unsigned parts = Bits / 4;
    std::uint32_t word[parts][4] = {};
    QTK_CUDA_UNROLL
    for (unsigned j = 0; j < 4; ++j) {
        unsigned const k = first + 16 * j + 4 * t;
        float scale[2] = {1.0f, 1.0f};
        std::uint32_t zero[2] = {middle, middle};
        if (k < cols) {
            unsigned const pair = to.operand().pair_at(tile, groups, k, g);
            to.operand().load_scales(pair, scale);
            to.operand().load_zeros(pair, zero);
        }
        QTK_CUDA_UNROLL
        for (unsigned h = 0; h < 2; ++h) {
            std::size_t const n = tile * tile_rows + g + 8 * h;
            QTK_CUDA_UNROLL
            for (unsigned e = 0; e < 4; ++e) {
                // Rows and columns past the matrix decode to zero if weights are symmetric.
                std::uint32_t field = middle;
                if (n < layout.rows && k + e < cols)
                    field =
                        detail::field_of<Bits>(w.load(n, k + e), scale[h],
                                               static_cast<float>(zero[h]), to.zeros != nullptr);
                if constexpr (Bits == 4)
                    word[0][j] |= field << (4 * (h + 2 * slot_of(e)));
                else
                    word[h][j] |= field << (8 * slot_of(e));
            }
        }
    }
    uint4* const words = to.words + at * (warp_lanes * parts) + lane;
    QTK_CUDA_UNROLL
    for (unsigned i = 0; i < parts; ++i)
        words[i * warp_lanes] = {word[i][0], word[i][1], word[i][2], word[i][3]};
}

/// Quantizes W [rows, cols] as to.layout and to.zeros say. Rows past the matrix, inside its last
/// tile, get scales of zero bytes as pack gives them. Throws value_error for what a kernel does not
/// take.
inline void launch_quantize_weight(numbers_in const& w, given_intervals const& given,
                                   weight_result const& to, cudaStream_t stream) {
    int const bits = to.layout.bits;
    if (bits != 4 && bits != 8)
        throw value_error("cuda: quantize_weight: expected 4 or 8 bits, found " +
                          std::to_string(bits));
    require_weight("quantize_weight", to.operand(), bits);
    if (to.layout.rows == 0 || to.layout.cols == 0) return;
    std::size_t const scale_size = to.scale_type == number::f32 ? 4 : 2;
    check(cudaMemsetAsync(to.scales, 0, to.layout.params() * scale_size, stream),
          "cudaMemsetAsync");
    if (to.zeros != nullptr)
        check(cudaMemsetAsync(to.zeros, 0, to.layout.params(), stream), "cudaMemsetAsync");
    constexpr unsigned warps = 8;
    auto const blocks = [](std::size_t count) {
        return dim3(static_cast<unsigned>(div_ceil(count, std::size_t{warps})));
    };
    launch("fit_weight", bits == 4 ? fit_weight<4, warps> : fit_weight<8, warps>,
           blocks(to.layout.rows * to.layout.groups()), dim3(warps * 32), 0, stream, w, given, to);
    launch("encode_weight", bits == 4 ? encode_weight<4, warps> : encode_weight<8, warps>,
           blocks(to.layout.tiles() * to.layout.chunks()), dim3(warps * 32), 0, stream, w, to);
}

}  // namespace qtk::cuda
