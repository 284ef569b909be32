// SPDX-License-Identifier: Apache-2.0
//
// What can this machine do at all? Bandwidths of each level of memory and peaks of each unit,
// measured when a bench program starts, on the cores and with the number of threads that its rows
// use. Every row is divided by them; they are rows themselves, `limit/...`, which run again after
// the start, so that their own `of_limit` tells how much the machine moved meanwhile.
#pragma once

#include <qtk/kernel/isa.hpp>

#include "machine.hpp"

namespace qtk_bench {

enum class level { l1, l2, l3, dram };

/// What multiplies: `none` where a row only moves bytes.
enum class arithmetic { none, f32, bf16, int8 };

/// What one call has to do at least, with everything in `from` when it begins.
struct work {
    double bytes_read = 0.0, bytes_written = 0.0;
    double operations = 0.0;  ///< a multiplication and an addition are two
    level from = level::dram;
    arithmetic unit = arithmetic::none;
    qtk::instruction_set isa = qtk::instruction_set::scalar;
    int threads = 1;
};

/// The nearest level that holds `bytes`, in favour of the limit: nothing else is in that cache.
[[nodiscard]] level level_of(std::size_t bytes);

/// Measures every limit, for one thread and for threads(); once per process.
void measure_limits();

/// Bytes per second read from `from`.
[[nodiscard]] double bandwidth(level from, int threads);

/// Operations per second of `unit` with the instructions of `isa`. scalar and xsimd share the
/// portable figure of f32: what the compile flags give.
[[nodiscard]] double peak(arithmetic unit, qtk::instruction_set isa, int threads);

/// Seconds that one call takes at least: the longer of its bytes over the level's bandwidth (bytes
/// written to DRAM over that of streaming stores) and its operations over the peak.
[[nodiscard]] double seconds_at_limit(work const& w);

}  // namespace qtk_bench
