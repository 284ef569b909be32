// SPDX-License-Identifier: Apache-2.0
//
// On what did this run? What a reader needs to compare two figures: processor, threads, instruction set,
// compiler, versions, clock governor, load, memory.
#pragma once

#include <nlohmann/json.hpp>

#include <cstddef>
#include <string>

namespace app {

struct environment {
    std::string cpu, isa, compiler, build, kernel, governor, date;
    std::size_t cores = 0, threads = 0, memory_bytes = 0;
    double load = 0.0;  ///< Mean number of waiting processes of the last minute.

    /// As it is now.
    [[nodiscard]] static environment now();
    [[nodiscard]] nlohmann::ordered_json to_json() const;
    /// One line for people.
    [[nodiscard]] std::string describe() const;
};

/// The most memory that this process has held, in bytes.
[[nodiscard]] std::size_t peak_memory();
/// Lets peak_memory() begin anew with what the process holds now, where the system can do that.
void reset_peak_memory();

/// Bytes per second that `threads` threads read from memory, the best of some passes over a buffer that
/// no cache holds.
[[nodiscard]] double read_bandwidth(std::size_t threads);

}  // namespace app
