// SPDX-License-Identifier: Apache-2.0
//
// What does it cost to rotate a row? First the same row multiplied by a factor, what a pass over memory
// costs; then powers of two, sizes with a factor of Paley, and a size that is cut into blocks.
#include <qtk/core/random.hpp>
#include <qtk/math/hadamard.hpp>

#include "rates.hpp"
#include <cmath>
#include <string>
#include <vector>

namespace {

using namespace qtk_bench;

std::vector<std::size_t> sizes() {
    if (run_extent() == extent::smoke) return {64, 192};
    return {64, 128, 768, 1024, 4096, 5632, 11008};
}

/// Reads and writes n floats; the butterflies and the factor of Paley are additions.
work rotation_work(std::size_t n) {
    qtk::hadamard_shape const shape = qtk::hadamard_shape_of(n);
    double const steps = std::log2(static_cast<double>(shape.power)) +
                         (shape.paley_order == 1 ? 0.0 : static_cast<double>(shape.paley_order));
    auto const bytes = static_cast<double>(n * sizeof(float));
    return {.bytes_read = bytes,
            .bytes_written = bytes,
            .operations = static_cast<double>(n) * (steps + 1.0),
            .from = level_of(n * sizeof(float))};
}

void scale_row(benchmark::State& state, std::size_t n) {
    std::vector<float> row = qtk::gaussian_vector(n, 1);
    float factor = -1.0f;
    benchmark::DoNotOptimize(factor);
    run(state, rotation_work(n), [&] {
        for (float& v : row) v *= factor;
    });
}

void rotate_row(benchmark::State& state, std::size_t n) {
    qtk::hadamard const rotation(n, 1);
    std::vector<float> row = qtk::gaussian_vector(n, 1);
    run(state, rotation_work(n), [&] { rotation.apply(row); });
}

int const registered = [] {
    for (std::size_t const n : sizes()) {
        std::string const count = std::to_string(n);
        benchmark::RegisterBenchmark(bench_name("hadamard", "f32", "scale", count).c_str(),
                                     [=](benchmark::State& state) { scale_row(state, n); });
        benchmark::RegisterBenchmark(bench_name("hadamard", "f32", "rotate", count).c_str(),
                                     [=](benchmark::State& state) { rotate_row(state, n); });
    }
    return 0;
}();

}  // namespace
