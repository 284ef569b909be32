// SPDX-License-Identifier: Apache-2.0
//
// Y = X W^T for many rows of halves and weights of 4 bits: prefill. Turing has no asynchronous
// copies, so the next chunk waits in registers: loads of X and W are issued first, the chunk before
// them is multiplied, then X goes to the other of two buffers in shared memory, behind one barrier.
// W never touches shared memory: each warp alone needs its 16 rows.
//
//   block   128 rows of W (8 warps) times 32 rows of X; a chunk of X is 32 x 64 halves
//   grid    [rows of W / 128, rows of X / 32]
//
// In shared memory a row of a chunk lies as its readers want it, [t 4][j 4][4 halves], so that a
// lane takes two steps with 16 bytes; rows are 144 bytes apart, which no two of them share banks in.
#pragma once

#include <qtk/cuda/convert.hpp>
#include <qtk/cuda/mma.hpp>
#include <qtk/cuda/operand.hpp>

#include <cstddef>
#include <cstdint>

namespace qtk::cuda {

namespace detail {

/// The shape of a block.
struct gemm_block {
    static constexpr unsigned warps = 8, threads = warps * 32, tiles = 4, rows = 8 * tiles;
    static constexpr unsigned units_of_row = chunk_depth / 4;         // of four halves
    static constexpr unsigned units = rows * units_of_row / threads;  // of a thread
    static constexpr std::size_t pitch = 144 / 16;                    // in uint4
};

/// The units of a chunk of X that this thread brings: rows past the last one are zero.
__device__ __forceinline__ void load_units(half_arguments const& a, std::size_t first_row,
                                           unsigned chunk, uint2 (&unit)[gemm_block::units]) {
    QTK_CUDA_UNROLL
    for (unsigned i = 0; i < gemm_block::units; ++i) {
        unsigned const at = i * gemm_block::threads + threadIdx.x;
        std::size_t const row = first_row + at / gemm_block::units_of_row;
        unsigned const k =
            chunk * static_cast<unsigned>(chunk_depth) + at % gemm_block::units_of_row * 4;
        unit[i] = row < a.m ? load_four(a.x + row * a.x_stride, k, a.w.layout.cols, a.is_aligned())
                            : uint2{0, 0};
    }
}
__device__ __forceinline__ void store_units(uint2 const (&unit)[gemm_block::units], uint4* to) {
    QTK_CUDA_UNROLL
    for (unsigned i = 0; i < gemm_block::units; ++i) {
        unsigned const at = i * gemm_block::threads + threadIdx.x;
        unsigned const row = at / gemm_block::units_of_row, q = at % gemm_block::units_of_row;
        reinterpret_cast<uint2*>(to + row * gemm_block::pitch)[q % 4 * 4 + q / 4] = unit[i];
    }
}

/// Spans of a chunk that share a scale: one, or two of 32 columns.
template <bool Table, unsigned Spans>
__device__ __forceinline__ void multiply_block(half_arguments const& a, std::size_t tile,
                                               unsigned groups, unsigned chunk, uint4 const& words,
                                               uint4 const* x, float (&sum)[gemm_block::tiles][4]) {
    unsigned const lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
    auto const cols = static_cast<unsigned>(a.w.layout.cols);
    std::uint32_t const word[4] = {words.x, words.y, words.z, words.w};
    float part[gemm_block::tiles][4] = {};
    QTK_CUDA_UNROLL
    for (unsigned half = 0; half < 2; ++half) {
        unsigned const k = chunk * static_cast<unsigned>(chunk_depth) + half * 32;
        // A last chunk may end after its first half.
        std::size_t const at = a.w.pair_at(tile, groups, k < cols ? k : k - 32, g);
        std::uint32_t zero[2];
        a.w.load_zeros(at, zero);
        half_operands left[2];
        decode_word<Table>(a.levels, word[2 * half], zero, left[0]);
        decode_word<Table>(a.levels, word[2 * half + 1], zero, left[1]);
        QTK_CUDA_UNROLL
        for (unsigned i = 0; i < gemm_block::tiles; ++i) {
            uint4 const right = x[(8 * i + g) * gemm_block::pitch + 2 * t + half];
            half_mma::multiply(part[i], left[0][0], {right.x});
            half_mma::multiply(part[i], left[0][1], {right.y});
            half_mma::multiply(part[i], left[1][0], {right.z});
            half_mma::multiply(part[i], left[1][1], {right.w});
        }
        if (half + 1 < 2 && Spans == 1) continue;
        float scale[2];
        a.w.load_scales(at, scale);
        QTK_CUDA_UNROLL
        for (unsigned i = 0; i < gemm_block::tiles; ++i) QTK_CUDA_UNROLL
        for (unsigned c = 0; c < 4; ++c) {
            sum[i][c] += part[i][c] * scale[c / 2];
            part[i][c] = 0.0f;
        }
    }
}

}  // namespace detail

template <bool Table, unsigned Spans>
__global__ void __launch_bounds__(detail::gemm_block::threads, 2) gemm_w4a16(half_arguments a) {
    using block = detail::gemm_block;
    __shared__ uint4 buffer[2][block::rows * block::pitch];
    unsigned const lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    auto const chunks = static_cast<unsigned>(a.w.layout.chunks());
    auto const groups = static_cast<unsigned>(a.w.layout.groups());
    std::size_t const tiles = a.w.layout.tiles();
    std::size_t const tile = std::size_t{blockIdx.x} * block::warps + warp;
    std::size_t const first_row = std::size_t{blockIdx.y} * block::rows;
    // A warp past the last tile multiplies that one again and stores nothing.
    std::size_t const read = tile < tiles ? tile : tiles - 1;
    uint4 const* const words = a.w.words + read * chunks * warp_lanes + lane;
    float sum[block::tiles][4] = {};
    uint2 unit[block::units];
    detail::load_units(a, first_row, 0, unit);
    uint4 now = __ldcs(words);
    detail::store_units(unit, buffer[0]);
    __syncthreads();
    for (unsigned chunk = 0; chunk < chunks; ++chunk) {
        bool const has_next = chunk + 1 < chunks;
        uint4 ahead = now;
        if (has_next) {
            detail::load_units(a, first_row, chunk + 1, unit);
            ahead = __ldcs(words + (chunk + 1) * warp_lanes);
        }
        detail::multiply_block<Table, Spans>(a, read, groups, chunk, now, buffer[chunk % 2], sum);
        if (has_next) detail::store_units(unit, buffer[(chunk + 1) % 2]);
        now = ahead;
        __syncthreads();
    }
    if (tile >= tiles) return;
    QTK_CUDA_UNROLL
    for (unsigned i = 0; i < block::tiles; ++i) QTK_CUDA_UNROLL
    for (int c = 0; c < 4; ++c) {
        coordinate const at = half_mma::c(static_cast<int>(lane), c);
        std::size_t const row = first_row + 8 * i + static_cast<unsigned>(at.col);
        std::size_t const col = tile * tile_rows + static_cast<unsigned>(at.row);
        if (row < a.m && col < a.w.layout.rows) a.y.store(row, col, sum[i][c]);
    }
}

/// Any m. Throws value_error for operands that it does not take.
inline void launch_gemm_w4a16(half_arguments const& a, cudaStream_t stream) {
    using block = detail::gemm_block;
    require_weight("gemm_w4a16", a.w, 4);
    if (a.w.layout.cols == 0) throw value_error("cuda: gemm_w4a16: expected columns, found none");
    dim3 const grid(static_cast<unsigned>(div_ceil(a.w.layout.tiles(), block::warps)),
                    static_cast<unsigned>(div_ceil(a.m, block::rows)));
    with_table(a, [&]<bool Table>() {
        auto* const kernel =
            has_narrow_groups(a.w.layout) ? gemm_w4a16<Table, 2> : gemm_w4a16<Table, 1>;
        launch("gemm_w4a16", kernel, grid, dim3(block::threads), 0, stream, a);
    });
}

}  // namespace qtk::cuda
