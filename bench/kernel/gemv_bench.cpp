// SPDX-License-Identifier: Apache-2.0
//
// How fast is y = W x? First the plain loop over float weights, then packed codes. One thread more
// or less is the caller's: set OMP_NUM_THREADS.
#include <qtk/kernel/gemv.hpp>
#include <qtk/method/rtn.hpp>
#include <qtk/quantize_any.hpp>

#include "rates.hpp"
#include <vector>

namespace {

void sizes(benchmark::internal::Benchmark* bench) {
    bench->Args({256, 256})->Args({1024, 1024})->Args({4096, 4096})->UseRealTime();
}

void float_loop(benchmark::State& state) {
    auto const rows = static_cast<std::size_t>(state.range(0));
    auto const cols = static_cast<std::size_t>(state.range(1));
    std::vector<float> const w = qtk::gaussian_vector(rows * cols, 1),
                             x = qtk::gaussian_vector(cols, 2);
    std::vector<float> y(rows);
    for (auto _ : state) {
        for (std::size_t r = 0; r < rows; ++r)
            y[r] = qtk::dot_scalar(w.data() + r * cols, x.data(), cols);
        benchmark::DoNotOptimize(y.data());
        benchmark::ClobberMemory();
    }
    qtk_bench::set_rates(state, (rows * cols + cols + rows) * sizeof(float), rows * cols);
}

template <typename Product>
void run(benchmark::State& state, qtk::scheme const& s, Product const& product) {
    auto const rows = static_cast<std::size_t>(state.range(0));
    auto const cols = static_cast<std::size_t>(state.range(1));
    std::vector<float> const values = qtk::gaussian_vector(rows * cols, 1),
                             x = qtk::gaussian_vector(cols, 2);
    qtk::any_qmatrix const w =
        qtk::quantize_any(qtk::matrix_view<float const>(values.data(), rows, cols), s);
    std::vector<float> y(rows);
    for (auto _ : state) {
        product(w, x, y);
        benchmark::DoNotOptimize(y.data());
        benchmark::ClobberMemory();
    }
    qtk_bench::set_rates(state, w.bytes() + (cols + rows) * sizeof(float), rows * cols);
}

int const registered = [] {
    using qtk_bench::bench_name;
    benchmark::RegisterBenchmark("gemv/f32/float_loop", float_loop)->Apply(sizes);
    for (qtk::scheme const& s :
         {qtk::scheme{.element = qtk::i8, .grain = qtk::per_channel},
          qtk::scheme{.element = qtk::i4, .grain = qtk::per_group(128)}, qtk::mxfp4}) {
        std::string const scheme = qtk::to_string(s);
        benchmark::RegisterBenchmark(
            bench_name("gemv", scheme, "scalar").c_str(),
            [s](benchmark::State& state) { run(state, s, qtk::gemv_scalar); })
            ->Args({256, 256})
            ->UseRealTime();
        benchmark::RegisterBenchmark(bench_name("gemv", scheme, qtk::isa()).c_str(),
                                     [s](benchmark::State& state) { run(state, s, qtk::gemv); })
            ->Apply(sizes);
    }
    return 0;
}();

}  // namespace
