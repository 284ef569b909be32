// SPDX-License-Identifier: Apache-2.0
#include <qtk/core/spelling.hpp>
#include <qtk/kernel/encode.hpp>
#include <qtk/quantizer/tile_quantizer.hpp>
#include <qtk/range/minmax.hpp>

#include "sample.hpp"
#include <cstring>

namespace {

/// What everything is compared with: floats from one place to another.
void copy_floats(benchmark::State& state) {
    auto const n = static_cast<std::size_t>(state.range(0));
    std::vector<float> out(n);
    for (auto _ : state) {
        std::memcpy(out.data(), bench::weights().data(), 4 * n);
        benchmark::DoNotOptimize(out.data());
        benchmark::ClobberMemory();
    }
    bench::count(state, n);
}

template <qtk::scheme S, bool is_scalar>
void encode(benchmark::State& state) {
    auto const n = static_cast<std::size_t>(state.range(0));
    constexpr auto group = static_cast<std::size_t>(S.grain.cols);
    qtk::quantizer_for<S> const q(S.scale);
    std::vector<std::uint8_t> fields(n);
    for (auto _ : state) {
        for (std::size_t at = 0; at + group <= n; at += group) {
            std::span<float const> const tile(bench::weights().data() + at, group);
            auto const p = q.fit(qtk::minmax_range{}.estimate(tile));
            if constexpr (is_scalar)
                qtk::encode_span_scalar(q, tile, p, fields.data() + at);
            else
                qtk::encode_span(q, tile, p, fields.data() + at);
        }
        benchmark::DoNotOptimize(fields.data());
        benchmark::ClobberMemory();
    }
    bench::count(state, n);
}

template <qtk::scheme S>
void add() {
    std::string const spelling = to_string(S);
    for (std::int64_t const n : bench::sizes) {
        benchmark::RegisterBenchmark(("encode/" + spelling + "/scalar").c_str(), encode<S, true>)
            ->Arg(n);
        benchmark::RegisterBenchmark(bench::name("encode", spelling).c_str(), encode<S, false>)
            ->Arg(n);
    }
}

bool const is_registered = [] {
    for (std::int64_t const n : bench::sizes)
        benchmark::RegisterBenchmark("encode/copy", copy_floats)->Arg(n);
    add<qtk::scheme{.element = qtk::i8, .grain = qtk::per_group(128)}>();
    add<qtk::scheme{.element = qtk::i4, .grain = qtk::per_group(128)}>();
    add<qtk::scheme{
        .element = qtk::i4, .grain = qtk::per_group(128), .zero = qtk::origin::floating}>();
    add<qtk::scheme{.element = qtk::nf4, .grain = qtk::per_group(64)}>();
    add<qtk::mxfp4>();
    return true;
}();

}  // namespace
