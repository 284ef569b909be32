// SPDX-License-Identifier: Apache-2.0
//
// Y = X W^T for many rows of integers on both sides: W4A8 and W8A8 on the tensor cores' bytes, W4A4 on
// their nibbles. The bits are those of skinny_integer (integer_product.hpp): integers of a segment
// are exact, and segments join the sum in order. Weights are brought once for 64 rows of X.
//
//   block   128 rows of W times 64 rows of X: 4 x 2 warps of 32 x 32
//   grid    [rows of X / 64, rows of W / 128]
//
// As in gemm_w4a16 the next chunk waits in registers while this one is multiplied, and W goes from
// memory to registers. Codes lie in shared memory as they lie in memory: a row's chunk is what its
// four readers want, and a phase of a warp reads 128 neighbouring bytes. With a chunk come the scale
// and the sum of each segment that ends in it.
#pragma once

#include <qtk/cuda/integer_product.hpp>

#include <cstddef>
#include <cstdint>

namespace qtk::cuda {

namespace detail {

/// The shape of a block, and what its threads bring.
template <int ActivationBits>
struct integer_block {
    static constexpr unsigned across = 2, down = 4, threads = across * down * 32;  // warps
    static constexpr unsigned tiles = 2;   ///< of 16 rows of W, for a warp
    static constexpr unsigned eights = 4;  ///< of rows of X, for a warp
    static constexpr unsigned w_tiles = down * tiles, rows = across * eights * 8;
    using quarter = code_quarter<ActivationBits>;  ///< of a row of a chunk; each thread brings one
    static constexpr unsigned columns = w_tiles * 16, pitch = columns + 4;  // of outputs shown
    static_assert(rows * 4 == threads);
};

/// Of one row of X, for the segment that ends in a half of a chunk.
struct segment_params {
    float scale;
    std::int32_t sum;
};

template <int ActivationBits>
struct staged_chunk {
    using block = integer_block<ActivationBits>;
    typename block::quarter codes[block::rows][4];
    alignas(16) segment_params params[2][block::rows];
};

/// Segments in halves of chunks.
struct segment_cut {
    unsigned halves, all;

    __device__ __forceinline__ explicit segment_cut(activation_codes const& x)
        : halves(static_cast<unsigned>(div_ceil(x.segment, half_chunk))),
          all(static_cast<unsigned>(div_ceil(x.cols, half_chunk))) {}
    [[nodiscard]] __device__ __forceinline__ bool ends_in(unsigned half) const {
        return half + 1 == all || (half < all && (half + 1) % halves == 0);
    }
};

/// What a thread brings of a chunk of X: a quarter of a row, and perhaps a segment's parameters.
template <int ActivationBits>
struct carried_part {
    using block = integer_block<ActivationBits>;
    typename block::quarter codes;
    segment_params params;

