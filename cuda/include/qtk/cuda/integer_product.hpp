// SPDX-License-Identifier: Apache-2.0
//
// What do the kernels for integers on both sides share? Their operands, how stored words become
// operands of the tensor core, and how a segment joins an output. The bits are those of the CPU's
// product (kernel/product_scalar.hpp), in its order of segments s, for every shape and however the
// work is shared:
//
//   d = sum of (field - L0) code           exact, 32 bits; L0 = 8 or 128
//   y = fma(d, w a_s, y)                   w: scale of the weights, a_s: of the activations
//   y = fma(w (L0 - z), a_s sum_s, y)      asymmetric weights
//   y = y a                                one scale a for the row: a_s = 1 above
//   y = fma(x_c, w_c, y)                   outlier columns c that were left out (outlier_columns.hpp)
#pragma once

#include <qtk/cuda/mma.hpp>
#include <qtk/cuda/operand.hpp>
#include <qtk/cuda/outlier_columns.hpp>
#include <qtk/cuda/quantize_rows.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>

namespace qtk::cuda {

struct integer_arguments {
    weight_operand w;
    activation_codes x;
    result_operand y;
    outlier_operand outliers = {};
};

/// What a launch asks of its operands: segments must be those of segment_for. Throws value_error or
/// shape_error.
inline void require_integers(char const* kernel, integer_arguments const& a) {
    require_weight(kernel, a.w, a.x.bits == 4 || a.w.layout.bits == 4 ? 4 : 8);
    if (a.x.cols != a.w.layout.cols)
        throw shape_error(std::string("cuda: ") + kernel + ": expected activations of " +
                          std::to_string(a.w.layout.cols) + " columns, found " +
                          std::to_string(a.x.cols));
    if (reinterpret_cast<std::uintptr_t>(a.x.codes) % 16 != 0)
        throw value_error(std::string("cuda: ") + kernel +
                          ": expected codes at a multiple of 16 bytes");
    if (std::size_t const segment = segment_for(a.w.layout, a.x.has_row_scales);
        a.x.segment != segment)
        throw value_error(std::string("cuda: ") + kernel + ": expected segments of " +
                          std::to_string(segment) + " columns (segment_for), found " +
                          std::to_string(a.x.segment));
}

namespace detail {

inline constexpr std::size_t half_chunk = chunk_depth / 2;

/// The instruction for activations of so many bits.
template <int ActivationBits>
using integer_mma = std::conditional_t<ActivationBits == 4, int4_mma, int8_mma>;

/// Its steps in half a chunk of 32 columns.
template <int ActivationBits>
inline constexpr unsigned steps_of_half = half_chunk /
                                          static_cast<unsigned>(integer_mma<ActivationBits>::k);

/// What a lane reads of a chunk of 16 rows of W: 16 bytes, twice for weights of 8 bits.
template <int Bits>
struct lane_words {
    static constexpr unsigned parts = Bits / 4;
    uint4 part[parts];

    __device__ __forceinline__ void load(uint4 const* chunk) {
        QTK_CUDA_UNROLL
        for (unsigned i = 0; i < parts; ++i)
            part[i] = __ldcs(chunk + i * warp_lanes + threadIdx.x % warp_lanes);
    }
};

/// The A operands of half a chunk, [rows g, g + 8][step]: a word of 4 bits is the bytes of two rows,
/// two words interleave into their nibbles.
template <int Bits, int ActivationBits>
__device__ __forceinline__ void split_half(
    lane_words<Bits> const& words, unsigned half,
    std::uint32_t (&left)[2][steps_of_half<ActivationBits>]) {
    std::uint32_t const even = half == 0 ? words.part[0].x : words.part[0].z;
    std::uint32_t const odd = half == 0 ? words.part[0].y : words.part[0].w;
    if constexpr (ActivationBits == 4) {
        static_assert(Bits == 4, "nibbles multiply nibbles");
        left[0][0] = (even & 0x0f0f0f0fu) | (odd << 4 & 0xf0f0f0f0u);
        left[1][0] = (even >> 4 & 0x0f0f0f0fu) | (odd & 0xf0f0f0f0u);
    } else if constexpr (Bits == 4) {
        left[0][0] = even & 0x0f0f0f0fu, left[1][0] = even >> 4 & 0x0f0f0f0fu;
        left[0][1] = odd & 0x0f0f0f0fu, left[1][1] = odd >> 4 & 0x0f0f0f0fu;
    } else {
        left[0][0] = even, left[0][1] = odd;
        left[1][0] = half == 0 ? words.part[1].x : words.part[1].z;
        left[1][1] = half == 0 ? words.part[1].y : words.part[1].w;
    }
}

/// A lane's quarter of a chunk of codes: 16 bytes of int8, 8 of int4.
template <int ActivationBits>
using code_quarter = std::conditional_t<ActivationBits == 4, uint2, uint4>;

/// The B operands of half a chunk.
__device__ __forceinline__ void split_codes(uint4 const& codes, unsigned half,
                                            std::uint32_t (&right)[2]) {
    right[0] = half == 0 ? codes.x : codes.z, right[1] = half == 0 ? codes.y : codes.w;
}
__device__ __forceinline__ void split_codes(uint2 const& codes, unsigned half,
                                            std::uint32_t (&right)[1]) {
    right[0] = half == 0 ? codes.x : codes.y;
}

/// What one segment adds to an output: dot of the fields as they are stored, sum of the codes.
[[nodiscard]] __device__ __forceinline__ float add_segment(weight_operand const& w, float scale,
                                                           std::uint32_t zero, float by,
                                                           std::int32_t dot, std::int32_t sum,
                                                           float y) {
    std::int32_t const middle = 1 << (w.layout.bits - 1);
    y = __fmaf_rn(static_cast<float>(dot - middle * sum), __fmul_rn(scale, by), y);
    if (w.zeros == nullptr) return y;
    auto const shift = static_cast<float>(middle - static_cast<std::int32_t>(zero));
    return __fmaf_rn(__fmul_rn(scale, shift), __fmul_rn(by, static_cast<float>(sum)), y);
}

/// All segments of row n of W and row `row` of X have joined: the rest, and out.
__device__ __forceinline__ void finish_output(integer_arguments const& a, std::size_t row,
                                              unsigned n, float y) {
    if (a.x.has_row_scales) y = __fmul_rn(y, __ldg(a.x.scales + row));
    a.y.store(row, n, add_outliers(a.w, a.outliers, n, row, y));
}

}  // namespace detail

}  // namespace qtk::cuda
