// SPDX-License-Identifier: Apache-2.0
#include <qtk/energy/power_bounds.hpp>
// The header under test comes first, so that it is seen to need nothing else.
#include <qtk/energy/model.hpp>

#include <doctest/doctest.h>

#include <limits>
#include <string>
#include <vector>

using qtk::memory_level;
using qtk::operand;

namespace {

template <typename Table>
double square(operand number) {
    return Table::e_mul(number, number).picojoules();
}

}  // namespace

TEST_CASE("T4: power over rate, two operations a product and sum") {
    using table = qtk::t4_power_bound;
    CHECK(square<table>(operand::floating(16)) == doctest::Approx(70e12 / 32.5e12));
    CHECK(square<table>(operand::integer(8)) == doctest::Approx(70e12 / 65e12));
    CHECK(square<table>(operand::integer(4)) == doctest::Approx(70e12 / 130e12));
    CHECK(square<table>(operand::floating(32)) == doctest::Approx(70e12 / 4.05e12));
    CHECK(table::e_add(operand::floating(32)) == qtk::joules{});
    // 70 W over 320 GB/s: 219 pJ a byte.
    CHECK(8.0 * table::e_bit(memory_level::dram).picojoules() == doctest::Approx(218.75));
    CHECK(table::e_bit(memory_level::sram_1mib) == qtk::joules{});
}

TEST_CASE("H200: power over rate without sparsity") {
    using table = qtk::h200_power_bound;
    CHECK(square<table>(operand::bfloat16()) == doctest::Approx(700e12 / 494.5e12));
    CHECK(square<table>(operand::integer(8)) == doctest::Approx(700e12 / 989.5e12));
    CHECK(square<table>(qtk::operand_of(qtk::e4m3)) == square<table>(operand::integer(8)));
    CHECK(8.0 * table::e_bit(memory_level::dram).picojoules() == doctest::Approx(700.0 / 4.8));
}

TEST_CASE("EPYC 7763: 64 cores at 2.45 GHz and 32 operations a cycle") {
    CHECK(square<qtk::epyc_7763_power_bound>(operand::floating(32)) ==
          doctest::Approx(2 * 280e12 / (64 * 2.45e9 * 32)));
}

TEST_CASE("a product runs in the narrowest circuit that is as wide as both of its sides") {
    using t4 = qtk::t4_power_bound;
    CHECK(t4::e_mul(operand::integer(4), operand::integer(8)) ==
          t4::e_mul(operand::integer(8), operand::integer(8)));
    CHECK(t4::e_mul(operand::integer(4), operand::floating(16)) ==
          t4::e_mul(operand::floating(16), operand::floating(16)));
    CHECK(square<qtk::h200_power_bound>(operand::integer(4)) ==
          square<qtk::h200_power_bound>(operand::integer(8)));
    // A bfloat16 on Turing is an fp32.
    CHECK(square<t4>(operand::bfloat16()) == square<t4>(operand::floating(32)));
}

TEST_CASE("a rate that no sheet has is not made up") {
    CHECK_THROWS_WITH_AS((void)square<qtk::t4_power_bound>(operand::integer(32)),
                         doctest::Contains("t4_power_bound has no rate for products of 32-bit int"),
                         qtk::value_error);
    CHECK_THROWS_WITH_AS((void)square<qtk::h200_power_bound>(operand::floating(64)),
                         doctest::Contains("64-bit floats"), qtk::value_error);
}

TEST_CASE("a kernel at the peak is charged the whole power, and each side alone no more") {
    // One second of int8 products, one second of DRAM.
    qtk::layer_work const work{.macs = 65e12,
                               .weight = operand::integer(8),
                               .activation = operand::integer(8),
                               .accumulator = operand::integer(32),
                               .moved = {.dram = 8 * 320e9}};
    auto const energy = qtk::estimate_energy<qtk::t4_power_bound>(std::vector{work});
    auto const most = qtk::power_bound(qtk::t4_power_bound::sheet, std::chrono::seconds(1));
    CHECK(most == qtk::joules(70.0));
    CHECK(energy.compute / most == doctest::Approx(1.0));
    CHECK(energy.dram / most == doctest::Approx(1.0));
    CHECK_THROWS_AS(
        (void)qtk::power_bound(qtk::t4_power_bound::sheet, std::chrono::duration<double>(-1.0)),
        qtk::value_error);
}

TEST_CASE("names, citations and report lines say that they are bounds and not measured") {
    auto const says = [](auto const& table, char const* what) {
        return report_line(table).find(what) != std::string::npos;
    };
    CHECK(says(qtk::t4_power_bound{}, "upper bound"));
    CHECK(says(qtk::h200_power_bound{}, "upper bound"));
    CHECK(says(qtk::epyc_7763_power_bound{}, "upper bound"));
    CHECK(says(qtk::t4_power_bound{}, "not measured"));
}
