// SPDX-License-Identifier: Apache-2.0
//
// How fast do fields become floats? First a copy of as many floats: what memory allows.
#include <qtk/core/random.hpp>
#include <qtk/kernel/decode.hpp>

#include "rates.hpp"
#include <cstring>
#include <vector>

namespace {

void sizes(benchmark::internal::Benchmark* bench) {
    bench->Arg(4096)->Arg(262'144)->Arg(16'777'216);
}

void copy_floats(benchmark::State& state) {
    auto const n = static_cast<std::size_t>(state.range(0));
    std::vector<float> const x = qtk::gaussian_vector(n, 1);
    std::vector<float> out(n);
    for (auto _ : state) {
        std::memcpy(out.data(), x.data(), n * sizeof(float));
        benchmark::DoNotOptimize(out.data());
        benchmark::ClobberMemory();
    }
    qtk_bench::set_rates(state, 2 * n * sizeof(float), n);
}

template <typename Decode>
void run(benchmark::State& state, qtk::format const& f, Decode const& decode) {
    auto const n = static_cast<std::size_t>(state.range(0));
    std::vector<std::uint8_t> fields(n);
    qtk::splitmix64 random(1);
    for (std::uint8_t& field : fields)
        field = static_cast<std::uint8_t>(random() & (static_cast<unsigned>(f.patterns()) - 1));
    std::vector<float> out(n);
    auto const level = qtk::levels_of(f);
    for (auto _ : state) {
        decode(f, fields, qtk::tile_params{0.037f, qtk::symmetric_zero(f)}, level, out.data());
        benchmark::DoNotOptimize(out.data());
        benchmark::ClobberMemory();
    }
    qtk_bench::set_rates(state, n * (1 + sizeof(float)), n);
}

int const registered = [] {
    using qtk_bench::bench_name;
    benchmark::RegisterBenchmark("decode/f32/memcpy", copy_floats)->Apply(sizes);
    for (qtk::format const& f : {qtk::i4, qtk::i8, qtk::nf4, qtk::e4m3}) {
        std::string const scheme = std::string(qtk::name_of(f)) + "/tensor/sym/f32";
        benchmark::RegisterBenchmark(
            bench_name("decode", scheme, "scalar").c_str(),
            [f](benchmark::State& state) { run(state, f, qtk::decode_span_scalar); })
            ->Apply(sizes);
        benchmark::RegisterBenchmark(
            bench_name("decode", scheme, qtk::isa()).c_str(),
            [f](benchmark::State& state) { run(state, f, qtk::decode_span); })
            ->Apply(sizes);
    }
    return 0;
}();

}  // namespace
