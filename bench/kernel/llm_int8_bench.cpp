// SPDX-License-Identifier: Apache-2.0
//
// What do outlier columns cost? LLM.int8() beside the plain int8 product. Sizes are M x N x K and
// the outlier columns in a thousand.
#include <qtk/core/random.hpp>
#include <qtk/kernel/llm_int8.hpp>
#include <qtk/kernel/prepack.hpp>
#include <qtk/quantize_any.hpp>

#include "rates.hpp"
#include <vector>

namespace {

constexpr qtk::scheme w8{.element = qtk::i8, .grain = qtk::per_channel};

/// Times product(W, X, Y).
template <typename Product>
void run(benchmark::State& state, Product const& product) {
    auto const m = static_cast<std::size_t>(state.range(0)),
               n = static_cast<std::size_t>(state.range(1)),
               k = static_cast<std::size_t>(state.range(2)),
               in_thousand = static_cast<std::size_t>(state.range(3));
    std::vector<float> const weight = qtk::gaussian_vector(n * k, 1);
    qtk::packed_matrix const w =
        qtk::prepack(qtk::quantize_any(qtk::matrix_view<float const>(weight.data(), n, k), w8));
    std::vector<float> x = qtk::gaussian_vector(m * k, 2), y(m * n);
    for (std::size_t i = 0; i < k * in_thousand / 1000; ++i)
        x[i % m * k + i * 1000 / in_thousand] = 40.0f;
    for (auto _ : state) {
        product(w, qtk::matrix_view<float const>(x.data(), m, k),
                qtk::matrix_view<float>(y.data(), m, n));
        benchmark::DoNotOptimize(y.data());
        benchmark::ClobberMemory();
    }
    qtk_bench::set_rates(state, w.bytes() + (x.size() + y.size()) * sizeof(float), m * n * k);
}

void sizes(benchmark::internal::Benchmark* bench) {
    for (int const m : {1, 16, 512})
        for (int const in_thousand : {0, 1, 10}) bench->Args({m, 4096, 4096, in_thousand});
    bench->UseRealTime();
}

int const registered = [] {
    using qtk_bench::bench_name;
    benchmark::RegisterBenchmark(bench_name("gemm/a8_row", qtk::to_string(w8), qtk::isa()).c_str(),
                                 [](benchmark::State& state) {
                                     run(state, [](auto const& w, auto x, auto y) {
                                         qtk::gemm(w, x, y,
                                                   {.activations = qtk::activation_type::a8_row});
                                     });
                                 })
        ->Apply(sizes);
    benchmark::RegisterBenchmark(
        bench_name("gemm/llm_int8", qtk::to_string(w8), qtk::isa()).c_str(),
        [](benchmark::State& state) {
            run(state, [](auto const& w, auto x, auto y) { qtk::llm_int8_gemm(w, x, y); });
        })
        ->Apply(sizes);
    return 0;
}();

}  // namespace
