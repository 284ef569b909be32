// SPDX-License-Identifier: Apache-2.0
//
// What every bench measures on: seeded Gaussian weights, from a size that fits the first cache to one that fits none.
#pragma once

#include <qtk/core/random.hpp>
#include <qtk/kernel/isa.hpp>

#include <benchmark/benchmark.h>

#include <string>
#include <vector>

namespace bench {

/// Numbers of floats: 16 KiB (L1), 256 KiB (L2), 256 MiB (memory).
inline constexpr std::int64_t sizes[] = {1 << 12, 1 << 16, 1 << 26};

inline std::vector<float> const& weights() {
    static std::vector<float> const values = qtk::gaussian_vector(1 << 26, 42);
    return values;
}

/// `operation/scheme/isa`; Google Benchmark appends the size.
inline std::string name(std::string const& operation, std::string const& scheme) {
    return operation + "/" + scheme + "/" + std::string(qtk::isa());
}

/// Counts bytes of the float side and codes a second.
inline void count(benchmark::State& state, std::size_t values) {
    auto const total =
        static_cast<std::int64_t>(state.iterations()) * static_cast<std::int64_t>(values);
    state.SetBytesProcessed(total * 4);
    state.counters["codes"] =
        benchmark::Counter(static_cast<double>(total), benchmark::Counter::kIsRate);
}

}  // namespace bench
