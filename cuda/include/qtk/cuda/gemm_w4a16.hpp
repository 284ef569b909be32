// SPDX-License-Identifier: Apache-2.0
//
// Y = X W^T for many rows of halves and weights of 4 bits: prefill. Turing has no asynchronous
// copies, so the next chunk waits in registers: loads of X and W are issued first, the chunk before
// them is multiplied, then X goes to the other of two buffers in shared memory, behind one barrier.
// W never touches shared memory. A warp multiplies two tiles of W with 32 rows of X: with one tile,
// reading X from shared memory would take as long as the tensor core.
//
//   block   128 rows of W times 64 rows of X (4 x 2 warps), or 32; a share of the chunks of K
//   grid    [rows of X / 64, rows of W / 128, splits]: blocks that read the same weights run at the
//           same time
//
// In shared memory a row of a chunk lies as its readers want it, [t 4][j 4][4 halves], so that a
// lane takes two steps with 16 bytes; rows are 144 bytes apart, which no two of them share banks in.
// Sums of 32 columns are exact integers times halves in the tensor core, and scaled as floats.
#pragma once

#include <qtk/cuda/convert.hpp>
#include <qtk/cuda/mma.hpp>
#include <qtk/cuda/operand.hpp>
#include <qtk/cuda/split_k.hpp>

#include <cstddef>
#include <cstdint>

namespace qtk::cuda {

namespace detail {

/// The shape of a block; Across: how many warps share its weights.
template <unsigned Across>
struct gemm_block {
    static constexpr unsigned down = 4, threads = down * Across * 32;
    static constexpr unsigned tiles = 2;   ///< of 16 rows of W, for a warp
    static constexpr unsigned eights = 4;  ///< of rows of X, for a warp
    static constexpr unsigned w_tiles = down * tiles, columns = w_tiles * 16;
    static constexpr unsigned rows = Across * eights * 8;
    static constexpr unsigned pitch = 144 / 16;  // of a row in shared memory, in uint4
    static_assert(rows * 4 == threads, "each thread brings a quarter of a row");
};

/// Sums of a warp: [tile of W][eight rows of X][word of m16n8k8].
using gemm_sums = float[gemm_block<1>::tiles][gemm_block<1>::eights][4];

/// Half a chunk of a warp's tiles times its rows of X, scaled and added to `sum`; the parameters of
/// the next tile lie `pairs` further.
template <bool Table>
__device__ __forceinline__ void multiply_half(half_arguments const& a, unsigned pair,
                                              unsigned pairs, unsigned half,
                                              uint4 const (&words)[gemm_block<1>::tiles],
                                              uint4 const* x, gemm_sums& sum) {
    constexpr unsigned tiles = gemm_block<1>::tiles, eights = gemm_block<1>::eights;
    half_operands left[tiles][2];
    float scale[tiles][2];
    QTK_CUDA_UNROLL
    for (unsigned r = 0; r < tiles; ++r) {
        std::uint32_t zero[2];
        a.w.load_zeros(pair + r * pairs, zero);
        a.w.load_scales(pair + r * pairs, scale[r]);
        QTK_CUDA_UNROLL
        for (unsigned j = 0; j < 2; ++j)
            decode_word<Table>(a.levels, word_of(words[r], 2 * half + j), zero, left[r][j]);
    }
    QTK_CUDA_UNROLL
    for (unsigned i = 0; i < eights; ++i) {
        uint4 const right = x[8 * i * gemm_block<1>::pitch];
        float part[tiles][4] = {};
        QTK_CUDA_UNROLL
        for (unsigned step = 0; step < 4; ++step) QTK_CUDA_UNROLL
        for (unsigned r = 0; r < tiles; ++r)
            half_mma::multiply(part[r], left[r][step / 2][step % 2], {word_of(right, step)});
        QTK_CUDA_UNROLL
        for (unsigned r = 0; r < tiles; ++r) QTK_CUDA_UNROLL
        for (unsigned c = 0; c < 4; ++c) sum[r][i][c] += part[r][c] * scale[r][c / 2];
    }
}

/// A thread's quarter of a row of a chunk of X goes to shared memory.
__device__ __forceinline__ void stage_quarter(uint2 const (&x)[4], uint4* buffer) {
    buffer += threadIdx.x / 4 * gemm_block<1>::pitch + threadIdx.x % 4 * 2;
    buffer[0] = {x[0].x, x[0].y, x[1].x, x[1].y};
    buffer[1] = {x[2].x, x[2].y, x[3].x, x[3].y};
}

/// 16 rows of each warp's outputs go out, from `shown` or, where nothing is shown, from the shares of
/// all splits; or they become a share.
template <unsigned Across>
__device__ __forceinline__ void finish_rows(half_arguments const& a, split_operand const& split,
                                            unsigned part, float const* shown, unsigned pitch) {
    using block = gemm_block<Across>;
    split_sums const sums(split, a.w.layout, a.m);
    unsigned const within = threadIdx.x % block::columns;
    std::size_t const col = std::size_t{blockIdx.y} * block::columns + within;
    if (col >= a.w.layout.rows) return;
    for (unsigned r = threadIdx.x / block::columns; r < block::rows / 2;
         r += block::threads / block::columns) {
        std::size_t const row = blockIdx.x * block::rows + r / 16 * 32 + part * 16 + r % 16;
        if (row >= a.m) continue;
        if (shown == nullptr)
            a.y.store(row, col, sums.total(gridDim.z, row, col));
        else if (gridDim.z == 1)
            a.y.store(row, col, shown[r * pitch + within]);
        else
            sums.put(blockIdx.z, row, col, shown[r * pitch + within]);
    }
}

}  // namespace detail

template <bool Table, unsigned Across>
__global__ void __launch_bounds__(detail::gemm_block<Across>::threads, 4 / Across)
    gemm_w4a16(half_arguments a, split_operand split) {
    using block = detail::gemm_block<Across>;
    __shared__ uint4 buffer[2][block::rows * block::pitch];
    unsigned const lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    auto const chunks = static_cast<unsigned>(a.w.layout.chunks());
    auto const groups = static_cast<unsigned>(a.w.layout.groups());
    auto const last = static_cast<unsigned>(a.w.layout.tiles()) - 1;
    unsigned const tile = blockIdx.y * block::w_tiles + warp / Across * block::tiles;
    unsigned const row = blockIdx.x * block::rows + threadIdx.x / 4;
    // Tiles past the last one are that one again, and nothing of them is stored.
    unsigned const read = tile < last ? tile : last, next = tile < last ? 1 : 0;
    detail::chunk_share const share(chunks, gridDim.z, blockIdx.z);
    uint4 const* const x =
        &buffer[0][(warp % Across * 32 + lane / 4) * block::pitch + lane % 4 * 2];
    detail::gemm_sums sum = {};
    uint4 now[block::tiles], ahead[block::tiles] = {};
    uint2 quarter[4] = {};
    auto const load = [&](unsigned chunk) {
        detail::load_quarter(a, row, chunk, threadIdx.x % 4, a.is_whole(chunk), quarter);
        QTK_CUDA_UNROLL
        for (unsigned r = 0; r < block::tiles; ++r)
            ahead[r] = __ldcs(a.w.words + ((read + r * next) * chunks + chunk) * 32 + lane);
    };
    if (share.first < share.end) load(share.first);
    detail::stage_quarter(quarter, buffer[share.first % 2]);
    __syncthreads();
    for (unsigned chunk = share.first; chunk < share.end; ++chunk) {
        QTK_CUDA_UNROLL
        for (unsigned r = 0; r < block::tiles; ++r) now[r] = ahead[r];
        if (chunk + 1 < share.end) load(chunk + 1);
        QTK_CUDA_UNROLL
        for (unsigned half = 0; half < 2; ++half) {
            unsigned const k = chunk * static_cast<unsigned>(chunk_depth) + half * 32;
            if (k >= a.w.layout.cols) break;  // a last chunk that ends after half
            detail::multiply_half<Table>(a, a.w.pair_at(read, groups, k, lane / 4),
                                         next * groups * 8, half, now,
                                         x + chunk % 2 * (block::rows * block::pitch) + half, sum);
        }
        if (chunk + 1 < share.end) detail::stage_quarter(quarter, buffer[(chunk + 1) % 2]);
        __syncthreads();
    }
    // Through shared memory, half of the rows at a time, so that neighbours in a row go out together.
    constexpr unsigned pitch = block::columns + 4;
    static_assert(sizeof(buffer) >= block::rows / 2 * pitch * sizeof(float));
    auto* const shown = reinterpret_cast<float*>(buffer);
    QTK_CUDA_UNROLL
    for (unsigned part = 0; part < 2; ++part) {
        QTK_CUDA_UNROLL
        for (unsigned r = 0; r < block::tiles; ++r) QTK_CUDA_UNROLL
        for (unsigned i = 0; i < 2; ++i) QTK_CUDA_UNROLL
        for (int c = 0; c < 4; ++c) {
            coordinate const at = half_mma::c(static_cast<int>(lane), c);
            shown[(warp % Across * 16 + 8 * i + static_cast<unsigned>(at.col)) * pitch +
                  (warp / Across * block::tiles + r) * 16 + static_cast<unsigned>(at.row)] =
                sum[r][2 * part + i][c];
        }
        __syncthreads();
        detail::finish_rows<Across>(a, split, part, shown, pitch);
        __syncthreads();
    }
    if (gridDim.z == 1 ||
        !detail::arrives_last(split.arrived + blockIdx.y * gridDim.x + blockIdx.x, gridDim.z))
        return;
    for (unsigned part = 0; part < 2; ++part)
        detail::finish_rows<Across>(a, split, part, nullptr, 0);
}

/// Blocks of one split: [rows of X, rows of W].
struct gemm_grid {
    unsigned x = 0, y = 0;
    bool is_wide = false;  ///< 64 rows of X a block, unless half of them would be empty

