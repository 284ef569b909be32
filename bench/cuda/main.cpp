// SPDX-License-Identifier: Apache-2.0
//
// Times products on a CUDA device, each beside a model of the T4, or prints the model alone.
//
//   qtk_bench_cuda [--model] [--benchmark_...]
//
// Exit status 77 where there is no device. Names of rows: kind/kernel/M../N../K..; the kernel is
// `auto` (the library's choice), or one that was forced, where tables may want another border.
#include <qtk/version.hpp>

#include <benchmark/benchmark.h>

#include "cublas.hpp"
#include "products.hpp"
#include <cstdio>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace {
using namespace qtk_bench;
using qtk::cuda::kernel_choice;
using qtk::cuda::kernel_kind;

struct kernel_table {
    char const* name;
    std::span<kernel_choice const> lines;
};
constexpr kernel_choice skinny_only[] = {
    {~std::size_t{0}, kernel_kind::skinny, kernel_kind::skinny}};
constexpr kernel_choice gemm_only[] = {{~std::size_t{0}, kernel_kind::gemm, kernel_kind::gemm}};
kernel_table const tables[] = {
    {"auto", qtk::cuda::kernel_table}, {"skinny", skinny_only}, {"gemm", gemm_only}};

std::vector<product_shape> layers() {
    if (is_emulated) return {{1, 48, 256}};
    return {timed_layers.begin(), timed_layers.end()};
}
std::vector<std::size_t> row_counts() {
    if (is_emulated) return {1, 9, 40};
    return {timed_rows.begin(), timed_rows.end()};
}

void print_model() {
    std::printf(
        "Modelled, not measured: time of an NVIDIA T4 in microseconds, the longer one of\n"
        "bytes / 255 GB/s and operations / (42 TFLOP/s for halves, 84 for int8, 168 for "
        "int4).\n\n");
    std::printf(
        "| N x K | M | fp16 | W4A16 | W4A8 | W8A8 | W4A4 |\n|---|---|---|---|---|---|---|\n");
    for (product_shape layer : timed_layers)
        for (std::size_t const m : timed_rows) {
            layer.m = m;
            std::printf("| %zu x %zu | %zu |", layer.n, layer.k, m);
            for (auto const& kind :
                 {fp16_product, w4a16_product, w4a8_product, w8a8_product, w4a4_product})
                std::printf(" %.0f |", model_t4(kind, layer).us());
            std::printf("\n");
        }
}

/// Calls `run(i)` for all copies in turn, and tells what a call took beside what the T4 would.
void time_calls(benchmark::State& state, std::size_t copies, product_kind const& kind,
                product_shape const& shape, double bandwidth, cudaStream_t stream,
                std::function<void(std::size_t)> const& run) {
    stopwatch watch;
    for (std::size_t i = 0; i < copies; ++i) run(i);
    double seconds = 0.0, calls = 0.0;
    while (state.KeepRunning()) {
        watch.start(stream);
        for (std::size_t i = 0; i < copies; ++i) run(i);
        double const took = watch.stop(stream);
        state.SetIterationTime(took / static_cast<double>(copies));
        seconds += took, calls += static_cast<double>(copies);
    }
    double const call = seconds / calls;
    modelled_time const model = model_t4(kind, shape);
    state.counters["us"] = call * 1e6;
    state.counters["GB/s"] = weight_bytes(kind, shape) / call * 1e-9;
    state.counters["of_bandwidth"] = weight_bytes(kind, shape) / call / bandwidth;
    state.counters["TFLOP/s"] = model.operations / call * 1e-12;
    state.counters["t4_modelled_us"] = model.us();
    state.SetLabel(model.is_memory_bound() ? "T4 modelled by bytes" : "T4 modelled by operations");
}

/// What all rows share.
struct session {
    device_facts device;
    cudaStream_t stream = {};
    double bandwidth = 1.0;
    cublas library{stream};
    std::unique_ptr<cold_layers> layers = nullptr;  // of the shape and kind timed last
    std::string layers_name = {};

    cold_layers& layers_for(product_recipe const& recipe, product_shape const& layer,
                            kernel_table const& table) {
        std::string const name =
            recipe.kind.name + std::string("/") + table.name + "/" + layer.text();
        if (layers_name != name) {
            layers.reset();
            layers = std::make_unique<cold_layers>(
                make_layers(recipe, layer, device, table.lines, stream));
            layers_name = name;
        }
        return *layers;
    }
};

