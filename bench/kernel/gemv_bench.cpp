// SPDX-License-Identifier: Apache-2.0
//
// How fast is y = W x without packing the weights for it? Canonical codes, decoded on the way, hot
// and cold. The loop and the libraries to compare with stand in baseline_bench.cpp.
#include <qtk/kernel/gemv.hpp>
#include <qtk/quantize_any.hpp>

#include "rates.hpp"
#include "shapes.hpp"

namespace {

using namespace qtk_bench;

using product = void (*)(qtk::any_qmatrix const& w, std::span<float const> x, std::span<float> y);

void codes(benchmark::State& state, shape const& s, qtk::scheme const& scheme, warmth heat,
           qtk::instruction_set isa, int team) {
    product_operands const operands(s);
    qtk::any_qmatrix const first = qtk::quantize_any(normal_weights(s.n, s.k), scheme);
    rotation<qtk::any_qmatrix> weights(copies_of(first.bytes(), heat), [&] { return first; });
    work const done = product_work(s, first.bytes(), heat, arithmetic::f32, isa, team);
    auto const x = operands.x.as<float>();
    auto const y = operands.y.as<float>();
    if (isa == qtk::instruction_set::scalar)
        run(state, done, [&] { qtk::gemv_scalar(weights.next(), x, y); });
    else
        run(state, done, [&] { qtk::gemv(weights.next(), x, y); });
}

int const registered = [] {
    using qtk::instruction_set;
    shape const s{1, side(), side()};
    auto const add = [&](qtk::scheme const& scheme, warmth heat, instruction_set isa, int team) {
        benchmark::RegisterBenchmark(
            bench_name("gemv_codes", scheme_name(scheme), "f32", qtk::name_of(isa), s.text(),
                       name_of(heat))
                .c_str(),
            [=](benchmark::State& state) { codes(state, s, scheme, heat, isa, team); });
    };
    for (qtk::scheme const& scheme :
         {qtk::scheme{.element = qtk::i8, .grain = qtk::per_channel},
          qtk::scheme{.element = qtk::i4, .grain = qtk::per_group(128)}, qtk::mxfp4}) {
        add(scheme, warmth::hot, instruction_set::scalar, 1);
        if (qtk::active_isa() == instruction_set::scalar) continue;
        for (warmth const heat : {warmth::hot, warmth::cold})
            add(scheme, heat, qtk::active_isa(), threads());
    }
    return 0;
}();

}  // namespace
