// SPDX-License-Identifier: Apache-2.0
#include <qtk/format/pack.hpp>

#include "sample.hpp"

namespace {

void fields_for(std::vector<std::uint8_t>& fields, int bits) {
    for (std::size_t i = 0; i < fields.size(); ++i)
        fields[i] = static_cast<std::uint8_t>(qtk::word_at(1, i) & ((1u << bits) - 1u));
}

void pack(benchmark::State& state) {
    int const bits = static_cast<int>(state.range(0));
    std::vector<std::uint8_t> fields(1 << 16), bytes(qtk::packed_bytes(fields.size(), bits));
    fields_for(fields, bits);
    for (auto _ : state) {
        qtk::pack_fields(fields, bits, bytes);
        benchmark::DoNotOptimize(bytes.data());
        benchmark::ClobberMemory();
    }
    bench::count(state, fields.size());
}

void unpack(benchmark::State& state) {
    int const bits = static_cast<int>(state.range(0));
    std::vector<std::uint8_t> fields(1 << 16), bytes(qtk::packed_bytes(fields.size(), bits));
    fields_for(fields, bits);
    qtk::pack_fields(fields, bits, bytes);
    for (auto _ : state) {
        qtk::unpack_fields(bytes, bits, fields);
        benchmark::DoNotOptimize(fields.data());
        benchmark::ClobberMemory();
    }
    bench::count(state, fields.size());
}

BENCHMARK(pack)->DenseRange(1, 8);
BENCHMARK(unpack)->DenseRange(1, 8);

}  // namespace
