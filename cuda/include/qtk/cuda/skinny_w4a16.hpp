// SPDX-License-Identifier: Apache-2.0
//
// Y = X W^T for up to 16 rows of halves and weights of 4 bits: decoding. On the T4 this is bytes in
// flight and nothing else, so weights go from memory to registers, 16 bytes a lane, the next load
// issued before this one is multiplied; shared memory serves the final sum alone. Weights are exact
// integers (or levels) in the tensor core; sums are floats, scaled once for each group or chunk.
//
//   block   one tile of 16 rows of W, a share of the chunks of K; its warps take chunks in turn
//   grid    [tiles, splits]
//
// Two runs give the same bits: sums are added in one order.
#pragma once

#include <qtk/cuda/convert.hpp>
#include <qtk/cuda/mma.hpp>
#include <qtk/cuda/operand.hpp>

#include <cstddef>
#include <cstdint>
#include <string>

namespace qtk::cuda {

namespace detail {

/// One chunk of 16 rows of W times up to 8 * Tiles rows of X, scaled and added to `sum`.
template <bool Table, unsigned Tiles, unsigned Spans>
__device__ __forceinline__ void multiply_chunk(half_arguments const& a, unsigned groups,
                                               unsigned chunk, uint4 const& words,
                                               float (&sum)[Tiles][4]) {
    unsigned const lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
    weight_layout const& w = a.w.layout;
    std::uint32_t const word[4] = {words.x, words.y, words.z, words.w};
    for (unsigned span = 0; span < Spans; ++span) {
        unsigned const k = chunk * static_cast<unsigned>(chunk_depth) + span * 32;
        if (Spans > 1 && k >= w.cols) break;  // a last chunk that ends after half
        std::size_t const at = a.w.pair_at(blockIdx.x, groups, k, g);
        float scale[2], part[Tiles][4] = {};
        std::uint32_t zero[2];
        a.w.load_scales(at, scale);
        a.w.load_zeros(at, zero);
        QTK_CUDA_UNROLL
        for (unsigned j = span * 4 / Spans; j < (span + 1) * 4 / Spans; ++j) {
            half_operands left;
            decode_word<Table>(a.levels, word[j], zero, left);
            QTK_CUDA_UNROLL
            for (unsigned i = 0; i < Tiles; ++i) {
                std::size_t const row = 8 * i + g;
                uint2 x{0, 0};
                if (row < a.m)
                    x = load_four(a.x + row * a.x_stride,
                                  chunk * static_cast<unsigned>(chunk_depth) + 16 * j + 4 * t,
                                  w.cols, a.is_aligned());
                half_mma::multiply(part[i], left[0], {x.x});
                half_mma::multiply(part[i], left[1], {x.y});
            }
        }
        QTK_CUDA_UNROLL
        for (unsigned i = 0; i < Tiles; ++i)
            for (unsigned c = 0; c < 4; ++c) sum[i][c] += part[i][c] * scale[c / 2];
    }
}

/// The sum of a tile goes out, or joins those of the other splits; the last to come adds them up.
template <unsigned Columns>
__device__ __forceinline__ void finish_tile(half_arguments const& a, split_operand const& split,
                                            std::size_t tile, float (&total)[tile_rows * Columns]) {
    std::size_t const padded = a.w.layout.tiles() * tile_rows;
    __shared__ unsigned order;
    if (gridDim.y > 1) {
        for (unsigned i = threadIdx.x; i < tile_rows * Columns; i += blockDim.x)
            if (i / tile_rows < a.m)
                split.sums[(blockIdx.y * a.m + i / tile_rows) * padded + tile * tile_rows +
                           i % tile_rows] = total[i];
        __threadfence();
        __syncthreads();
        if (threadIdx.x == 0) order = atomicAdd(split.arrived + tile, 1u);
        __syncthreads();
        if (order + 1 != gridDim.y) return;
        __threadfence();
        if (threadIdx.x == 0) split.arrived[tile] = 0;
    }
    for (unsigned i = threadIdx.x; i < tile_rows * Columns; i += blockDim.x) {
        std::size_t const row = i / tile_rows, col = tile * tile_rows + i % tile_rows;
        if (row >= a.m || col >= a.w.layout.rows) continue;
        float sum = total[i];
        if (gridDim.y > 1) {
            sum = 0.0f;
            for (unsigned s = 0; s < gridDim.y; ++s)
                sum += __ldcg(split.sums + (s * a.m + row) * padded + col);
        }
        a.y.store(row, col, sum);
    }
}

}  // namespace detail

/// Tiles: how many times 8 rows of X; Spans: scales a chunk, 2 where a group may end inside one.
template <bool Table, unsigned Tiles, unsigned Spans, unsigned Warps>
__global__ void __launch_bounds__(Warps * 32) skinny_w4a16(half_arguments a, split_operand split) {
    constexpr unsigned columns = 8 * Tiles;
    unsigned const lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    std::size_t const tile = blockIdx.x;
    auto const chunks = static_cast<unsigned>(a.w.layout.chunks());
    auto const groups = static_cast<unsigned>(a.w.layout.groups());
    unsigned const share = (chunks + gridDim.y - 1) / gridDim.y, first = blockIdx.y * share;
    unsigned const end = first + share < chunks ? first + share : chunks;
    uint4 const* const words = a.w.words + tile * chunks * warp_lanes + lane;
    float sum[Tiles][4] = {};
    unsigned chunk = first + warp;
    uint4 ahead{0, 0, 0, 0};
    if (chunk < end) ahead = __ldcs(words + chunk * warp_lanes);
    while (chunk < end) {
        uint4 const now = ahead;
        if (chunk + Warps < end) ahead = __ldcs(words + (chunk + Warps) * warp_lanes);
        detail::multiply_chunk<Table, Tiles, Spans>(a, groups, chunk, now, sum);
        chunk += Warps;
    }
    __shared__ float of_warp[Warps][columns][tile_rows + 1];
    for (unsigned i = 0; i < Tiles; ++i)
        for (int c = 0; c < 4; ++c) {
            coordinate const at = half_mma::c(static_cast<int>(lane), c);
            of_warp[warp][8 * i + static_cast<unsigned>(at.col)][at.row] = sum[i][c];
        }
    __syncthreads();
    __shared__ float total[tile_rows * columns];
    for (unsigned i = threadIdx.x; i < tile_rows * columns; i += Warps * 32) {
        float all = 0.0f;
        for (unsigned w = 0; w < Warps; ++w) all += of_warp[w][i / tile_rows][i % tile_rows];
        total[i] = all;
    }
    __syncthreads();
    detail::finish_tile<columns>(a, split, tile, total);
}

/// Starts the kernel for m up to 16; splits 1 needs no split operand. Throws value_error for what it
/// does not take.
inline void launch_skinny_w4a16(half_arguments const& a, unsigned splits,
                                split_operand const& split, cudaStream_t stream) {
    require_weight("skinny_w4a16", a.w, 4);
    if (a.m > 16)
        throw value_error("cuda: skinny_w4a16: expected up to 16 rows, found " +
                          std::to_string(a.m));
    if (splits == 0 || (splits > 1 && (split.sums == nullptr || split.arrived == nullptr)))
        throw value_error("cuda: skinny_w4a16: " + std::to_string(splits) +
                          " splits of K: expected one, or sums and counters for more");
    constexpr unsigned warps = 8;
    bool const is_narrow = has_narrow_groups(a.w.layout);
    with_table(a, [&]<bool Table>() {
        auto* const kernel =
            a.m <= 8
                ? (is_narrow ? skinny_w4a16<Table, 1, 2, warps> : skinny_w4a16<Table, 1, 1, warps>)
                : (is_narrow ? skinny_w4a16<Table, 2, 2, warps> : skinny_w4a16<Table, 2, 1, warps>);
        launch("skinny_w4a16", kernel, dim3(static_cast<unsigned>(a.w.layout.tiles()), splits),
               dim3(warps * 32), 0, stream, a, split);
    });
}

}  // namespace qtk::cuda
