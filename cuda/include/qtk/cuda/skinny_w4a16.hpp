// SPDX-License-Identifier: Apache-2.0
//
// Y = X W^T for up to 16 rows of halves and weights of 4 bits: decoding. On the T4 this is bytes in
// flight and nothing else, so weights go from memory to registers, 16 bytes a lane, the next load
// issued before this one is multiplied; shared memory serves the final sum alone. Weights are exact
// integers (or levels) in the tensor core; sums are floats, scaled once for each group or chunk.
//
//   block   one tile of 16 rows of W, or two where more than 8 rows of X would be loaded for each; a
//           share of the chunks of K, which its warps take in turn
//   grid    [tiles, or pairs of them, splits]
//
// Two runs give the same bits: sums are added in one order.
#pragma once

#include <qtk/cuda/convert.hpp>
#include <qtk/cuda/mma.hpp>
#include <qtk/cuda/operand.hpp>
#include <qtk/cuda/split_k.hpp>

#include <cstddef>
#include <cstdint>
#include <string>

namespace qtk::cuda {

namespace detail {

/// One chunk of Tiles tiles of W times up to 8 * Tiles rows of X, scaled and added to `sum`; the
/// parameters of the next tile lie `pairs` further.
template <bool Table, unsigned Tiles, unsigned Spans>
__device__ __forceinline__ void multiply_chunk(half_arguments const& a, unsigned tile,
                                               unsigned groups, unsigned pairs, unsigned chunk,
                                               uint4 const (&words)[Tiles],
                                               float (&sum)[Tiles][Tiles][4]) {
    unsigned const g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
    unsigned const first = chunk * static_cast<unsigned>(chunk_depth);
    auto const cols = static_cast<unsigned>(a.w.layout.cols);
    uint2 x[Tiles][4];
    QTK_CUDA_UNROLL
    for (unsigned i = 0; i < Tiles; ++i)
        load_quarter(a, 8 * i + g, chunk, t, a.is_whole(chunk), x[i]);
    QTK_CUDA_UNROLL
    for (unsigned span = 0; span < Spans; ++span) {
        if (Spans > 1 && first + span * 32 >= cols) break;  // a last chunk that ends after half
        unsigned const at = a.w.pair_at(tile, groups, first + span * 32, g);
        float scale[Tiles][2], part[Tiles][Tiles][4] = {};
        std::uint32_t zero[Tiles][2];
        QTK_CUDA_UNROLL
        for (unsigned r = 0; r < Tiles; ++r) {
            a.w.load_scales(at + r * pairs, scale[r]);
            a.w.load_zeros(at + r * pairs, zero[r]);
        }
        QTK_CUDA_UNROLL
        for (unsigned j = span * 4 / Spans; j < (span + 1) * 4 / Spans; ++j) {
            half_operands left[Tiles];
            QTK_CUDA_UNROLL
            for (unsigned r = 0; r < Tiles; ++r)
                decode_word<Table>(a.levels, word_of(words[r], j), zero[r], left[r]);
            QTK_CUDA_UNROLL
            for (unsigned i = 0; i < Tiles; ++i) QTK_CUDA_UNROLL
            for (unsigned r = 0; r < Tiles; ++r) {
                half_mma::multiply(part[r][i], left[r][0], {x[i][j].x});
                half_mma::multiply(part[r][i], left[r][1], {x[i][j].y});
            }
        }
        QTK_CUDA_UNROLL
        for (unsigned r = 0; r < Tiles; ++r) QTK_CUDA_UNROLL
        for (unsigned i = 0; i < Tiles; ++i)
            for (unsigned c = 0; c < 4; ++c) sum[r][i][c] += part[r][i][c] * scale[r][c / 2];
    }
}

/// Totals [column][row of W] of the tiles go out, or join those of the other splits.
template <unsigned Columns, unsigned Rows>
__device__ __forceinline__ void finish_tiles(half_arguments const& a, split_operand const& split,
                                             std::size_t first, float (&total)[Columns * Rows]) {
    split_sums const sums(split, a.w.layout, a.m);
    bool const is_split = gridDim.y > 1;
    if (is_split) {
        for (unsigned i = threadIdx.x; i < Columns * Rows; i += blockDim.x)
            if (i / Rows < a.m && first + i % Rows < sums.padded)
                sums.put(blockIdx.y, i / Rows, first + i % Rows, total[i]);
        if (!arrives_last(split.arrived + blockIdx.x, gridDim.y)) return;
    }
    for (unsigned i = threadIdx.x; i < Columns * Rows; i += blockDim.x) {
        std::size_t const row = i / Rows, col = first + i % Rows;
        if (row >= a.m || col >= a.w.layout.rows) continue;
        a.y.store(row, col, is_split ? sums.total(gridDim.y, row, col) : total[i]);
    }
}

}  // namespace detail

/// Tiles of W that a block multiplies m rows with: as many as it takes eights of rows of X.
[[nodiscard]] constexpr unsigned skinny_tiles(std::size_t m) noexcept {
    return m <= 8 ? 1 : 2;
}

/// Tiles: how many times 8 rows of X, and 16 of W; Spans: scales a chunk, 2 where a group may end
/// inside one.
template <bool Table, unsigned Tiles, unsigned Spans, unsigned Warps>
__global__ void __launch_bounds__(Warps * 32, 4 / Tiles)
    skinny_w4a16(half_arguments a, split_operand split) {
    constexpr unsigned columns = 8 * Tiles, rows = tile_rows * Tiles;
    unsigned const lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    auto const chunks = static_cast<unsigned>(a.w.layout.chunks());
    auto const groups = static_cast<unsigned>(a.w.layout.groups());
    unsigned const tile = blockIdx.x * Tiles;
    // Without a next tile this one is multiplied again, and not stored.
    unsigned const next = tile + 1 < a.w.layout.tiles() ? 1 : 0;
    unsigned const step = next * chunks * static_cast<unsigned>(warp_lanes);
    uint4 const* const words = a.w.words + tile * chunks * warp_lanes + lane;
    float sum[Tiles][Tiles][4] = {};
    detail::chunk_share const share(chunks, gridDim.y, blockIdx.y);
    uint4 ahead[Tiles] = {};
    unsigned chunk = share.first + warp;
    if (chunk < share.end)
        for (unsigned r = 0; r < Tiles; ++r)
            ahead[r] = __ldcs(words + r * step + chunk * warp_lanes);
    while (chunk < share.end) {
        uint4 now[Tiles];
        QTK_CUDA_UNROLL
        for (unsigned r = 0; r < Tiles; ++r) now[r] = ahead[r];
        if (chunk + Warps < share.end) QTK_CUDA_UNROLL
        for (unsigned r = 0; r < Tiles; ++r)
            ahead[r] = __ldcs(words + r * step + (chunk + Warps) * warp_lanes);
        detail::multiply_chunk<Table, Tiles, Spans>(a, tile, groups, next * groups * 8, chunk, now,
                                                    sum);
        chunk += Warps;
    }
    __shared__ float of_warp[Warps][columns][rows + 1];
    for (unsigned r = 0; r < Tiles; ++r)
        for (unsigned i = 0; i < Tiles; ++i)
            for (int c = 0; c < 4; ++c) {
                coordinate const at = half_mma::c(static_cast<int>(lane), c);
                of_warp[warp][8 * i + static_cast<unsigned>(at.col)]
                       [tile_rows * r + static_cast<unsigned>(at.row)] = sum[r][i][c];
            }
    __syncthreads();
    __shared__ float total[columns * rows];
    for (unsigned i = threadIdx.x; i < columns * rows; i += Warps * 32) {
        float all = 0.0f;
        for (unsigned w = 0; w < Warps; ++w) all += of_warp[w][i / rows][i % rows];
        total[i] = all;
    }
    __syncthreads();
    detail::finish_tiles<columns, rows>(a, split, tile * tile_rows, total);
}

/// Starts the kernel for m up to 16; splits 1 needs no split operand. Throws value_error for what it
/// does not take.
inline void launch_skinny_w4a16(half_arguments const& a, unsigned splits,
                                split_operand const& split, cudaStream_t stream) {
    require_weight("skinny_w4a16", a.w, 4);
    if (a.m > 16)
        throw value_error("cuda: skinny_w4a16: expected up to 16 rows, found " +
                          std::to_string(a.m));
    require_split("skinny_w4a16", splits, split);
    constexpr unsigned warps = 8;
    bool const is_narrow = has_narrow_groups(a.w.layout);
    auto const blocks =
        static_cast<unsigned>(div_ceil(a.w.layout.tiles(), std::size_t{skinny_tiles(a.m)}));
    with_table(a, [&]<bool Table>() {
        auto* const kernel =
            a.m <= 8
                ? (is_narrow ? skinny_w4a16<Table, 1, 2, warps> : skinny_w4a16<Table, 1, 1, warps>)
                : (is_narrow ? skinny_w4a16<Table, 2, 2, warps> : skinny_w4a16<Table, 2, 1, warps>);
        launch("skinny_w4a16", kernel, dim3(blocks, splits), dim3(warps * 32), 0, stream, a, split);
    });
}

}  // namespace qtk::cuda
