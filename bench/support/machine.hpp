// SPDX-License-Identifier: Apache-2.0
//
// What is this run like? How big are the caches, how many threads compute, and is it a real run, a
// quick one (fewer sizes) or smoke (a test: tiny sizes, figures that mean nothing)?
//
//   OMP_NUM_THREADS           threads that compute; 1 where it is not set
//   QTK_BENCH=quick|smoke     another run than the full one
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <fstream>
#include <string>
#include <string_view>

namespace qtk_bench {

enum class extent { full, quick, smoke };

[[nodiscard]] inline extent run_extent() {
    char const* const text = std::getenv("QTK_BENCH");
    std::string_view const wanted = text == nullptr ? "" : text;
    return wanted == "smoke" ? extent::smoke : wanted == "quick" ? extent::quick : extent::full;
}

/// Threads that the parallel rows of this run use; always 1 in a build without OpenMP. OpenMP's own
/// default, every core, would mix figures of one thread with others.
[[nodiscard]] inline int threads() {
#if defined(_OPENMP)
    char const* const text = std::getenv("OMP_NUM_THREADS");
    if (text != nullptr) return std::clamp(std::atoi(text), 1, 1024);
#endif
    return 1;
}

/// Sizes in bytes as Linux states them; L3 is 0 where there is none.
struct cache_sizes {
    std::size_t l1 = 0, l2 = 0, l3 = 0;
};

/// From sysfs: sysconf() of glibc 2.36 adds up the third-level caches of whole AMD packages.
[[nodiscard]] inline cache_sizes const& caches() {
    static cache_sizes const sizes = [] {
        cache_sizes found;
        for (int i = 0; i < 8; ++i) {
            std::string const folder =
                "/sys/devices/system/cpu/cpu0/cache/index" + std::to_string(i) + "/";
            int level = 0;
            std::size_t size = 0;
            std::string type, unit;
            std::ifstream(folder + "level") >> level;
            std::ifstream(folder + "type") >> type;
            std::ifstream(folder + "size") >> size >> unit;
            if (level < 1 || level > 3 || type == "Instruction") continue;
            size *= unit == "M" ? std::size_t{1024} * 1024 : 1024;
            (level == 1 ? found.l1 : level == 2 ? found.l2 : found.l3) = size;
        }
        if (found.l1 == 0) found.l1 = std::size_t{32} << 10;
        if (found.l2 == 0) found.l2 = std::size_t{512} << 10;
        return found;
    }();
    return sizes;
}

[[nodiscard]] inline std::string processor_name() {
    std::ifstream file("/proc/cpuinfo");
    for (std::string line; std::getline(file, line);)
        if (line.starts_with("model name"))
            return line.substr(std::min(line.size(), line.find(':') + 2));
    return "unknown";
}

}  // namespace qtk_bench
