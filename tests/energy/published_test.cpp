// SPDX-License-Identifier: Apache-2.0
#include <qtk/energy/published.hpp>

#include <doctest/doctest.h>

#include <string>
#include <string_view>

using qtk::memory_level;
using qtk::operand;
using qtk::picojoules;

namespace {

template <typename Table>
qtk::joules square(operand number) {
    return Table::e_mul(number, number);
}

}  // namespace

TEST_CASE("tables are found by name") {
    for (std::string_view const name : qtk::energy_table_names)
        CHECK(qtk::with_energy_table(
                  name, [](auto const& table) { return std::string(table.name); }) == name);
    CHECK(qtk::energy_table_names.size() == 6);
    CHECK(qtk::energy_table_names[0] == "quadratic_linear_1_200");
    CHECK(qtk::energy_table_names[1] == "horowitz_45nm");
    CHECK(qtk::energy_table_names[2] == "tpu_7nm");
    // Bounds are called so.
    for (std::size_t i = 3; i < 6; ++i) CHECK(qtk::energy_table_names[i].ends_with("_power_bound"));
}

TEST_CASE("an unknown table is answered with the known ones") {
    auto const name_of_table = [](auto const& table) { return table.name; };
    for (auto const wrong : {"", "horowitz", "HOROWITZ_45NM"})
        CHECK_THROWS_WITH_AS(
            (void)qtk::with_energy_table(wrong, name_of_table),
            doctest::Contains("known are quadratic_linear_1_200, horowitz_45nm, tpu_7nm"),
            qtk::value_error);
}

TEST_CASE("every table says where it comes from") {
    for (std::string_view const name : qtk::energy_table_names)
        CHECK(qtk::with_energy_table(name, [](auto const& table) {
            return table.citation.find("20") != std::string_view::npos;
        }));
}

TEST_CASE("every table says what it ignores, in the line above its joules") {
    for (std::string_view const name : qtk::energy_table_names) {
        std::string const line =
            qtk::with_energy_table(name, [](auto const& table) { return report_line(table); });
        CHECK(line.starts_with("energy table " + std::string(name) + ": "));
        CHECK(line.find("; ignores ") != std::string::npos);
        CHECK(line.find("static power") != std::string::npos);
    }
}

TEST_CASE("a 32-bit DRAM word costs 200 multiply-accumulates in the 1:200 table") {
    using table = qtk::quadratic_linear_1_200;
    operand const wide = operand::floating(32);
    CHECK(table::e_mul(wide, wide) == picojoules(3.2));
    CHECK(table::e_bit(memory_level::dram) * 32.0 == picojoules(640));
    CHECK(table::e_bit(memory_level::dram) * 32.0 / table::e_mul(wide, wide) ==
          doctest::Approx(200).epsilon(1e-15));
}

TEST_CASE("the 1:200 table looks at the weight's bits alone") {
    using table = qtk::quadratic_linear_1_200;
    CHECK(table::e_mul(operand::integer(8), operand::floating(32)) == picojoules(3.2 / 16));
    CHECK(table::e_mul(operand::integer(8), operand::integer(8)) == picojoules(3.2 / 16));
    CHECK(table::e_mul(qtk::operand_of(qtk::nf4), operand::floating(32)) == picojoules(3.2 / 64));
    CHECK(table::e_add(operand::floating(32)) == qtk::joules{});
    qtk::layer_work const work{
        .weights = 10, .weight = operand::integer(4), .moved = {.dram = 999, .sram_1mib = 999}};
    CHECK(table::moved(work).dram == 40);
    CHECK(table::moved(work).sram_1mib == 0);
    CHECK(table::e_bit(memory_level::sram_8kib) == qtk::joules{});
}

