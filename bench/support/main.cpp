// SPDX-License-Identifier: Apache-2.0
//
// The main function of every bench program: measures the machine's limits before the first row and
// writes into the JSON what a reader needs to repeat the run.
#include <qtk/version.hpp>

#include <benchmark/benchmark.h>

#include "limits.hpp"
#include <cstdio>
#include <exception>
#include <string>
#include <string_view>

#if defined(_OPENMP)
#include <omp.h>
#endif

namespace {

void describe_run() {
    using benchmark::AddCustomContext;
    AddCustomContext("qtk", QTK_VERSION_STRING);
    AddCustomContext("isa", std::string(qtk::isa()));
    AddCustomContext("processor", qtk_bench::processor_name());
    AddCustomContext("threads", std::to_string(qtk_bench::threads()));
    AddCustomContext("compiler", QTK_BENCH_COMPILER);
    AddCustomContext("flags", QTK_BENCH_FLAGS);
    constexpr char const* extents[] = {"full", "quick", "smoke"};
    AddCustomContext("extent", extents[static_cast<int>(qtk_bench::run_extent())]);
}

}  // namespace

int main(int argc, char** argv) {
    try {
#if defined(_OPENMP)
        omp_set_num_threads(qtk_bench::threads());
#endif
        bool only_lists = false;
        for (int i = 1; i < argc; ++i) {
            std::string_view const argument = argv[i];
            only_lists = only_lists || (argument.starts_with("--benchmark_list_tests") &&
                                        !argument.ends_with("=false"));
        }
        describe_run();
        benchmark::Initialize(&argc, argv);
        if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
        if (!only_lists) qtk_bench::measure_limits();
        benchmark::RunSpecifiedBenchmarks();
        benchmark::Shutdown();
        return 0;
    } catch (std::exception const& e) {
        std::fprintf(stderr, "error: %s\n", e.what());
        return 1;
    }
}
