// SPDX-License-Identifier: Apache-2.0
//
// How fast is Y = X W^T? First the plain loop over float weights, then float weights through
// sgemm, then packed codes. Sizes are M x N x K: rows of X, rows of W, columns of both.
#include <qtk/kernel/gemm.hpp>
#include <qtk/quantize_any.hpp>

#include "rates.hpp"
#include <vector>

namespace {

struct shape {
    std::size_t m, n, k;

    explicit shape(benchmark::State const& state)
        : m(static_cast<std::size_t>(state.range(0))),
          n(static_cast<std::size_t>(state.range(1))),
          k(static_cast<std::size_t>(state.range(2))) {}
};

void sizes(benchmark::internal::Benchmark* bench) {
    bench->Args({8, 256, 256})->Args({64, 512, 512})->UseRealTime();
}

/// Times product(weights as floats, X, Y); `weight_bytes` is what the weights take.
template <typename Product>
void run(benchmark::State& state, std::vector<float> const& w, std::size_t weight_bytes,
         Product const& product) {
    shape const s(state);
    std::vector<float> const x = qtk::gaussian_vector(s.m * s.k, 2);
    std::vector<float> y(s.m * s.n);
    for (auto _ : state) {
        product(qtk::matrix_view<float const>(w.data(), s.n, s.k),
                qtk::matrix_view<float const>(x.data(), s.m, s.k),
                qtk::matrix_view<float>(y.data(), s.m, s.n));
        benchmark::DoNotOptimize(y.data());
        benchmark::ClobberMemory();
    }
    qtk_bench::set_rates(state, weight_bytes + (x.size() + y.size()) * sizeof(float),
                         s.m * s.n * s.k);
}

void float_loop(benchmark::State& state) {
    shape const s(state);
    std::vector<float> const w = qtk::gaussian_vector(s.n * s.k, 1);
    run(state, w, w.size() * sizeof(float), [](auto weights, auto x, auto y) {
        qtk::dot_all_scalar({x.data, x.rows, x.stride},
                            {weights.data, weights.rows, weights.stride}, x.cols, y.data, y.stride);
    });
}

void sgemm(benchmark::State& state) {
    shape const s(state);
    std::vector<float> const w = qtk::gaussian_vector(s.n * s.k, 1);
    run(state, w, w.size() * sizeof(float),
        [](auto weights, auto x, auto y) { qtk::sgemm(x, weights, y); });
}

void packed(benchmark::State& state, qtk::scheme const& scheme) {
    shape const s(state);
    std::vector<float> const w = qtk::gaussian_vector(s.n * s.k, 1);
    qtk::any_qmatrix const q =
        qtk::quantize_any(qtk::matrix_view<float const>(w.data(), s.n, s.k), scheme);
    run(state, w, q.bytes(), [&](auto, auto x, auto y) { qtk::gemm(q, x, y); });
}

int const registered = [] {
    using qtk_bench::bench_name;
    benchmark::RegisterBenchmark("gemm/f32/float_loop", float_loop)->Apply(sizes);
    benchmark::RegisterBenchmark(bench_name("gemm", "f32", qtk::isa()).c_str(), sgemm)
        ->Apply(sizes);
    for (qtk::scheme const& s :
         {qtk::scheme{.element = qtk::i8, .grain = qtk::per_channel},
          qtk::scheme{.element = qtk::i4, .grain = qtk::per_group(128)}, qtk::mxfp4})
        benchmark::RegisterBenchmark(bench_name("gemm", qtk::to_string(s), qtk::isa()).c_str(),
                                     [s](benchmark::State& state) { packed(state, s); })
            ->Apply(sizes);
    return 0;
}();

}  // namespace
