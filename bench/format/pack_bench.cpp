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

using namespace qtk_bench;

/// Fields: in the first cache, in the second, beyond the last.
std::vector<std::size_t> sizes() {
    if (run_extent() == extent::smoke) return {4096};
    return {4096, 262'144, 67'108'864};
}

std::vector<std::uint8_t> random_fields(std::size_t n, int bits) {
    std::vector<std::uint8_t> fields(n);
    qtk::splitmix64 random(1);
    for (std::uint8_t& field : fields)
        field = static_cast<std::uint8_t>(random() & ((1u << bits) - 1u));
    return fields;
}

struct operands {
    huge_buffer fields, bytes;

    operands(std::size_t n, int bits)
        : fields(in_huge_pages(std::span<std::uint8_t const>(random_fields(n, bits)))),
          bytes(qtk::packed_bytes(n, bits)) {
        qtk::pack_fields(fields.as<std::uint8_t const>(), bits, bytes.as<std::uint8_t>());
    }
};

work moved(std::size_t read, std::size_t written) {
    return {.bytes_read = static_cast<double>(read),
            .bytes_written = static_cast<double>(written),
            .from = level_of(read + written)};
}

void copy_fields(benchmark::State& state, std::size_t n) {
    operands const data(n, 8);
    run(state, moved(n, n), [&] { std::memcpy(data.bytes.data(), data.fields.data(), n); });
}

void pack(benchmark::State& state, std::size_t n, int bits) {
    operands const data(n, bits);
    run(state, moved(n, data.bytes.size()), [&] {
        qtk::pack_fields(data.fields.as<std::uint8_t const>(), bits, data.bytes.as<std::uint8_t>());
    });
}

void unpack(benchmark::State& state, std::size_t n, int bits) {
    operands const data(n, bits);
    run(state, moved(data.bytes.size(), n), [&] {
        qtk::unpack_fields(data.bytes.as<std::uint8_t const>(), bits,
                           data.fields.as<std::uint8_t>());
    });
}

int const registered = [] {
    for (std::size_t const n : sizes()) {
        std::string const count = std::to_string(n);
        for (char const* const operation : {"pack", "unpack"})
            benchmark::RegisterBenchmark(bench_name(operation, "u8", "memcpy", count).c_str(),
                                         [=](benchmark::State& state) { copy_fields(state, n); });
        for (int const bits : {2, 3, 4, 8}) {
            std::string const scheme = "u" + std::to_string(bits);
            benchmark::RegisterBenchmark(bench_name("pack", scheme, "scalar", count).c_str(),
                                         [=](benchmark::State& state) { pack(state, n, bits); });
            benchmark::RegisterBenchmark(bench_name("unpack", scheme, "scalar", count).c_str(),
                                         [=](benchmark::State& state) { unpack(state, n, bits); });
        }
    }
    return 0;
}();

}  // namespace
