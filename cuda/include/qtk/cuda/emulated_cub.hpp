// SPDX-License-Identifier: Apache-2.0
//
// What do CUB's device-wide functions give? Their definitions as plain loops, for tests where there
// is no GPU: the steps between them are qtk's and run as they are. As in CUB, a call without
// temporary memory only says how much it needs. Included by calibrate.hpp alone, under
// QTK_CUDA_EMULATE.
#pragma once

#include <qtk/cuda/device.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace cub {

namespace detail {

/// Was this call a question of size? Then it is answered.
[[nodiscard]] inline bool asks_for_size(void const* memory, std::size_t& bytes) {
    if (memory == nullptr) bytes = 64;
    return memory == nullptr;
}

}  // namespace detail

struct DeviceReduce {
    template <typename In, typename Out, typename Op, typename T>
    static cudaError_t Reduce(void* memory, std::size_t& bytes, In in, Out out, std::int64_t count,
                              Op op, T first, cudaStream_t = {}) {
        if (detail::asks_for_size(memory, bytes)) return cudaSuccess;
        for (std::int64_t i = 0; i < count; ++i) first = op(first, in[i]);
        *out = first;
        return cudaSuccess;
    }
};

struct DeviceHistogram {
    /// Integer samples alone: bins of equal width from lower to upper.
    template <typename In, typename Counter>
    static cudaError_t HistogramEven(void* memory, std::size_t& bytes, In in, Counter* counts,
                                     int levels, int lower, int upper, std::int64_t count,
                                     cudaStream_t = {}) {
        if (detail::asks_for_size(memory, bytes)) return cudaSuccess;
        int const bins = levels - 1, width = (upper - lower) / bins;
        std::fill(counts, counts + bins, Counter{0});
        for (std::int64_t i = 0; i < count; ++i)
            if (int const sample = in[i]; sample >= lower && sample < upper)
                ++counts[(sample - lower) / width];
        return cudaSuccess;
    }
};

struct DeviceSelect {
    template <typename In, typename Out, typename Count, typename Op>
    static cudaError_t If(void* memory, std::size_t& bytes, In in, Out out, Count selected,
                          std::int64_t count, Op op, cudaStream_t = {}) {
        if (detail::asks_for_size(memory, bytes)) return cudaSuccess;
        *selected = 0;
        for (std::int64_t i = 0; i < count; ++i)
            if (auto const value = in[i]; op(value)) out[(*selected)++] = value;
        return cudaSuccess;
    }
};

struct DeviceRadixSort {
    template <typename Key>
    static cudaError_t SortKeys(void* memory, std::size_t& bytes, Key const* in, Key* out,
                                std::int64_t count, int, int, cudaStream_t = {}) {
        if (detail::asks_for_size(memory, bytes)) return cudaSuccess;
        std::copy(in, in + count, out);
        std::sort(out, out + count);
        return cudaSuccess;
    }
};

}  // namespace cub
