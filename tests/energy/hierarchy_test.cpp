// SPDX-License-Identifier: Apache-2.0
#include <qtk/energy/hierarchy.hpp>
// The header under test comes first, so that it is seen to need nothing else.
#include <qtk/core/random.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

using qtk::matrix_product;
using qtk::memory_level;
using qtk::operand;

namespace {

matrix_product bytes_product(std::size_t m, std::size_t n, std::size_t k) {
    return {.m = m,
            .n = n,
            .k = k,
            .weight = operand::integer(8),
            .activation = operand::integer(8),
            .output_bits = 8};
}

/// Walks the loops tile by tile and fetches a tile where the one before was another: what the
/// formula claims to count.
double walked_bits(matrix_product const& p, std::size_t m, std::size_t n, std::size_t k,
                   bool outputs_outside) {
    double bits = 0.0;
    std::size_t held_weight[2] = {~std::size_t{0}, 0}, held_input[2] = {~std::size_t{0}, 0};
    auto const at = [&](std::size_t i, std::size_t j) {
        for (std::size_t s = 0; s < p.k; s += k) {
            double const depth = static_cast<double>(std::min(k, p.k - s));
            if (held_weight[0] != j || held_weight[1] != s)
                bits += static_cast<double>(std::min(n, p.n - j)) * depth * p.weight.bits;
            if (held_input[0] != i || held_input[1] != s)
                bits += static_cast<double>(std::min(m, p.m - i)) * depth * p.activation.bits;
            held_weight[0] = j, held_weight[1] = s, held_input[0] = i, held_input[1] = s;
        }
        bits += static_cast<double>(std::min(m, p.m - i) * std::min(n, p.n - j)) * p.output_bits;
    };
    if (outputs_outside) {
        for (std::size_t j = 0; j < p.n; j += n)
            for (std::size_t i = 0; i < p.m; i += m) at(i, j);
    } else {
        for (std::size_t i = 0; i < p.m; i += m)
            for (std::size_t j = 0; j < p.n; j += n) at(i, j);
    }
    return bits;
}

double cheapest_walk(matrix_product const& p, double near_bytes) {
    double best = std::numeric_limits<double>::infinity();
    for (std::size_t m = 1; m <= p.m; ++m)
        for (std::size_t n = 1; n <= p.n; ++n)
            for (std::size_t k = 1; k <= p.k; ++k) {
                double const tile = static_cast<double>(
                    m * k * static_cast<std::size_t>(p.activation.bits) +
                    n * k * static_cast<std::size_t>(p.weight.bits) + m * n * 32);
                if (tile <= 8.0 * near_bytes)
                    for (bool const outside : {false, true})
                        best = std::min(best, walked_bits(p, m, n, k, outside));
            }
    return best;
}

}  // namespace

TEST_CASE("what fits crosses once") {
    auto const t = qtk::tiled_traffic(bytes_product(4, 5, 6), 4 * 6 + 5 * 6 + 4 * 4 * 5);
    CHECK(t.weights == 8 * 30);
    CHECK(t.activations == 8 * 24);
    CHECK(t.outputs == 8 * 20);
    CHECK(t.total() == 8 * 74);
}

TEST_CASE("the smallest tile reuses nothing") {
    // One number of each side and one sum of 32 bits: 6 bytes.
    auto const t = qtk::tiled_traffic(bytes_product(4, 5, 6), 6);
    CHECK(t.weights == 8 * 30 * 4);
    CHECK(t.activations == 8 * 24 * 5);
    CHECK(t.outputs == 8 * 20);
    CHECK_THROWS_WITH_AS((void)qtk::tiled_traffic(bytes_product(4, 5, 6), 5),
                         doctest::Contains("hold no tile"), qtk::value_error);
}

TEST_CASE("the formula is the cheapest of all walks through the tiles") {
    qtk::splitmix64 random(11);
    for (int trial = 0; trial < 60; ++trial) {
        auto const size = [&] { return 1 + static_cast<std::size_t>(uniform_index(random, 7)); };
        matrix_product const p = bytes_product(size(), size(), size());
        double const near = 6.0 + static_cast<double>(uniform_index(random, 120));
        CAPTURE(p.m);
        CAPTURE(p.n);
        CAPTURE(p.k);
        CAPTURE(near);
        CHECK(qtk::tiled_traffic(p, near).total() == cheapest_walk(p, near));
    }
}

