// SPDX-License-Identifier: Apache-2.0
//
// What do outlier columns cost? LLM.int8() with none, one and ten outlier columns in a thousand;
// packed_bench.cpp has the plain int8 product.
#include <qtk/core/random.hpp>
#include <qtk/kernel/llm_int8.hpp>
#include <qtk/kernel/prepack.hpp>
#include <qtk/quantize_any.hpp>

#include "rates.hpp"
#include "shapes.hpp"
#include <optional>
#include <string>

namespace {

using namespace qtk_bench;

constexpr qtk::scheme w8{.element = qtk::i8, .grain = qtk::per_channel};

void product(benchmark::State& state, shape const& s, std::size_t in_thousand) {
    static std::optional<qtk::packed_matrix> w;
    if (!w) w = qtk::prepack(qtk::quantize_any(normal_weights(s.n, s.k), w8));
    product_operands const operands(s);
    auto const x = operands.x.as<float>();
    for (std::size_t i = 0; i < s.k * in_thousand / 1000; ++i)
        x[i % s.m * s.k + i * 1000 / in_thousand] = 40.0f;
    run(state,
        product_work(s, w->bytes(), warmth::hot, arithmetic::int8, qtk::active_isa(), threads()),
        [&] { qtk::llm_int8_gemm(*w, operands.input(), operands.output()); });
}

int const registered = [] {
    for (std::size_t const m : row_counts()) {
        if (m != 1 && m != 16 && m != 512) continue;
        if (m == 512 && qtk::active_isa() == qtk::instruction_set::scalar) continue;
        shape const s{m, side(), side()};
        for (std::size_t const in_thousand : {std::size_t{0}, std::size_t{1}, std::size_t{10}})
            benchmark::RegisterBenchmark(
                bench_name("llm_int8", scheme_name(w8),
                           "outliers-" + std::to_string(in_thousand) + "-of-1000", qtk::isa(),
                           s.text(), "hot")
                    .c_str(),
                [=](benchmark::State& state) { product(state, s, in_thousand); });
    }
    return 0;
}();

}  // namespace
