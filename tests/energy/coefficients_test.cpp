// SPDX-License-Identifier: Apache-2.0
#include <qtk/energy/coefficients.hpp>
// The header under test comes first, so that it is seen to need nothing else.
#include <qtk/energy/model.hpp>
#include <qtk/energy/published.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <vector>

using qtk::memory_level;
using qtk::operand;
using qtk::picojoules;

namespace {

/// The 45 nm table as data.
qtk::coefficient_table horowitz() {
    return {
        .name = "copy",
        .citation = "of horowitz_45nm",
        .ignores = "",
        .integer = {.mul = {{8, 8, 0.2}, {32, 32, 3.1}}, .add = {{8, 0.03}, {16, 0.05}, {32, 0.1}}},
        .floating = {.mul = {{16, 16, 1.1}, {32, 32, 3.7}}, .add = {{16, 0.4}, {32, 0.9}}},
        .bfloat = {},
        .bit_picojoules = {640.0 / 32, 100.0 / 64, 20.0 / 64, 10.0 / 64},
        .static_watts = 0.0,
        .calibration = {}};
}

}  // namespace

TEST_CASE("a table as data prices as the published one whose figures it holds") {
    using published = qtk::horowitz_45nm;
    auto const table = horowitz();
    qtk::require_table(table);
    operand const numbers[] = {operand::integer(2),   operand::integer(8),
                               operand::integer(32),  operand::floating(8),
                               operand::floating(16), operand::floating(32),
                               operand::bfloat16(),   qtk::operand_of(qtk::nf4)};
    for (operand const weight : numbers)
        for (operand const activation : numbers)
            CHECK(table.e_mul(weight, activation) == published::e_mul(weight, activation));
    for (operand const number : {operand::integer(32), operand::floating(24), operand::bfloat16()})
        CHECK(table.e_add(number) == published::e_add(number));
    for (memory_level const level : qtk::memory_levels)
        CHECK(table.e_bit(level) == published::e_bit(level));
    CHECK(qtk::estimate_energy(std::vector{qtk::layer_work{.macs = 1}}, table).table == "copy");
}

TEST_CASE("bfloat has the prices of floats until it has its own") {
    auto table = horowitz();
    table.bfloat.mul = {{16, 16, 0.5}};
    CHECK(table.e_mul(operand::bfloat16(), operand::bfloat16()) == picojoules(0.5));
    CHECK(table.e_add(operand::bfloat16()) == qtk::joules{});
}

TEST_CASE("what a table does not price is refused by name, and sums may be inside products") {
    qtk::coefficient_table table = horowitz();
    table.integer = {};
    CHECK_THROWS_WITH_AS((void)table.e_mul(operand::integer(8), operand::integer(8)),
                         doctest::Contains("table copy has no price for products of integers"),
                         qtk::value_error);
    CHECK(table.e_add(operand::integer(32)) == qtk::joules{});
}

TEST_CASE("tables that cannot price are refused") {
    auto const fault = [](auto damage, char const* what) {
        auto table = horowitz();
        damage(table);
        CHECK_THROWS_WITH_AS(qtk::require_table(table), doctest::Contains(what), qtk::value_error);
    };
    double const nan = std::numeric_limits<double>::quiet_NaN();
    fault([](auto& t) { t.name = ""; }, "no name");
    fault([](auto& t) { t.citation = ""; }, "no citation");
    fault([](auto& t) { t.integer.mul[0].picojoules = -1; }, "integer multiplication costs -1");
    fault([&](auto& t) { t.floating.add[1].picojoules = nan; }, "float addition costs nan");
    fault([](auto& t) { t.integer.mul[1] = {4, 16, 1.0}; }, "rising sizes");
    fault([](auto& t) { t.floating.mul[0].weight_bits = 0; }, "0 bits");
    fault([](auto& t) { t.bfloat.add = {{65, 1.0}}; }, "65 bits");
    fault([](auto& t) { t.bit_picojoules[2] = -2; }, "a bit of sram_32kib");
    fault([&](auto& t) { t.static_watts = nan; }, "static power");
}
