// SPDX-License-Identifier: Apache-2.0
//
// Y = X W^T for few rows of integers on both sides: W4A8 and W8A8 on the tensor cores' bytes, W4A4 on
// their nibbles. The bits are those of the CPU's product (kernel/product_scalar.hpp), in its order of
// segments s, for every shape and however the work is shared:
//
//   d = sum of (field - L0) code           exact, 32 bits; L0 = 8 or 128
//   y = fma(d, w a_s, y)                   w: scale of the weights, a_s: of the activations
//   y = fma(w (L0 - z), a_s sum_s, y)      asymmetric weights
//   y = y a                                one scale a for the row: a_s = 1 above
//
//   block   one tile of 16 rows of W times 8 rows of X. In a round each warp takes a piece of one
//           segment; the integers meet in shared memory and join y in order
//   grid    [tiles, rows of X / 8]
#pragma once

#include <qtk/cuda/mma.hpp>
#include <qtk/cuda/operand.hpp>
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
};

namespace detail {

inline constexpr std::size_t half_chunk = chunk_depth / 2;
inline constexpr unsigned piece_halves = 8;  ///< half chunks of a piece at most

/// What one segment adds to an output.
[[nodiscard]] __device__ __forceinline__ float add_segment(integer_arguments const& a,
                                                           unsigned groups, std::size_t n,
                                                           std::size_t row, unsigned s,
                                                           std::int32_t dot, float y) {
    weight_layout const& w = a.w.layout;
    std::int32_t const middle = 1 << (w.bits - 1);
    std::size_t const pair =
        a.w.pair_at(n / tile_rows, groups, s * static_cast<unsigned>(a.x.segment),
                    static_cast<unsigned>(n % 8));
    bool const is_upper = n % tile_rows >= 8;
    float scales[2];
    std::uint32_t zeros[2];
    a.w.load_scales(pair, scales);
    a.w.load_zeros(pair, zeros);
    float const scale = is_upper ? scales[1] : scales[0];
    std::int32_t const sum = a.x.sums[row * a.x.segments() + s];
    float const by = a.x.has_row_scales ? 1.0f : a.x.scales[a.x.scale_at(row, s)];
    y = __fmaf_rn(static_cast<float>(dot - middle * sum), __fmul_rn(scale, by), y);
    if (a.w.zeros == nullptr) return y;
    auto const zero = static_cast<std::int32_t>(is_upper ? zeros[1] : zeros[0]);
    auto const shift = static_cast<float>(middle - zero);
    return __fmaf_rn(__fmul_rn(scale, shift), __fmul_rn(by, static_cast<float>(sum)), y);
}

/// The operands of a lane for one chunk: of eight rows of X, and of rows g and g + 8 of W.
template <unsigned Steps>
struct chunk_operands {
    std::uint32_t right[Steps], left[2][Steps];
};

/// Four steps of 16 columns: a word of weights is the bytes of two rows.
template <int Bits>
__device__ __forceinline__ void load_operands(weight_operand const& w, std::size_t at,
                                              std::uint8_t const* codes, bool is_there,
                                              chunk_operands<4>& to) {
    unsigned const lane = threadIdx.x % 32;
    uint4 x{0, 0, 0, 0};
    if (is_there) x = __ldg(reinterpret_cast<uint4 const*>(codes));
    to.right[0] = x.x, to.right[1] = x.y, to.right[2] = x.z, to.right[3] = x.w;
    if constexpr (Bits == 4) {
        uint4 const q = __ldcs(w.words + at * warp_lanes + lane);
        std::uint32_t const word[4] = {q.x, q.y, q.z, q.w};
        QTK_CUDA_UNROLL
        for (unsigned j = 0; j < 4; ++j) {
            to.left[0][j] = word[j] & 0x0f0f0f0fu;
            to.left[1][j] = word[j] >> 4 & 0x0f0f0f0fu;
        }
    } else {
        QTK_CUDA_UNROLL
        for (unsigned h = 0; h < 2; ++h) {
            uint4 const q = __ldcs(w.words + (at * 2 + h) * warp_lanes + lane);
            to.left[h][0] = q.x, to.left[h][1] = q.y, to.left[h][2] = q.z, to.left[h][3] = q.w;
        }
    }
}

/// Two steps of 32 columns: two words of weights interleave into the nibbles of two rows.
template <int Bits>
__device__ __forceinline__ void load_operands(weight_operand const& w, std::size_t at,
                                              std::uint8_t const* codes, bool is_there,
                                              chunk_operands<2>& to) {
    static_assert(Bits == 4);
    uint2 x{0, 0};
    if (is_there) x = __ldg(reinterpret_cast<uint2 const*>(codes));
    to.right[0] = x.x, to.right[1] = x.y;
    uint4 const q = __ldcs(w.words + at * warp_lanes + threadIdx.x % 32);
    std::uint32_t const word[4] = {q.x, q.y, q.z, q.w};
    QTK_CUDA_UNROLL
    for (unsigned i = 0; i < 2; ++i) {
        std::uint32_t const even = word[2 * i], odd = word[2 * i + 1];
        to.left[0][i] = (even & 0x0f0f0f0fu) | (odd << 4 & 0xf0f0f0f0u);
        to.left[1][i] = (even >> 4 & 0x0f0f0f0fu) | (odd & 0xf0f0f0f0u);
    }
}

/// Products of the half chunks [from, to) of a tile; sum[h] belongs to rows g + 8 h.
template <int Bits, int ActivationBits>
__device__ __forceinline__ void multiply_halves(integer_arguments const& a, std::size_t tile,
                                                std::size_t row, unsigned from, unsigned to,
                                                std::int32_t (&sum)[2][2]) {
    using mma = std::conditional_t<ActivationBits == 4, int4_mma, int8_mma>;
    constexpr unsigned steps = chunk_depth / static_cast<unsigned>(mma::k);
    // A lane reads a quarter of a chunk of codes.
    constexpr unsigned chunk_bytes = chunk_depth / 8 * static_cast<unsigned>(ActivationBits);
    std::uint8_t const* const codes =
        a.x.codes + row * a.x.row_bytes() + chunk_bytes / 4 * (threadIdx.x % 4);
    std::size_t const first = tile * a.w.layout.chunks();
    for (unsigned chunk = from / 2; 2 * chunk < to; ++chunk) {
        chunk_operands<steps> o;
        load_operands<Bits>(a.w, first + chunk, codes + chunk * chunk_bytes, row < a.x.m, o);
        QTK_CUDA_UNROLL
        for (unsigned i = 0; i < steps; ++i) {
            unsigned const half = chunk * 2 + i * 2 / steps;
            if (half < from || half >= to) continue;
            mma::multiply(sum[0], {o.left[0][i]}, {o.right[i]});
            mma::multiply(sum[1], {o.left[1][i]}, {o.right[i]});
        }
    }
}

}  // namespace detail

