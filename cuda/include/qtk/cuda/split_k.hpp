// SPDX-License-Identifier: Apache-2.0
//
// How do several blocks share one output? Each takes a share of the chunks of K and writes floats to
// the workspace; the one that arrives last adds the shares up in order, so that two runs give the
// same bits whoever comes last. Worth it where there are fewer outputs than the device has room for.
#pragma once

#include <qtk/cuda/device.hpp>
#include <qtk/cuda/layout.hpp>

#include <cstddef>
#include <string>

namespace qtk::cuda {

/// Sums [split][m][rows of W, whole tiles], and a counter for each place that shares meet at, which
/// starts at zero and is left at zero.
struct split_operand {
    float* sums = nullptr;
    unsigned* arrived = nullptr;
};

/// Throws value_error if there is nothing to meet in.
inline void require_split(char const* kernel, unsigned splits, split_operand const& split) {
    if (splits == 0 || (splits > 1 && (split.sums == nullptr || split.arrived == nullptr)))
        throw value_error(std::string("cuda: ") + kernel + ": " + std::to_string(splits) +
                          " splits of K: expected one, or sums and counters for more");
}

namespace detail {

/// The chunks of one of several shares; all but the last are of one size.
struct chunk_share {
    unsigned first, end;

    __device__ __forceinline__ chunk_share(unsigned chunks, unsigned splits, unsigned index) {
        unsigned const each = (chunks + splits - 1) / splits;
        first = index * each < chunks ? index * each : chunks;
        end = first + each < chunks ? first + each : chunks;
    }
};

/// Where the sum of an output lies that share `index` has written.
struct split_sums {
    float* first;
    std::size_t padded, step;

    __device__ __forceinline__ split_sums(split_operand const& split, weight_layout const& w,
                                          std::size_t m)
        : first(split.sums), padded(w.tiles() * tile_rows), step(m * padded) {}
    __device__ __forceinline__ void put(unsigned index, std::size_t row, std::size_t col,
                                        float sum) const {
        first[index * step + row * padded + col] = sum;
    }
    [[nodiscard]] __device__ __forceinline__ float total(unsigned splits, std::size_t row,
                                                         std::size_t col) const {
        float sum = 0.0f;
        for (unsigned s = 0; s < splits; ++s) sum += __ldcg(first + s * step + row * padded + col);
        return sum;
    }
};

/// All threads of a block call this after their shares are written. True for the block that comes
/// last at its place, which may read all shares.
[[nodiscard]] __device__ __forceinline__ bool arrives_last(unsigned* counter, unsigned splits) {
    __shared__ unsigned order;
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0) order = atomicAdd(counter, 1u);
    __syncthreads();
    if (order + 1 != splits) return false;
    __threadfence();
    if (threadIdx.x == 0) *counter = 0;
    return true;
}

}  // namespace detail

}  // namespace qtk::cuda
