// SPDX-License-Identifier: Apache-2.0
//
// Y = X W^T for few rows of integers on both sides: W4A8 and W8A8 on the tensor cores' bytes, W4A4 on
// their nibbles, and one row of bytes by dp4a, which wastes no columns. integer_product.hpp says what
// an output is.
//
//   block   one tile of 16 rows of W times 8 rows of X, or one. In a round each warp takes pieces of
//           segments; the integers meet in shared memory and join y in order
//   grid    [rows of X / 8, tiles]: blocks that read the same weights run at the same time
#pragma once

#include <qtk/cuda/integer_product.hpp>

#include <cstddef>
#include <cstdint>

namespace qtk::cuda {

namespace detail {

inline constexpr unsigned piece_halves = 8;  ///< half chunks of a piece at most

/// Sums of rows g and g + 8 of a tile with eight rows of X, as the tensor core gives them.
struct eight_columns {
    static constexpr unsigned columns = 8, pieces_of_warp = 2;
    std::int32_t sum[2][2] = {};

    template <int ActivationBits, unsigned Steps>
    __device__ __forceinline__ void multiply(std::uint32_t const (&left)[2][Steps],
                                             std::uint32_t const (&right)[Steps]) {
        QTK_CUDA_UNROLL
        for (unsigned i = 0; i < Steps; ++i) {
            integer_mma<ActivationBits>::multiply(sum[0], {left[0][i]}, {right[i]});
            integer_mma<ActivationBits>::multiply(sum[1], {left[1][i]}, {right[i]});
        }
    }
    __device__ __forceinline__ void show(std::int32_t (&to)[columns][tile_rows]) {
        auto const lane = static_cast<int>(threadIdx.x % warp_lanes);
        for (int h = 0; h < 2; ++h)
            for (int c = 0; c < 2; ++c) {
                coordinate const at = int8_mma::c(lane, c);
                to[at.col][at.row + 8 * h] = sum[h][c];
            }
    }
};

/// With one row of X: each lane of a quad has its own columns of K.
struct one_column {
    static constexpr unsigned columns = 1, pieces_of_warp = 16;
    std::int32_t sum[2] = {};