/// Bits of the weights and of the activations.
template <int Bits, int ActivationBits, unsigned Warps>
__global__ void __launch_bounds__(Warps * 32) skinny_integer(integer_arguments a) {
    static_assert(Warps * 32 >= tile_rows * 8);
    using detail::piece_halves;
    unsigned const lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    std::size_t const tile = blockIdx.x, first_row = std::size_t{blockIdx.y} * 8;
    auto const segments = static_cast<unsigned>(a.x.segments());
    auto const segment_halves = static_cast<unsigned>(div_ceil(a.x.segment, detail::half_chunk));
    unsigned const pieces = (segment_halves + piece_halves - 1) / piece_halves;  // of a segment
    auto const all_halves = static_cast<unsigned>(div_ceil(a.x.cols, detail::half_chunk));
    // The output that this thread finishes.
    std::size_t const n = tile * tile_rows + threadIdx.x % tile_rows;
    std::size_t const row = first_row + threadIdx.x / tile_rows;
    bool const finishes = threadIdx.x < tile_rows * 8 && row < a.x.m && n < a.w.layout.rows;
    auto const groups = static_cast<unsigned>(a.w.layout.groups());
    float y = 0.0f;
    std::int32_t dot = 0;
    __shared__ std::int32_t products[Warps][8][tile_rows];
    for (unsigned round = 0; round < segments * pieces; round += Warps) {
        unsigned const mine = round + warp, s = mine / pieces;
        unsigned const end = (s + 1) * segment_halves;
        unsigned const from = s * segment_halves + mine % pieces * piece_halves;
        unsigned to = from + piece_halves;
        to = to < end ? to : end;
        to = to < all_halves ? to : all_halves;
        std::int32_t sum[2][2] = {};
        if (s < segments)
            detail::multiply_halves<Bits, ActivationBits>(a, tile, first_row + lane / 4, from, to,
                                                          sum);
        for (int h = 0; h < 2; ++h)
            for (int c = 0; c < 2; ++c) {
                coordinate const at = int8_mma::c(static_cast<int>(lane), c);
                products[warp][at.col][at.row + 8 * h] = sum[h][c];
            }
        __syncthreads();
        if (finishes)
            for (unsigned w = 0; w < Warps; ++w) {
                unsigned const piece = round + w;
                if (piece >= segments * pieces) break;
                dot += products[w][threadIdx.x / tile_rows][threadIdx.x % tile_rows];
                if (piece % pieces + 1 < pieces) continue;
                y = detail::add_segment(a, groups, n, row, piece / pieces, dot, y);
                dot = 0;
            }
        __syncthreads();
    }
    if (!finishes) return;
    if (a.x.has_row_scales) y = __fmul_rn(y, a.x.scales[row]);
    a.y.store(row, n, y);
}

/// Throws value_error for operands that do not fit: segments must be those of segment_for.
inline void launch_skinny_integer(integer_arguments const& a, cudaStream_t stream) {
    require_weight("skinny_integer", a.w, a.x.bits == 4 || a.w.layout.bits == 4 ? 4 : 8);
    if (a.x.cols != a.w.layout.cols)
        throw shape_error("cuda: skinny_integer: expected activations of " +
                          std::to_string(a.w.layout.cols) + " columns, found " +
                          std::to_string(a.x.cols));
    if (std::size_t const segment = segment_for(a.w.layout, a.x.has_row_scales);
        a.x.segment != segment)
        throw value_error("cuda: skinny_integer: expected segments of " + std::to_string(segment) +
                          " columns (segment_for), found " + std::to_string(a.x.segment));
    constexpr unsigned warps = 8;
    dim3 const grid(static_cast<unsigned>(a.w.layout.tiles()),
                    static_cast<unsigned>(div_ceil(a.x.m, 8)));
    auto* const kernel = a.x.bits == 4          ? skinny_integer<4, 4, warps>
                         : a.w.layout.bits == 4 ? skinny_integer<4, 8, warps>
                                                : skinny_integer<8, 8, warps>;
    launch("skinny_integer", kernel, grid, dim3(warps * 32), 0, stream, a);
}

}  // namespace qtk::cuda
