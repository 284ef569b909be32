// SPDX-License-Identifier: Apache-2.0
//
// How fast is Y = X W^T without packing the weights for it? Floats as they lie through sgemm, and
// canonical codes, which are decoded strip by strip. The loop and the libraries to compare with
// stand in baseline_bench.cpp.
#include <qtk/kernel/gemm.hpp>
#include <qtk/quantize_any.hpp>

#include "rates.hpp"
#include "shapes.hpp"

namespace {

using namespace qtk_bench;

std::vector<shape> sizes() {
    std::vector<shape> list;
    for (std::size_t const m : row_counts())
        if (m > 1 && m <= 16) list.push_back({m, side(), side()});
    return list;
}

work work_of(shape const& s, std::size_t weight_bytes) {
    return product_work(s, weight_bytes, warmth::hot, arithmetic::f32, qtk::active_isa(),
                        threads());
}

void floats(benchmark::State& state, shape const& s) {
    product_operands const operands(s);
    auto const weights = normal_weights(s.n, s.k);
    run(state, work_of(s, weights.size() * sizeof(float)),
        [&] { qtk::sgemm(operands.input(), weights, operands.output()); });
}

void codes(benchmark::State& state, shape const& s, qtk::scheme const& scheme) {
    product_operands const operands(s);
    qtk::any_qmatrix const w = qtk::quantize_any(normal_weights(s.n, s.k), scheme);
    run(state, work_of(s, w.bytes()), [&] { qtk::gemm(w, operands.input(), operands.output()); });
}

int const registered = [] {
    std::string const isa(qtk::isa());
    for (shape const& s : sizes()) {
        benchmark::RegisterBenchmark(bench_name("gemm", "f32", "f32", isa, s.text(), "hot").c_str(),
                                     [=](benchmark::State& state) { floats(state, s); });
        for (qtk::scheme const& scheme :
             {qtk::scheme{.element = qtk::i8, .grain = qtk::per_channel},
              qtk::scheme{.element = qtk::i4, .grain = qtk::per_group(128)}, qtk::mxfp4})
            benchmark::RegisterBenchmark(
                bench_name("gemm_codes", scheme_name(scheme), "f32", isa, s.text(), "hot").c_str(),
                [=](benchmark::State& state) { codes(state, s, scheme); });
    }
    return 0;
}();

}  // namespace