    __device__ __forceinline__ void load(activation_codes const& x, segment_cut const& cut,
                                         std::size_t first_row, unsigned chunk) {
        std::size_t const row = first_row + threadIdx.x / 4;
        codes = {};
        if (row < x.m)
            codes = __ldg(
                reinterpret_cast<typename block::quarter const*>(x.codes + row * x.row_bytes()) +
                chunk * 4 + threadIdx.x % 4);
        params = {1.0f, 0};
        unsigned const half = chunk * 2 + threadIdx.x / block::rows;
        std::size_t const of = first_row + threadIdx.x % block::rows;
        if (threadIdx.x >= 2 * block::rows || of >= x.m || !cut.ends_in(half)) return;
        unsigned const s = half / cut.halves;
        params.sum = __ldg(x.sums + of * x.segments() + s);
        if (!x.has_row_scales) params.scale = __ldg(x.scales + x.scale_at(of, s));
    }
    __device__ __forceinline__ void store(staged_chunk<ActivationBits>& to) const {
        to.codes[threadIdx.x / 4][threadIdx.x % 4] = codes;
        if (threadIdx.x < 2 * block::rows)
            to.params[threadIdx.x / block::rows][threadIdx.x % block::rows] = params;
    }
};

/// Outputs of a warp: [tile of W][rows g, g + 8][eight rows of X][rows 2t, 2t + 1].
template <typename T>
using warp_outputs = T[integer_block<8>::tiles][2][integer_block<8>::eights][2];

/// The exact sums of a segment join the outputs and start again.
template <int ActivationBits>
__device__ __forceinline__ void join_outputs(weight_operand const& w, unsigned pair,
                                             unsigned tile_pairs, segment_params const* params,
                                             warp_outputs<std::int32_t>& sum,
                                             warp_outputs<float>& y) {
    using block = integer_block<ActivationBits>;
    QTK_CUDA_UNROLL
    for (unsigned i = 0; i < block::tiles; ++i) {
        float scale[2];
        std::uint32_t zero[2];
        w.load_scales(pair + i * tile_pairs, scale);
        w.load_zeros(pair + i * tile_pairs, zero);
        QTK_CUDA_UNROLL
        for (unsigned r = 0; r < block::eights; ++r) {
            uint4 const two = *reinterpret_cast<uint4 const*>(params + 8 * r);
            float const by[2] = {bit_cast<float>(two.x), bit_cast<float>(two.z)};
            std::int32_t const code_sum[2] = {static_cast<std::int32_t>(two.y),
                                              static_cast<std::int32_t>(two.w)};
            QTK_CUDA_UNROLL
            for (unsigned h = 0; h < 2; ++h) QTK_CUDA_UNROLL
            for (unsigned c = 0; c < 2; ++c) {
                y[i][h][r][c] = add_segment(w, scale[h], zero[h], by[c], sum[i][h][r][c],
                                            code_sum[c], y[i][h][r][c]);
                sum[i][h][r][c] = 0;
            }
        }
    }
}

/// Half a chunk of a warp's tiles times its rows of X.
template <int Bits, int ActivationBits>
__device__ __forceinline__ void multiply_half(
    lane_words<Bits> const (&words)[integer_block<8>::tiles], unsigned half,
    code_quarter<ActivationBits> const (*codes)[4], warp_outputs<std::int32_t>& sum) {
    using block = integer_block<ActivationBits>;
    using mma = integer_mma<ActivationBits>;
    constexpr unsigned steps = steps_of_half<ActivationBits>;
    std::uint32_t left[block::tiles][2][steps];
    QTK_CUDA_UNROLL
    for (unsigned i = 0; i < block::tiles; ++i)
        split_half<Bits, ActivationBits>(words[i], half, left[i]);
    QTK_CUDA_UNROLL
    for (unsigned r = 0; r < block::eights; ++r) {
        std::uint32_t right[steps];
        split_codes(codes[8 * r][0], half, right);
        QTK_CUDA_UNROLL
        for (unsigned s = 0; s < steps; ++s) QTK_CUDA_UNROLL
        for (unsigned i = 0; i < block::tiles; ++i) {
            mma::multiply(sum[i][0][r], {left[i][0][s]}, {right[s]});
            mma::multiply(sum[i][1][r], {left[i][1][s]}, {right[s]});
        }
    }
}

/// 16 rows of X of the block's outputs go out, eight of each warp: through shared memory, so that
/// neighbours in a row go out together.
template <unsigned Part>
__device__ __forceinline__ void finish_part(integer_arguments const& a, float* shown,
                                            warp_outputs<float> const& y) {
    using block = integer_block<8>;
    unsigned const lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    QTK_CUDA_UNROLL
    for (unsigned i = 0; i < block::tiles; ++i) QTK_CUDA_UNROLL
    for (unsigned h = 0; h < 2; ++h) QTK_CUDA_UNROLL
    for (unsigned c = 0; c < 2; ++c)
        shown[(warp % block::across * 8 + lane % 4 * 2 + c) * block::pitch +
              (warp / block::across * block::tiles + i) * 16 + lane / 4 + 8 * h] = y[i][h][Part][c];
    __syncthreads();
    unsigned const within = threadIdx.x % block::columns;
    unsigned const n = blockIdx.y * block::columns + within;
    for (unsigned r = threadIdx.x / block::columns; r < block::across * 8;
         r += block::threads / block::columns) {
        std::size_t const row =
            blockIdx.x * block::rows + r / 8 * (block::eights * 8) + Part * 8 + r % 8;
        if (row < a.x.m && n < a.w.layout.rows)
            finish_output(a, row, n, shown[r * block::pitch + within]);
    }
    __syncthreads();
}

}  // namespace detail

/// Bits of the weights and of the activations.
template <int Bits, int ActivationBits>
__global__ void __launch_bounds__(detail::integer_block<8>::threads, 2)
    gemm_integer(integer_arguments a) {
    using block = detail::integer_block<ActivationBits>;
    constexpr unsigned chunk_lanes = warp_lanes * Bits / 4;
    union shared_chunks {
        detail::staged_chunk<ActivationBits> chunk[2];
        float outputs[block::across * 8 * block::pitch];
    };
    __shared__ shared_chunks shared;
    auto& buffer = shared.chunk;
    unsigned const lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
    unsigned const warp = threadIdx.x / 32, x_part = warp % block::across * block::eights * 8;
    auto const chunks = static_cast<unsigned>(a.w.layout.chunks());
    auto const groups = static_cast<unsigned>(a.w.layout.groups());
    auto const last = static_cast<unsigned>(a.w.layout.tiles()) - 1;
    unsigned const first_row = blockIdx.x * block::rows;
    unsigned const tile = blockIdx.y * block::w_tiles + warp / block::across * block::tiles;
    // Tiles past the last one are that one again, and nothing of them is stored.
    unsigned const read = tile < last ? tile : last, next = tile < last ? 1 : 0;
    uint4 const* const words = a.w.words + read * chunks * chunk_lanes;
    detail::segment_cut const cut(a.x);
    detail::warp_outputs<std::int32_t> sum = {};
    detail::warp_outputs<float> y = {};
    detail::lane_words<Bits> now[block::tiles], ahead[block::tiles];
    detail::carried_part<ActivationBits> part;
    part.load(a.x, cut, first_row, 0);
    for (unsigned i = 0; i < block::tiles; ++i)
        ahead[i].load(words + i * next * chunks * chunk_lanes);
    part.store(buffer[0]);
    __syncthreads();
    for (unsigned chunk = 0; chunk < chunks; ++chunk) {
        bool const has_next = chunk + 1 < chunks;
        QTK_CUDA_UNROLL
        for (unsigned i = 0; i < block::tiles; ++i) now[i] = ahead[i];
        if (has_next) {
            part.load(a.x, cut, first_row, chunk + 1);
            QTK_CUDA_UNROLL
            for (unsigned i = 0; i < block::tiles; ++i)
                ahead[i].load(words + (i * next * chunks + chunk + 1) * chunk_lanes);
        }
        auto const& staged = buffer[chunk % 2];
        QTK_CUDA_UNROLL
        for (unsigned half = 0; half < 2; ++half) {
            detail::multiply_half<Bits, ActivationBits>(
                now, half,
                reinterpret_cast<typename block::quarter const(*)[4]>(&staged.codes[x_part + g][t]),
                sum);
            if (!cut.ends_in(chunk * 2 + half)) continue;
            unsigned const pair = a.w.pair_at(
                read, groups, (chunk * 2 + half) / cut.halves * static_cast<unsigned>(a.x.segment),
                g);
            detail::join_outputs<ActivationBits>(a.w, pair, next * groups * 8,
                                                 staged.params[half] + x_part + 2 * t, sum, y);
        }
        if (has_next) part.store(buffer[(chunk + 1) % 2]);
        __syncthreads();
    }
    detail::finish_part<0>(a, shared.outputs, y);
    detail::finish_part<1>(a, shared.outputs, y);
    detail::finish_part<2>(a, shared.outputs, y);
    detail::finish_part<3>(a, shared.outputs, y);
}

/// Any m. Throws value_error or shape_error for operands that do not fit.
inline void launch_gemm_integer(integer_arguments const& a, cudaStream_t stream) {
    using block = detail::integer_block<8>;
    require_integers("gemm_integer", a);
    if (a.x.cols == 0) throw value_error("cuda: gemm_integer: expected columns, found none");
    dim3 const grid(static_cast<unsigned>(div_ceil(a.x.m, block::rows)),
                    static_cast<unsigned>(div_ceil(a.w.layout.tiles(), block::w_tiles)));
    auto* const kernel = a.x.bits == 4          ? gemm_integer<4, 4>
                         : a.w.layout.bits == 4 ? gemm_integer<4, 8>
                                                : gemm_integer<8, 8>;
    launch("gemm_integer", kernel, grid, dim3(block::threads), 0, stream, a);
}

}  // namespace qtk::cuda
