// SPDX-License-Identifier: Apache-2.0
//
// What does it cost to quantize a layer with GPTQ? First a product of matrices of the same size: the speed at
// which the machine does such operations at all. GPTQ factors the Hessian (n^3/3 operations) and carries
// the errors of every column to those after it (m n^2); ops_per_second of its row over that of the product
// is how far it is from them.
#include <qtk/core/random.hpp>
#include <qtk/math/blas.hpp>
#include <qtk/method/gptq.hpp>
#include <qtk/method/input_statistics.hpp>

#include "rates.hpp"
#include <algorithm>
#include <string>
#include <vector>

namespace {

using namespace qtk_bench;

std::vector<std::size_t> sizes() {
    if (run_extent() == extent::smoke) return {64};
    return {1024, 4096};
}

qtk::matrix gaussian(std::size_t rows, std::size_t cols, std::uint64_t seed) {
    qtk::matrix m(rows, cols);
    std::ranges::copy(qtk::gaussian_vector(rows * cols, seed), m.data());
    return m;
}

work work_of(double operations, std::size_t n) {
    return {.bytes_read = static_cast<double>(2 * n * n * sizeof(float)),
            .operations = operations,
            .from = level::dram,
            .unit = arithmetic::f32,
            .isa = qtk::active_isa(),
            .threads = threads()};
}

void multiply(benchmark::State& state, std::size_t n) {
    qtk::matrix const x = gaussian(n, n, 1), w = gaussian(n, n, 2);
    qtk::matrix y(n, n);
    auto const size = static_cast<double>(n);
    run(state, work_of(2.0 * size * size * size, n),
        [&] { qtk::matmul(x.view(), w.view(), y.view()); });
}

void quantize(benchmark::State& state, std::size_t n, qtk::scheme const& scheme) {
    qtk::matrix const w = gaussian(n, n, 1);
    qtk::input_statistics seen(n);
    seen.add(gaussian(2 * n, n, 2).view());
    qtk::gptq const method(seen.hessian());
    auto const size = static_cast<double>(n);
    run(state, work_of(4.0 / 3.0 * size * size * size, n),
        [&] { benchmark::DoNotOptimize(method.run(scheme, w.view())); });
}

int const registered = [] {
    for (std::size_t const n : sizes()) {
        std::string const one = std::to_string(n), size = one + "x" + one;
        benchmark::RegisterBenchmark(bench_name("matmul", "f32", size).c_str(),
                                     [=](benchmark::State& state) { multiply(state, n); });
        for (char const* const spelling : {"i4/g64/asym/f16", "i4/channel"})
            benchmark::RegisterBenchmark(
                bench_name("gptq", spelling, size).c_str(),
                [=](benchmark::State& state) { quantize(state, n, qtk::parse_scheme(spelling)); });
    }
    return 0;
}();

}  // namespace