    template <int ActivationBits, unsigned Steps>
    __device__ __forceinline__ void multiply(std::uint32_t const (&left)[2][Steps],
                                             std::uint32_t const (&right)[Steps]) {
        QTK_CUDA_UNROLL
        for (unsigned i = 0; i < Steps; ++i) {
            sum[0] = dot_bytes(left[0][i], right[i], sum[0]);
            sum[1] = dot_bytes(left[1][i], right[i], sum[1]);
        }
    }
    __device__ __forceinline__ void show(std::int32_t (&to)[columns][tile_rows]) {
        unsigned const lane = threadIdx.x % warp_lanes;
        for (unsigned h = 0; h < 2; ++h) {
            for (int mask = 1; mask < 4; mask *= 2)
                sum[h] += __shfl_xor_sync(0xffffffffu, sum[h], mask);
            if (lane % 4 == 0) to[0][lane / 4 + 8 * h] = sum[h];
        }
    }
};

/// Products of the half chunks [from, to) of a tile.
template <int Bits, int ActivationBits, typename Sums>
__device__ __forceinline__ void multiply_halves(integer_arguments const& a, unsigned tile,
                                                unsigned row, unsigned from, unsigned to,
                                                Sums& sums) {
    using quarter = code_quarter<ActivationBits>;
    auto const* const codes =
        reinterpret_cast<quarter const*>(a.x.codes + row * a.x.row_bytes()) + threadIdx.x % 4;
    uint4 const* const words = a.w.words + tile * a.w.layout.chunks() * (warp_lanes * Bits / 4);
    for (unsigned chunk = from / 2; 2 * chunk < to; ++chunk) {
        lane_words<Bits> w;
        w.load(words + chunk * (warp_lanes * Bits / 4));
        quarter x{};
        if (row < a.x.m) x = __ldg(codes + chunk * 4);
        QTK_CUDA_UNROLL
        for (unsigned half = 0; half < 2; ++half) {
            if (chunk * 2 + half < from || chunk * 2 + half >= to) continue;
            constexpr unsigned steps = steps_of_half<ActivationBits>;
            std::uint32_t left[2][steps], right[steps];
            split_half<Bits, ActivationBits>(w, half, left);
            split_codes(x, half, right);
            sums.template multiply<ActivationBits>(left, right);
        }
    }
}

/// One segment joins the output of row n of W and row `row` of X.
[[nodiscard]] __device__ __forceinline__ float join_segment(integer_arguments const& a,
                                                            unsigned groups, unsigned n,
                                                            std::size_t row, unsigned s,
                                                            std::int32_t dot, float y) {
    unsigned const pair =
        a.w.pair_at(n / 16, groups, s * static_cast<unsigned>(a.x.segment), n % 8);
    bool const is_upper = n % 16 >= 8;
    float scales[2];
    std::uint32_t zeros[2];
    a.w.load_scales(pair, scales);
    a.w.load_zeros(pair, zeros);
    float const by = a.x.has_row_scales ? 1.0f : __ldg(a.x.scales + a.x.scale_at(row, s));
    return add_segment(a.w, is_upper ? scales[1] : scales[0], is_upper ? zeros[1] : zeros[0], by,
                       dot, __ldg(a.x.sums + row * a.x.segments() + s), y);
}

}  // namespace detail

/// Bits of the weights and of the activations; Sums: eight_columns, or one_column for one row.
template <int Bits, int ActivationBits, typename Sums, unsigned Warps>
__global__ void __launch_bounds__(Warps * 32) skinny_integer(integer_arguments a) {
    static_assert(Warps * 32 >= tile_rows * Sums::columns);
    using detail::piece_halves;
    constexpr unsigned round_pieces = Sums::pieces_of_warp * Warps;
    unsigned const lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    unsigned const tile = blockIdx.y, first_row = blockIdx.x * Sums::columns;
    auto const segments = static_cast<unsigned>(a.x.segments());
    auto const segment_halves = static_cast<unsigned>(div_ceil(a.x.segment, detail::half_chunk));
    unsigned const pieces = (segment_halves + piece_halves - 1) / piece_halves;  // of a segment
    auto const all_halves = static_cast<unsigned>(div_ceil(a.x.cols, detail::half_chunk));
    // The row of X whose codes this lane brings, and the output that this thread finishes.
    unsigned const brought = first_row + (Sums::columns == 1 ? 0 : lane / 4);
    unsigned const n = tile * 16 + threadIdx.x % 16, row = first_row + threadIdx.x / 16;
    bool const finishes =
        threadIdx.x < tile_rows * Sums::columns && row < a.x.m && n < a.w.layout.rows;
    auto const groups = static_cast<unsigned>(a.w.layout.groups());
    float y = 0.0f;
    std::int32_t dot = 0;
    __shared__ std::int32_t products[round_pieces][Sums::columns][tile_rows];
    for (unsigned round = 0; round < segments * pieces; round += round_pieces) {
        unsigned const left = segments * pieces - round;
        unsigned const count = left < round_pieces ? left : round_pieces;
        for (unsigned i = warp; i < count; i += Warps) {
            unsigned const s = (round + i) / pieces, end = (s + 1) * segment_halves;
            unsigned const from = s * segment_halves + (round + i) % pieces * piece_halves;
            unsigned to = from + piece_halves;
            to = to < end ? to : end;
            to = to < all_halves ? to : all_halves;
            Sums sums;
            detail::multiply_halves<Bits, ActivationBits>(a, tile, brought, from, to, sums);
            sums.show(products[i]);
        }
        __syncthreads();
        if (finishes)
            for (unsigned i = 0; i < count; ++i) {
                dot += products[i][threadIdx.x / tile_rows][threadIdx.x % tile_rows];
                if ((round + i) % pieces + 1 < pieces) continue;
                y = detail::join_segment(a, groups, n, row, (round + i) / pieces, dot, y);
                dot = 0;
            }
        __syncthreads();
    }
    if (finishes) detail::finish_output(a, row, n, y);
}

/// Throws value_error or shape_error for operands that do not fit.
inline void launch_skinny_integer(integer_arguments const& a, cudaStream_t stream) {
    require_integers("skinny_integer", a);
    using detail::eight_columns, detail::one_column;
    constexpr unsigned warps = 8;
    bool const is_one = a.x.m == 1 && a.x.bits == 8;
    dim3 const grid(is_one ? 1u : static_cast<unsigned>(div_ceil(a.x.m, 8)),
                    static_cast<unsigned>(a.w.layout.tiles()));
    bool const is_w4 = a.w.layout.bits == 4;
    auto* const kernel = a.x.bits == 4 ? skinny_integer<4, 4, eight_columns, warps>
                         : is_one      ? (is_w4 ? skinny_integer<4, 8, one_column, warps>
                                                : skinny_integer<8, 8, one_column, warps>)
                                       : (is_w4 ? skinny_integer<4, 8, eight_columns, warps>
                                                : skinny_integer<8, 8, eight_columns, warps>);
    launch("skinny_integer", kernel, grid, dim3(warps * 32), 0, stream, a);
}

}  // namespace qtk::cuda
