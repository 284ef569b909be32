// SPDX-License-Identifier: Apache-2.0
#include "environment.hpp"

#include <qtk/kernel/isa.hpp>
#include <qtk/kernel/parallel.hpp>
#include <qtk/version.hpp>

#include <fmt/format.h>

#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <memory>
#include <system_error>
#include <thread>

namespace app {
namespace {

std::string first_line(char const* path) {
    std::ifstream file(path);
    std::string line;
    std::getline(file, line);
    return line;
}

std::string cpu_name() {
    std::ifstream info("/proc/cpuinfo");
    for (std::string line; std::getline(info, line);)
        if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
    return "unknown";
}

std::string now_in_utc() {
    std::time_t const now = std::time(nullptr);
    std::tm parts{};
    gmtime_r(&now, &parts);
    char text[32];
    std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
    return text;
}

}  // namespace

environment environment::now() {
    environment e;
    e.cpu = cpu_name();
    e.isa = qtk::isa();
    e.compiler = __VERSION__;
#if defined(NDEBUG)
    e.build = "release";
#else
    e.build = "with assertions";
#endif
    utsname system{};
    if (uname(&system) == 0) e.kernel = std::string(system.sysname) + " " + system.release;
    e.governor = first_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor");
    if (e.governor.empty()) e.governor = "unknown";
    e.date = now_in_utc();
    e.cores = std::thread::hardware_concurrency();
    e.threads = qtk::thread_count();
    e.memory_bytes = static_cast<std::size_t>(sysconf(_SC_PHYS_PAGES)) *
                     static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    if (double loads[1]; getloadavg(loads, 1) == 1) e.load = loads[0];
    return e;
}

nlohmann::ordered_json environment::to_json() const {
    return {{"qtk", QTK_VERSION_STRING},
            {"date", date},
            {"cpu", cpu},
            {"isa", isa},
            {"cores", cores},
            {"threads", threads},
            {"compiler", compiler},
            {"build", build},
            {"kernel", kernel},
            {"governor", governor},
            {"load_1min", load},
            {"memory_bytes", memory_bytes}};
}

std::string environment::describe() const {
    return fmt::format(
        "{} ({}), {} of {} cores, qtk {}, g++/clang {}, {}, governor {}, load {:.2f}", cpu, isa,
        threads, cores, QTK_VERSION_STRING, compiler, kernel, governor, load);
}

std::size_t peak_memory() {
    // getrusage begins with what the program that started this one had; the kernel's own mark does not.
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);)
        if (line.starts_with("VmHWM:")) {
            std::size_t const start = std::min(line.find_first_of("0123456789"), line.size());
            std::size_t kilobytes = 0;
            auto const [stop, failure] =
                std::from_chars(line.data() + start, line.data() + line.size(), kilobytes);
            if (failure == std::errc{}) return kilobytes * 1024;
        }
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return static_cast<std::size_t>(usage.ru_maxrss) * 1024;
}
void reset_peak_memory() {
    std::ofstream("/proc/self/clear_refs") << '5';  // proc(5): resets the high-water mark
}

double read_bandwidth(std::size_t threads) {
    using vector = std::uint64_t __attribute__((vector_size(32)));
    constexpr std::size_t bytes = std::size_t{256} << 20, passes = 7;
    std::size_t const part = bytes / sizeof(vector) / threads / 8 * 8;
    std::unique_ptr<vector[]> const buffer(new vector[part * threads]);
    qtk::parallel_for(threads, bytes, [&](std::size_t t) {
        std::fill_n(buffer.get() + t * part, part, vector{t, 1, 2, 3});
    });
    double best = 0.0;
    std::uint64_t kept = 0;
    for (std::size_t pass = 0; pass < passes; ++pass) {
        auto const start = std::chrono::steady_clock::now();
        std::unique_ptr<std::uint64_t[]> const sums(new std::uint64_t[threads]);
        qtk::parallel_for(threads, bytes, [&](std::size_t t) {
            vector sum[8] = {};
            vector const* const from = buffer.get() + t * part;
            for (std::size_t i = 0; i < part; i += 8)
                for (std::size_t j = 0; j < 8; ++j) sum[j] += from[i + j];
            for (std::size_t j = 1; j < 8; ++j) sum[0] += sum[j];
            sums[t] = sum[0][0] ^ sum[0][1] ^ sum[0][2] ^ sum[0][3];
        });
        std::chrono::duration<double> const time = std::chrono::steady_clock::now() - start;
        best = std::max(best, static_cast<double>(part * threads * sizeof(vector)) / time.count());
        for (std::size_t t = 0; t < threads; ++t) kept += sums[t];
    }
    // The sums must be wanted, or nothing would be read.
    if (kept == 1) best *= 1.0 + 1e-16;
    return best;
}

}  // namespace app
