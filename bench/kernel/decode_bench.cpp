// SPDX-License-Identifier: Apache-2.0
#include <qtk/kernel/decode.hpp>
#include <qtk/quantize.hpp>

#include "sample.hpp"

namespace {

constexpr std::size_t columns = 4096;

template <qtk::scheme S>
void decode(benchmark::State& state) {
    auto const n = static_cast<std::size_t>(state.range(0));
    auto const q = qtk::quantize<S>(
        qtk::matrix_view<float const>(bench::weights().data(), n / columns, columns));
    qtk::matrix out(q.rows(), q.cols());
    for (auto _ : state) {
        qtk::decode_rows(q, 0, q.rows(), out.data());
        benchmark::DoNotOptimize(out.data());
        benchmark::ClobberMemory();
    }
    bench::count(state, n);
}

template <qtk::scheme S>
void add() {
    for (std::int64_t const n : bench::sizes)
        benchmark::RegisterBenchmark(bench::name("decode", to_string(S)).c_str(), decode<S>)
            ->Arg(n);
}

bool const is_registered = [] {
    add<qtk::scheme{.element = qtk::i8, .grain = qtk::per_group(128)}>();
    add<qtk::scheme{.element = qtk::i4, .grain = qtk::per_group(128)}>();
    add<qtk::scheme{.element = qtk::i3, .grain = qtk::per_group(128)}>();
    add<qtk::scheme{.element = qtk::nf4, .grain = qtk::per_group(64)}>();
    return true;
}();

}  // namespace