TEST_CASE("a larger memory never costs more traffic, and never less than once") {
    matrix_product const p = bytes_product(300, 700, 500);
    double before = std::numeric_limits<double>::infinity();
    for (double near = 64; near < 1e7; near *= 1.7) {
        double const bits = qtk::tiled_traffic(p, near).total();
        CHECK(bits <= before);
        CHECK(bits >= 8.0 * (300 * 500 + 700 * 500 + 300 * 700));
        before = bits;
    }
}

TEST_CASE("one token reads each weight once, whatever the memory") {
    for (double const near : {64.0, 32768.0, 1048576.0})
        CHECK(qtk::tiled_traffic(bytes_product(1, 4096, 4096), near).weights == 8.0 * 4096 * 4096);
}

TEST_CASE("stored widths count, scales included") {
    matrix_product p = bytes_product(1, 64, 64);
    p.weight = operand::integer(4);
    p.weight_bits = 4.125;
    p.output_bits = 16;
    auto const t = qtk::tiled_traffic(p, 1e6);
    CHECK(t.weights == 4.125 * 64 * 64);
    CHECK(t.outputs == 16 * 64);
}

TEST_CASE("every memory is filled through the next nearer one") {
    auto const p = bytes_product(64, 64, 64);
    auto const work = work_of(p, qtk::priced_hierarchy());
    CHECK(work.macs == 64.0 * 64 * 64);
    CHECK(work.weights == 64.0 * 64);
    CHECK(work.accumulator == operand::integer(32));
    CHECK(work.moved.dram == qtk::tiled_traffic(p, 1048576).total());
    CHECK(work.moved.sram_1mib == qtk::tiled_traffic(p, 32768).total());
    CHECK(work.moved.sram_32kib == qtk::tiled_traffic(p, 8192).total());
    CHECK(work.moved.sram_8kib == qtk::tiled_traffic(p, 256).total());
    CHECK(work.moved.sram_8kib > work.moved.sram_1mib);
}

TEST_CASE("a machine without some memories has no traffic there") {
    auto const work =
        work_of(bytes_product(8, 8, 8),
                {.memories = {{memory_level::dram, 0.0}, {memory_level::sram_32kib, 1e5}},
                 .register_bytes = 64});
    CHECK(work.moved.sram_1mib == 0.0);
    CHECK(work.moved.sram_8kib == 0.0);
    CHECK(work.moved.dram == 8.0 * 3 * 64);
}

TEST_CASE("a convolution is a product of windows that fetches each pixel once a pass") {
    // 3 x 3 over 8 x 8 with padding: 64 windows of 27 inputs, of which 192 are distinct.
    auto const p = product_of({.height = 8,
                               .width = 8,
                               .in_channels = 3,
                               .out_channels = 16,
                               .kernel_height = 3,
                               .kernel_width = 3,
                               .padding = 1},
                              operand::integer(8), operand::integer(8));
    CHECK(p.m == 64);
    CHECK(p.n == 16);
    CHECK(p.k == 27);
    auto const t = qtk::tiled_traffic(p, 1e6);
    CHECK(t.activations == 8.0 * 192);
    CHECK(t.weights == 8.0 * 16 * 27);
    CHECK_THROWS_WITH_AS((void)product_of({.height = 2, .width = 2, .kernel_height = 3},
                                          operand::integer(8), operand::integer(8)),
                         doctest::Contains("kernel of 3"), qtk::value_error);
}

TEST_CASE("memories out of order and products of nothing are refused") {
    auto const p = bytes_product(8, 8, 8);
    auto machine = qtk::priced_hierarchy();
    std::swap(machine.memories[1], machine.memories[2]);
    CHECK_THROWS_WITH_AS((void)work_of(p, machine), doctest::Contains("memory 2"),
                         qtk::value_error);
    machine = qtk::priced_hierarchy();
    machine.memories[2].bytes = 2e6;
    CHECK_THROWS_AS((void)work_of(p, machine), qtk::value_error);
    CHECK_THROWS_WITH_AS((void)work_of(bytes_product(0, 1, 1), qtk::priced_hierarchy()),
                         doctest::Contains("nothing to move"), qtk::value_error);
    matrix_product odd = p;
    odd.weight_bits = std::numeric_limits<double>::quiet_NaN();
    CHECK_THROWS_AS((void)qtk::tiled_traffic(odd, 100), qtk::value_error);
}
