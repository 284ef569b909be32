// SPDX-License-Identifier: Apache-2.0
//
// How fast are products with GGUF blocks as they lie in the file? The quantization of the activations
// is included. Hot: one matrix again and again; cold: copies in turn, 256 MB of them.
#include <qtk/core/random.hpp>
#include <qtk/kernel/aligned_bytes.hpp>
#include <qtk/kernel/gguf_product.hpp>

#include "rates.hpp"
#include <string>
#include <vector>

namespace {

struct gguf_case {
    qtk::gguf_type type;
    qtk::instruction_set isa;
    std::size_t m;
    bool is_cold;
};

void product(benchmark::State& state, gguf_case const& c) {
    constexpr std::size_t n = 4096, k = 4096, beyond_caches = std::size_t{256} << 20;
    qtk::gguf_view w{c.type, {}, n, k};
    std::size_t const block = w.block_bytes(), size = n * w.row_blocks() * block;
    std::size_t const copies = c.is_cold ? beyond_caches / size + 1 : 1;
    qtk::aligned_bytes bytes(copies * size);
    qtk::splitmix64 random(1);
    for (std::size_t i = 0; i < bytes.size(); ++i)
        bytes.data()[i] = static_cast<std::uint8_t>(random());
    // Random halves may be infinite: 2^-4 instead.
    std::size_t const d = c.type == qtk::gguf_type::q6_K ? 208 : 0;
    for (std::size_t i = 0; i < bytes.size(); i += block) bytes.data()[i + d + 1] = 0x2c;
    if (c.type == qtk::gguf_type::q4_K)
        for (std::size_t i = 0; i < bytes.size(); i += block) bytes.data()[i + 3] = 0x2c;

    std::vector<float> const x = qtk::gaussian_vector(c.m * k, 2);
    std::vector<float> y(c.m * n);
    std::size_t at = 0;
    for (auto _ : state) {
        w.bytes = {bytes.data() + at * size, size};
        at = (at + 1) % copies;
        qtk::detail::checked_gguf_product(c.isa, w, qtk::matrix_view<float const>(x.data(), c.m, k),
                                          qtk::matrix_view<float>(y.data(), c.m, n),
                                          {.activations = qtk::activation_type::a8_group});
        benchmark::DoNotOptimize(y.data());
        benchmark::ClobberMemory();
    }
    qtk_bench::set_rates(state, size + c.m * (n + k) * sizeof(float), c.m * n * k);
    state.counters["GOP/s"] = benchmark::Counter(
        2e-9 * static_cast<double>(c.m * n * k) * static_cast<double>(state.iterations()),
        benchmark::Counter::kIsRate);
}

int const registered = [] {
    for (qtk::gguf_type const type :
         {qtk::gguf_type::q4_0, qtk::gguf_type::q8_0, qtk::gguf_type::q4_K, qtk::gguf_type::q6_K})
        for (auto const isa : {qtk::instruction_set::avx2, qtk::instruction_set::avx512}) {
            if (!qtk::is_usable(isa)) continue;
            auto const add = [&](std::size_t m, bool is_cold) {
                std::string const name = std::string(m == 1 ? "gemv/" : "gemm/") +
                                         std::string(qtk::name_of(type)) + "/a8-group/" +
                                         std::string(qtk::name_of(isa)) + "/" + std::to_string(m) +
                                         "x4096x4096/" + (is_cold ? "cold" : "hot");
                benchmark::RegisterBenchmark(name.c_str(),
                                             [=](benchmark::State& state) {
                                                 product(state, {type, isa, m, is_cold});
                                             })
                    ->UseRealTime()
                    ->Unit(benchmark::kMillisecond);
            };
            add(1, false);
            add(1, true);
            for (std::size_t const m : {4u, 16u, 512u}) add(m, false);
        }
    return 0;
}();

}  // namespace
