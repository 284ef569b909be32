// SPDX-License-Identifier: Apache-2.0
#include <qtk/kernel/gemm.hpp>
#include <qtk/kernel/gemv.hpp>
#include <qtk/quantize.hpp>

#include "sample.hpp"

namespace {

/// The plain float product, one dot() a row: what a smaller weight has to beat.
void gemv_float(benchmark::State& state) {
    auto const n = static_cast<std::size_t>(state.range(0));
    qtk::matrix_view<float const> const w(bench::weights().data(), n, n);
    std::vector<float> const x = qtk::gaussian_vector(n, 7);
    std::vector<float> y(n);
    for (auto _ : state) {
        qtk::sgemm({x.data(), 1, n}, w, {y.data(), 1, n});
        benchmark::DoNotOptimize(y.data());
    }
    bench::count(state, n * n);
}

template <qtk::scheme S>
void gemv(benchmark::State& state) {
    auto const n = static_cast<std::size_t>(state.range(0));
    auto const q = qtk::quantize<S>(qtk::matrix_view<float const>(bench::weights().data(), n, n));
    std::vector<float> const x = qtk::gaussian_vector(n, 7);
    std::vector<float> y(n);
    for (auto _ : state) {
        qtk::gemv(q, x, y);
        benchmark::DoNotOptimize(y.data());
    }
    bench::count(state, n * n);
}

template <qtk::scheme S>
void add() {
    for (std::int64_t const n : {256, 1024, 4096})
        benchmark::RegisterBenchmark(bench::name("gemv", to_string(S)).c_str(), gemv<S>)->Arg(n);
}

bool const is_registered = [] {
    for (std::int64_t const n : {256, 1024, 4096})
        benchmark::RegisterBenchmark("gemv/float", gemv_float)->Arg(n);
    add<qtk::scheme{.element = qtk::i8, .grain = qtk::per_channel}>();
    add<qtk::scheme{.element = qtk::i4, .grain = qtk::per_group(128)}>();
    add<qtk::scheme{
        .element = qtk::i4, .grain = qtk::per_group(64), .zero = qtk::origin::floating}>();
    add<qtk::scheme{.element = qtk::nf4, .grain = qtk::per_group(64)}>();
    return true;
}();

}  // namespace