TEST_CASE("45 nm: the published figures come out as they went in") {
    using table = qtk::horowitz_45nm;
    CHECK(table::e_add(operand::integer(8)) == picojoules(0.03));
    CHECK(table::e_add(operand::integer(16)) == picojoules(0.05));
    CHECK(table::e_add(operand::integer(32)) == picojoules(0.1));
    CHECK(square<table>(operand::integer(8)) == picojoules(0.2));
    CHECK(square<table>(operand::integer(32)) == picojoules(3.1));
    CHECK(table::e_add(operand::floating(16)) == picojoules(0.4));
    CHECK(table::e_add(operand::floating(32)) == picojoules(0.9));
    CHECK(square<table>(operand::floating(16)) == picojoules(1.1));
    CHECK(square<table>(operand::floating(32)) == picojoules(3.7));
    CHECK(table::e_bit(memory_level::dram) * 32.0 == picojoules(640));
    CHECK(table::e_bit(memory_level::sram_1mib) * 64.0 == picojoules(100));
    CHECK(table::e_bit(memory_level::sram_32kib) * 64.0 == picojoules(20));
    CHECK(table::e_bit(memory_level::sram_8kib) * 64.0 == picojoules(10));
}

TEST_CASE("7 nm: the published figures come out as they went in") {
    using table = qtk::tpu_7nm;
    CHECK(table::e_add(operand::integer(8)) == picojoules(0.007));
    CHECK(table::e_add(operand::integer(32)) == picojoules(0.03));
    CHECK(table::e_add(operand::bfloat16()) == picojoules(0.11));
    CHECK(table::e_add(operand::floating(16)) == picojoules(0.16));
    CHECK(table::e_add(operand::floating(32)) == picojoules(0.38));
    CHECK(square<table>(operand::integer(8)) == picojoules(0.07));
    CHECK(square<table>(operand::integer(32)) == picojoules(1.48));
    CHECK(square<table>(operand::bfloat16()) == picojoules(0.21));
    CHECK(square<table>(operand::floating(16)) == picojoules(0.34));
    CHECK(square<table>(operand::floating(32)) == picojoules(1.31));
    CHECK(table::e_bit(memory_level::dram) * 64.0 == picojoules(350));
    CHECK(table::e_bit(memory_level::sram_1mib) * 64.0 == picojoules(14));
    CHECK(table::e_bit(memory_level::sram_32kib) * 64.0 == picojoules(8.5));
    CHECK(table::e_bit(memory_level::sram_8kib) * 64.0 == picojoules(7.5));
}

TEST_CASE("a narrow multiplier costs in proportion to the product of its widths") {
    CHECK(qtk::horowitz_45nm::e_mul(operand::integer(4), operand::integer(8)) == picojoules(0.1));
    CHECK(qtk::horowitz_45nm::e_mul(operand::integer(2), operand::integer(4)) == picojoules(0.025));
    CHECK(qtk::tpu_7nm::e_mul(operand::integer(4), operand::integer(8)) == picojoules(0.035));
    // Minifloats that meet minifloats, from the fp16 figure.
    CHECK(square<qtk::tpu_7nm>(qtk::operand_of(qtk::e4m3)) == picojoules(0.085));
    // 16 x 16 lies a fifth of the way from 8 x 8 to 32 x 32.
    CHECK(square<qtk::horowitz_45nm>(operand::integer(16)) == picojoules(0.78));
}

TEST_CASE("weights alone in fewer bits do not make a multiplication cheaper") {
    CHECK(qtk::horowitz_45nm::e_mul(operand::integer(4), operand::floating(32)) == picojoules(3.7));
    CHECK(qtk::tpu_7nm::e_mul(qtk::operand_of(qtk::nf4), operand::bfloat16()) == picojoules(0.21));
}

TEST_CASE("the 45 nm table takes bfloat16 for fp16, which it lacks") {
    CHECK(square<qtk::horowitz_45nm>(operand::bfloat16()) == picojoules(1.1));
    CHECK(qtk::horowitz_45nm::e_add(operand::bfloat16()) == picojoules(0.4));
}

TEST_CASE("real traffic is what the measured tables charge for") {
    qtk::layer_work const work{.weights = 10, .moved = {.dram = 7, .sram_8kib = 3}};
    CHECK(qtk::horowitz_45nm::moved(work).dram == 7);
    CHECK(qtk::tpu_7nm::moved(work).sram_8kib == 3);
}
