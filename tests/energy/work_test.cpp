// SPDX-License-Identifier: Apache-2.0
#include <qtk/energy/work.hpp>

#include <doctest/doctest.h>

#include <limits>
#include <utility>

using qtk::computed_as;
using qtk::operand;

TEST_CASE("formats become operands by their kind of code") {
    CHECK(qtk::operand_of(qtk::i4) == operand::integer(4));
    CHECK(qtk::operand_of(qtk::u3) == operand::integer(3));
    CHECK(qtk::operand_of(qtk::e4m3) == operand::floating(8));
    CHECK(qtk::operand_of(qtk::nf4) == operand{qtk::arithmetic::codebook, 4});
    CHECK(qtk::operand_of(qtk::fp4) == operand{qtk::arithmetic::codebook, 4});
}

TEST_CASE("integers multiply at their own widths and sum in int32") {
    CHECK(computed_as(operand::integer(4), operand::integer(8)).weight == operand::integer(4));
    CHECK(computed_as(operand::integer(4), operand::integer(8)).activation == operand::integer(8));
    CHECK(accumulator_of(operand::integer(4), operand::integer(8)) == operand::integer(32));
}

TEST_CASE("weight-only quantization multiplies floats") {
    auto const [weight, activation] = computed_as(operand::integer(4), operand::floating(16));
    CHECK(weight == operand::floating(16));
    CHECK(activation == operand::floating(16));
    CHECK(accumulator_of(operand::integer(4), operand::floating(16)) == operand::floating(32));
    CHECK(computed_as(operand::floating(32), operand::integer(8)).activation ==
          operand::floating(32));
}

TEST_CASE("of two floats the wider one decides") {
    CHECK(computed_as(operand::floating(4), operand::floating(8)).weight == operand::floating(8));
    CHECK(computed_as(operand::bfloat16(), operand::floating(32)).weight == operand::floating(32));
    CHECK(computed_as(operand::floating(32), operand::bfloat16()).weight == operand::floating(32));
    // As wide as each other: the activation's circuit.
    CHECK(computed_as(operand::floating(16), operand::bfloat16()).weight == operand::bfloat16());
}

TEST_CASE("codes of a codebook are decoded to what the other side is") {
    operand const nf4 = qtk::operand_of(qtk::nf4);
    CHECK(computed_as(nf4, operand::bfloat16()).weight == operand::bfloat16());
    CHECK(computed_as(operand::floating(16), nf4).activation == operand::floating(16));
    CHECK(computed_as(nf4, operand::integer(8)).weight == operand::integer(8));
    CHECK(computed_as(operand::integer(8), nf4).activation == operand::integer(8));
    CHECK(computed_as(nf4, nf4).weight == operand::floating(32));
}

TEST_CASE("an empty layer does nothing") {
    qtk::layer_work const work = work_of(qtk::linear_layer{});
    CHECK(work.macs == 0.0);
    CHECK(work.weights == 0.0);
    CHECK(work.moved.dram == 0.0);
    CHECK(work.moved.sram_1mib == 0.0);
}

TEST_CASE("a linear layer is counted by hand") {
    // 4 outputs, 8 inputs, i4 codes with one f16 scale a row: 4 (8 x 4 + 16) bits.
    qtk::layer_work const work = work_of(qtk::linear_layer{.out = 4,
                                                           .in = 8,
                                                           .tokens = 3,
                                                           .weight = operand::integer(4),
                                                           .activation = operand::floating(16),
                                                           .weight_storage_bits = 192});
    CHECK(work.macs == 4 * 8 * 3);
    CHECK(work.weights == 4 * 8);
    CHECK(work.moved.dram == 192);
    CHECK(work.moved.sram_1mib == 192 + 16 * 3 * (8 + 4));
    CHECK(work.moved.sram_32kib == 0);
    CHECK(work.accumulator == operand::floating(32));
}

TEST_CASE("inputs that are fetched twice cross the on-chip memory twice") {
    qtk::linear_layer layer{.out = 4, .in = 8, .input_fetches = 2};
    CHECK(work_of(layer).moved.sram_1mib == 32 * (2 * 8 + 4));
}

TEST_CASE("a count that is no count is refused by name") {
    double const nan = std::numeric_limits<double>::quiet_NaN();
    CHECK_THROWS_WITH_AS((void)work_of(qtk::linear_layer{.out = -1}),
                         doctest::Contains("out is -1"), qtk::value_error);
    CHECK_THROWS_WITH_AS((void)work_of(qtk::linear_layer{.weight_storage_bits = nan}),
                         doctest::Contains("weight_storage_bits"), qtk::value_error);
    CHECK_THROWS_WITH_AS((void)work_of(qtk::linear_layer{.input_fetches = 0.5}),
                         doctest::Contains("input_fetches"), qtk::value_error);
}

TEST_CASE("every memory has a name and its place in the traffic") {
    qtk::traffic moved{1.0, 2.0, 3.0, 4.0};
    double sum = 0.0;
    for (qtk::memory_level const level : qtk::memory_levels) {
        moved.at(level) *= 10.0;
        sum += std::as_const(moved).at(level);
    }
    CHECK(sum == 100.0);
    CHECK(moved.sram_32kib == 30.0);
    CHECK(to_string(qtk::memory_level::sram_8kib) == "sram_8kib");
}
