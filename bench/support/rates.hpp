// SPDX-License-Identifier: Apache-2.0
//
// What every bench of a kernel says about itself: bytes that memory has to move and codes per
// second. Ratios in the documentation come from lines of one run.
#pragma once

#include <qtk/kernel/isa.hpp>

#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace qtk_bench {

/// Per iteration: `bytes` read and written once, `codes` coded or multiplied.
inline void set_rates(benchmark::State& state, std::size_t bytes, std::size_t codes) {
    auto const rounds = static_cast<std::int64_t>(state.iterations());
    state.SetBytesProcessed(rounds * static_cast<std::int64_t>(bytes));
    state.counters["codes"] =
        benchmark::Counter(static_cast<double>(codes) * static_cast<double>(rounds),
                           benchmark::Counter::kIsRate, benchmark::Counter::kIs1000);
}

/// operation/scheme/isa, e.g. encode/i4/g128/sym/f32/xsimd; the library adds the size.
inline std::string bench_name(std::string_view operation, std::string_view scheme,
                              std::string_view isa) {
    std::string name;
    for (std::string_view const part : {operation, scheme, isa}) {
        if (!name.empty()) name += '/';
        name += part;
    }
    return name;
}

}  // namespace qtk_bench
