// SPDX-License-Identifier: Apache-2.0
//
// How fast do floats become fields? First the loop that one would write: divide, round, clamp.
#include <qtk/kernel/encode.hpp>
#include <qtk/quantizer/tile_quantizer.hpp>

#include "rates.hpp"
#include <algorithm>
#include <cmath>
#include <vector>

namespace {

using qtk::origin;
using qtk::rounding;

constexpr qtk::tile_params params{0.037f, 8};

/// From the first-level cache to beyond the last.
void sizes(benchmark::internal::Benchmark* bench) {
    bench->Arg(4096)->Arg(262'144)->Arg(16'777'216);
}

template <typename Encode>
void run(benchmark::State& state, Encode const& encode) {
    auto const n = static_cast<std::size_t>(state.range(0));
    std::vector<float> const x = qtk::gaussian_vector(n, 1);
    std::vector<std::uint8_t> fields(n);
    for (auto _ : state) {
        encode(std::span<float const>(x), fields.data());
        benchmark::DoNotOptimize(fields.data());
        benchmark::ClobberMemory();
    }
    qtk_bench::set_rates(state, n * (sizeof(float) + 1), n);
}

void float_loop(benchmark::State& state) {
    run(state, [](std::span<float const> x, std::uint8_t* fields) {
        for (std::size_t i = 0; i < x.size(); ++i)
            fields[i] = static_cast<std::uint8_t>(
                std::clamp(std::nearbyint(x[i] / params.scale), -7.0f, 7.0f) + 8.0f);
    });
}

template <qtk::format F, rounding Round>
void scalar(benchmark::State& state) {
    run(state, [](std::span<float const> x, std::uint8_t* fields) {
        qtk::encode_span_scalar(qtk::tile_quantizer<F, origin::fixed, Round>{}, x, params, fields);
    });
}
template <qtk::format F, rounding Round>
void fast(benchmark::State& state) {
    run(state, [](std::span<float const> x, std::uint8_t* fields) {
        qtk::encode_span(qtk::tile_quantizer<F, origin::fixed, Round>{}, x, params, fields);
    });
}

template <qtk::format F, rounding Round = rounding::nearest_even>
void register_format(std::string const& scheme) {
    using qtk_bench::bench_name;
    benchmark::RegisterBenchmark(bench_name("encode", scheme, "scalar").c_str(), scalar<F, Round>)
        ->Apply(sizes);
    benchmark::RegisterBenchmark(bench_name("encode", scheme, qtk::isa()).c_str(), fast<F, Round>)
        ->Apply(sizes);
}

int const registered = [] {
    benchmark::RegisterBenchmark("encode/i4/tensor/sym/f32/float_loop", float_loop)->Apply(sizes);
    register_format<qtk::i4>("i4/tensor/sym/f32");
    register_format<qtk::i8, rounding::nearest_away>("i8/tensor/sym/f32/away");
    register_format<qtk::i4, rounding::stochastic>("i4/tensor/sym/f32/stochastic");
    register_format<qtk::e4m3>("e4m3/tensor/sym/f32");
    register_format<qtk::e2m1>("e2m1/tensor/sym/f32");
    register_format<qtk::nf4>("nf4/tensor/sym/f32");
    register_format<qtk::fp4>("fp4/tensor/sym/f32");
    return 0;
}();

}  // namespace
