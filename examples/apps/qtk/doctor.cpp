// SPDX-License-Identifier: Apache-2.0
//
// qtk doctor: what has this machine that qtk can use, and what keeps figures from being trusted?
#include <qtk/energy/meter.hpp>
#include <qtk/kernel/isa.hpp>
#include <qtk/math/blas.hpp>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <dlfcn.h>

#include "chart.hpp"
#include "commands.hpp"
#include "common_options.hpp"
#include "environment.hpp"
#include "output.hpp"
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace app {
namespace {

/// What the CUDA driver says, without linking it.
std::string cuda_devices() {
    void* const driver = dlopen("libcuda.so.1", RTLD_LAZY | RTLD_LOCAL);
    if (driver == nullptr) return "none: no CUDA driver (libcuda.so.1) was found";
    auto const init = reinterpret_cast<int (*)(unsigned)>(dlsym(driver, "cuInit"));
    auto const count = reinterpret_cast<int (*)(int*)>(dlsym(driver, "cuDeviceGetCount"));
    auto const name = reinterpret_cast<int (*)(char*, int, int)>(dlsym(driver, "cuDeviceGetName"));
    int devices = 0;
    std::string text;
    if (init == nullptr || count == nullptr || name == nullptr || init(0) != 0 ||
        count(&devices) != 0 || devices == 0) {
        text = "none: the driver is there, but no device answers";
    } else {
        for (int i = 0; i < devices; ++i) {
            char buffer[128] = {};
            static_cast<void>(name(buffer, sizeof buffer - 1, i));
            text += (i == 0 ? "" : ", ") + std::string(buffer);
        }
    }
    dlclose(driver);
    return text;
}

std::string blas_name() {
#if QTK_HAS_CBLAS && defined(OPENBLAS_VERSION)
    return openblas_get_config();
#elif QTK_HAS_CBLAS
    return "a CBLAS library";
#else
    return "none: qtk's own loop multiplies floats";
#endif
}

struct doctor_options {
    std::string json_target;
};

void run(doctor_options const& options) {
    environment const where = environment::now();
    qtk::rapl_meter const meter;
    double const bandwidth = read_bandwidth(where.threads), one = read_bandwidth(1);
    std::string const devices = cuda_devices(), blas = blas_name();
    std::vector<std::string> advice;
    if (where.load > 0.5 * static_cast<double>(where.cores))
        advice.push_back(fmt::format("load is {:.1f} on {} cores: speeds measured now are too low",
                                     where.load, where.cores));
    if (where.build != "release")
        advice.push_back("this qtk was built with assertions; use -DCMAKE_BUILD_TYPE=Release");
    if (where.governor != "performance" && where.governor != "unknown")
        advice.push_back("the clock governor is " + where.governor +
                         "; `performance` gives steadier figures");
    if (where.threads < where.cores)
        advice.push_back(fmt::format("{} of {} cores are used; see OMP_NUM_THREADS and --threads",
                                     where.threads, where.cores));
    if (!can_draw()) advice.push_back("gnuplot is not installed: reports have no charts");
    if (options.json_target != "-") {
        auto const line = [](char const* what, std::string const& found) {
            fmt::print("{:<18} {}\n", what, found);
        };
        line("processor", where.cpu);
        line("instructions", where.isa + " (QTK_ISA forces another set)");
        line("threads", fmt::format("{} of {} cores", where.threads, where.cores));
        line("memory", fmt::format("{:.1f} GB", 1e-9 * static_cast<double>(where.memory_bytes)));
        line("read bandwidth", fmt::format("{:.1f} GB/s with {} threads, {:.1f} with one",
                                           bandwidth * 1e-9, where.threads, one * 1e-9));
        line("BLAS", blas);
        line("CUDA devices", devices);
        line("energy meter", std::string(meter.description()));
        line("charts", can_draw() ? "gnuplot" : "none: gnuplot was not found");
        line("clock governor", where.governor);
        line("load", fmt::format("{:.2f}", where.load));
        line("built by", where.compiler + ", " + where.build);
        for (std::string const& text : advice) fmt::print("advice: {}\n", text);
    }
    if (options.json_target.empty()) return;
    deliver(options.json_target, json{{"schema", "qtk.doctor/1"},
                                      {"environment", where.to_json()},
                                      {"read_bandwidth", bandwidth},
                                      {"read_bandwidth_one_thread", one},
                                      {"blas", blas},
                                      {"cuda_devices", devices},
                                      {"energy_meter", std::string(meter.description())},
                                      {"has_energy_meter", meter.is_present()},
                                      {"has_gnuplot", can_draw()},
                                      {"advice", advice}});
}

}  // namespace

void add_doctor(CLI::App& program) {
    auto const options = std::make_shared<doctor_options>();
    CLI::App& command = *program.add_subcommand(
        "doctor", "What this machine has: instructions, threads, bandwidth, CUDA, meters");
    command.add_flag("--json{-}", options->json_target,
                     "the same as JSON, to standard output or --json=FILE");
    add_threads(command);
    command.callback([options] { run(*options); });
}

}  // namespace app