void register_product(session& run, product_recipe const& recipe, kernel_table const& table,
                      product_shape const& layer, std::size_t m) {
    product_shape const shape{m, layer.n, layer.k};
    std::string const name = recipe.kind.name + std::string("/") + table.name + "/" + shape.text();
    auto* const row = benchmark::RegisterBenchmark(
        name.c_str(), [&run, &recipe, &table, layer, shape](benchmark::State& state) {
            try {
                cold_layers& layers = run.layers_for(recipe, layer, table);
                layers.give(shape.m);
                time_calls(state, layers.count(), recipe.kind, shape, run.bandwidth, run.stream,
                           [&](std::size_t i) { layers.run(i); });
            } catch (std::exception const& e) {
                state.SkipWithError(e.what());
            }
        });
    row->UseManualTime()->Unit(benchmark::kMicrosecond);
    if (is_emulated) row->Iterations(1);
}

void register_cublas(session& run, product_shape const& shape) {
    benchmark::RegisterBenchmark(
        ("fp16/cublas/" + shape.text()).c_str(),
        [&run, shape](benchmark::State& state) {
            try {
                run.layers.reset();
                run.layers_name.clear();
                std::size_t const size = shape.n * shape.k;
                std::size_t const copies = copies_of(2 * size, run.device);
                auto const halves = [&](std::size_t count, std::uint64_t seed) {
                    auto const values = normal_halves(count, seed);
                    return qtk::cuda::buffer<std::uint16_t>(std::span<std::uint16_t const>(values),
                                                            run.stream);
                };
                std::vector<qtk::cuda::buffer<std::uint16_t>> weights;
                for (std::size_t i = 0; i < copies; ++i) weights.push_back(halves(size, 1));
                auto const x = halves(shape.m * shape.k, 2);
                qtk::cuda::buffer<std::uint16_t> y(shape.m * shape.n);
                bool is_sound = true;
                time_calls(state, copies, fp16_product, shape, run.bandwidth, run.stream,
                           [&](std::size_t i) {
                               is_sound = run.library.multiply(x.data(), weights[i % copies].data(),
                                                               y.data(), static_cast<int>(shape.m),
                                                               static_cast<int>(shape.n),
                                                               static_cast<int>(shape.k)) &&
                                          is_sound;
                           });
                if (!is_sound) state.SkipWithError("cublasGemmEx refused");
            } catch (std::exception const& e) {
                state.SkipWithError(e.what());
            }
        })
        ->UseManualTime()
        ->Unit(benchmark::kMicrosecond);
}

void register_all(session& run) {
    for (product_shape const& layer : layers()) {
        for (product_recipe const& recipe : recipes)
            for (kernel_table const& table : tables)
                for (std::size_t const m : row_counts()) {
                    bool const is_forced = &table != &tables[0];
                    bool const is_skinny = &table == &tables[1];
                    // Forced kernels where a border may lie; skinny_w4a16 ends at 16 rows.
                    if (is_forced && (m < 8 || m > 64)) continue;
                    if (is_skinny && recipe.kind.activation_bits == 16 && m > 16) continue;
                    register_product(run, recipe, table, layer, m);
                }
        if (run.library.is_there())
            for (std::size_t const m : row_counts()) register_cublas(run, {m, layer.n, layer.k});
    }
}

void describe(session const& run) {
    using benchmark::AddCustomContext;
    AddCustomContext("qtk", QTK_VERSION_STRING);
    AddCustomContext("device", run.device.name);
    AddCustomContext("sm", std::to_string(10 * run.device.major + run.device.minor));
    AddCustomContext("multiprocessors", std::to_string(run.device.multiprocessors));
    AddCustomContext("driver", std::to_string(run.device.driver));
    AddCustomContext("runtime", std::to_string(run.device.runtime));
    AddCustomContext("read_GB/s", std::to_string(run.bandwidth * 1e-9));
    AddCustomContext("cublas",
                     run.library.is_there() ? "there" : "not found: its rows are left out");
    AddCustomContext("t4_modelled_us", "modelled: 255 GB/s, 42 TFLOP/s for halves; not measured");
}

}  // namespace

int main(int argc, char** argv) {
    for (int i = 1; i < argc; ++i)
        if (std::string_view(argv[i]) == "--model") {
            print_model();
            return 0;
        }
    try {
        std::string why;
        auto const device = find_device(why);
        if (!device) {
            std::printf(
                "skipped: no CUDA device to measure (%s). On a machine with a T4: "
                "scripts/bench_cuda.sh; --model prints what a T4 is expected to take\n",
                why.c_str());
            return 77;
        }
        session run{*device};
        run.bandwidth = read_bandwidth(run.device, run.stream);
        describe(run);
        benchmark::Initialize(&argc, argv);
        if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
        register_all(run);
        benchmark::RunSpecifiedBenchmarks();
        benchmark::Shutdown();
        return 0;
    } catch (std::exception const& e) {
        std::fprintf(stderr, "error: %s\n", e.what());
        return 1;
    }
}
