// SPDX-License-Identifier: Apache-2.0
//
// How fast do fields become a stream of bits and back? First a copy of as many fields: what memory
// allows.
#include <qtk/core/random.hpp>
#include <qtk/format/pack.hpp>

#include "rates.hpp"
#include <cstring>
#include <string>
#include <vector>

namespace {

void sizes(benchmark::internal::Benchmark* bench) {
    bench->Arg(4096)->Arg(262'144)->Arg(16'777'216);
}

std::vector<std::uint8_t> random_fields(std::size_t n, int bits) {
    std::vector<std::uint8_t> fields(n);
    qtk::splitmix64 random(1);
    for (std::uint8_t& field : fields)
        field = static_cast<std::uint8_t>(random() & ((1u << bits) - 1u));
    return fields;
}

void copy_fields(benchmark::State& state) {
    std::vector<std::uint8_t> const fields =
        random_fields(static_cast<std::size_t>(state.range(0)), 8);
    std::vector<std::uint8_t> out(fields.size());
    for (auto _ : state) {
        std::memcpy(out.data(), fields.data(), fields.size());
        benchmark::DoNotOptimize(out.data());
        benchmark::ClobberMemory();
    }
    qtk_bench::set_rates(state, 2 * fields.size(), fields.size());
}

void pack(benchmark::State& state, int bits) {
    std::vector<std::uint8_t> const fields =
        random_fields(static_cast<std::size_t>(state.range(0)), bits);
    std::vector<std::uint8_t> bytes(qtk::packed_bytes(fields.size(), bits));
    for (auto _ : state) {
        qtk::pack_fields(fields, bits, bytes);
        benchmark::DoNotOptimize(bytes.data());
        benchmark::ClobberMemory();
    }
    qtk_bench::set_rates(state, fields.size() + bytes.size(), fields.size());
}

void unpack(benchmark::State& state, int bits) {
    std::vector<std::uint8_t> fields =
        random_fields(static_cast<std::size_t>(state.range(0)), bits);
    std::vector<std::uint8_t> bytes(qtk::packed_bytes(fields.size(), bits));
    qtk::pack_fields(fields, bits, bytes);
    for (auto _ : state) {
        qtk::unpack_fields(bytes, bits, fields);
        benchmark::DoNotOptimize(fields.data());
        benchmark::ClobberMemory();
    }
    qtk_bench::set_rates(state, fields.size() + bytes.size(), fields.size());
}

int const registered = [] {
    using qtk_bench::bench_name;
    benchmark::RegisterBenchmark("pack/u8/memcpy", copy_fields)->Apply(sizes);
    for (int const bits : {2, 3, 4, 8}) {
        std::string const scheme = "u" + std::to_string(bits);
        benchmark::RegisterBenchmark(bench_name("pack", scheme, "scalar").c_str(),
                                     [bits](benchmark::State& state) { pack(state, bits); })
            ->Apply(sizes);
        benchmark::RegisterBenchmark(bench_name("unpack", scheme, "scalar").c_str(),
                                     [bits](benchmark::State& state) { unpack(state, bits); })
            ->Apply(sizes);
    }
    return 0;
}();

}  // namespace