    gemm_grid(std::size_t m, weight_layout const& w)
        : x(static_cast<unsigned>(div_ceil(m, std::size_t{m <= 32 ? 32u : 64u}))),
          y(static_cast<unsigned>(
              div_ceil(w.tiles(), std::size_t{detail::gemm_block<1>::w_tiles}))),
          is_wide(m > 32) {}
    /// As many counters as splits need.
    [[nodiscard]] std::size_t blocks() const noexcept { return std::size_t{x} * y; }
};

/// Any m; splits 1 needs no split operand. Throws value_error for operands that it does not take.
inline void launch_gemm_w4a16(half_arguments const& a, unsigned splits, split_operand const& split,
                              cudaStream_t stream) {
    require_weight("gemm_w4a16", a.w, 4);
    require_split("gemm_w4a16", splits, split);
    if (a.w.layout.cols == 0) throw value_error("cuda: gemm_w4a16: expected columns, found none");
    gemm_grid const grid(a.m, a.w.layout);
    unsigned const threads =
        grid.is_wide ? detail::gemm_block<2>::threads : detail::gemm_block<1>::threads;
    with_table(a, [&]<bool Table>() {
        launch("gemm_w4a16", grid.is_wide ? gemm_w4a16<Table, 2> : gemm_w4a16<Table, 1>,
               dim3(grid.x, grid.y, splits), dim3(threads), 0, stream, a, split);
    });
}

}  // namespace qtk::cuda
