// SPDX-License-Identifier: Apache-2.0
//
// What every row of a bench says about itself: bytes and operations per second, and `of_limit`, the
// fraction of what the same run measured as this machine's bandwidth or peak. Ratios in the
// documentation come from rows of one run.
#pragma once

#include <benchmark/benchmark.h>

#include "limits.hpp"
#include "memory.hpp"
#include "stopwatch.hpp"
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace qtk_bench {

/// operation/scheme/activation/isa/size/warmth, e.g. gemv/i4/g128/sym/f32/avx512/1x4096x4096/hot;
/// empty parts are left out.
template <typename... Parts>
[[nodiscard]] std::string bench_name(Parts const&... parts) {
    std::string name;
    for (std::string_view const part : {std::string_view(parts)...}) {
        if (!name.empty() && !part.empty()) name += '/';
        name += part;
    }
    return name;
}

/// Per iteration: `bytes` read and written once, `codes` coded. For rows of one thread that only
/// move bytes; they lie in `from`, or in the nearest level that holds them.
inline void set_rates(benchmark::State& state, std::size_t bytes, std::size_t codes, level from) {
    using benchmark::Counter;
    auto const rounds = static_cast<std::int64_t>(state.iterations());
    state.SetBytesProcessed(rounds * static_cast<std::int64_t>(bytes));
    state.counters["codes"] = Counter(static_cast<double>(codes) * static_cast<double>(rounds),
                                      Counter::kIsRate, Counter::kIs1000);
    work const w{.bytes_read = static_cast<double>(bytes), .from = from};
    state.counters["of_limit"] = Counter(seconds_at_limit(w), Counter::kIsIterationInvariantRate);
}

inline void set_rates(benchmark::State& state, std::size_t bytes, std::size_t codes) {
    set_rates(state, bytes, codes, level_of(bytes));
}

/// Times call(), which does `w`, and sets the counters from the median of its times. Calls of a few
/// microseconds are timed together.
template <typename Call>
void run(benchmark::State& state, work const& w, Call&& call) {
    auto const seconds_of = [&](int calls) {
        stopwatch const watch(w.threads);
        for (int i = 0; i < calls; ++i) {
            call();
            benchmark::ClobberMemory();
        }
        return watch.seconds();
    };
    double first = seconds_of(1);  // pages, caches, threads
    if (first < 1e-3) first = seconds_of(1);
    int const together = static_cast<int>(20e-6 / std::max(first, 20e-9)) + 1;
    std::vector<double> samples;
    while (state.KeepRunningBatch(together)) samples.push_back(seconds_of(together) / together);
    double const seconds = median(std::move(samples));
    state.counters["seconds"] = seconds;
    state.counters["bytes_per_second"] = (w.bytes_read + w.bytes_written) / seconds;
    if (w.operations > 0) state.counters["ops_per_second"] = w.operations / seconds;
    state.counters["of_limit"] = seconds_at_limit(w) / seconds;
    state.counters["threads"] = w.threads;
}

}  // namespace qtk_bench
