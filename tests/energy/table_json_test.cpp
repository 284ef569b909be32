// SPDX-License-Identifier: Apache-2.0
#include <qtk/energy/table_json.hpp>
// The header under test comes first, so that it is seen to need nothing else.
#include <qtk/energy/calibration.hpp>
#include <qtk/energy/calibration_plan.hpp>
#include <qtk/energy/model.hpp>
#include <qtk/energy/published.hpp>

#include <doctest/doctest.h>

#include <scratch.hpp>

#include <string>
#include <utility>
#include <vector>

using qtk::operand;

namespace {

constexpr char const* by_hand = R"({
  "format": "qtk energy table 1", "name": "my_chip", "citation": "data sheet, page 3",
  "ignores": "control", "static_watts": 2.5,
  "integer": {"mul": [{"weight_bits": 4, "activation_bits": 8, "pj": 0.125},
                      {"weight_bits": 8, "activation_bits": 8, "pj": 0.25}],
              "add": [{"bits": 32, "pj": 0.1}]},
  "pj_per_bit": {"dram": 20, "sram_1mib": 1.5}})";

qtk::coefficient_table fitted() {
    qtk::coefficient_table table = qtk::parse_energy_table(by_hand, "hand");
    table.floating.mul = {{16, 16, 1.0 / 3.0}};
    table.bfloat.add = {{16, 0.1}};
    table.calibration =
        qtk::calibration_record{.date = "2026-01-31",
                                .machine = "a \"quoted\" machine",
                                .meter = "RAPL",
                                .r_squared = 0.987654321,
                                .mape = 1.0 / 7.0,
                                .condition = 12.5,
                                .level = 0.9,
                                .fitted = 48,
                                .held_out = 12,
                                .coefficients = {{"dram", "pJ/bit", {20.0, 19.0, 21.0}}}};
    return table;
}

std::string replaced(std::string text, std::string const& what, std::string const& with) {
    auto const at = text.find(what);
    REQUIRE(at != std::string::npos);
    return text.replace(at, what.size(), with);
}

}  // namespace

TEST_CASE("a table written by hand is read") {
    auto const table = qtk::parse_energy_table(by_hand, "hand.json");
    CHECK(table.name == "my_chip");
    CHECK(qtk::report_line(table) == "energy table my_chip: data sheet, page 3; ignores control");
    CHECK(table.static_watts == 2.5);
    CHECK(table.e_mul(operand::integer(4), operand::integer(8)) == qtk::picojoules(0.125));
    CHECK(table.e_add(operand::integer(32)) == qtk::picojoules(0.1));
    CHECK(table.e_bit(qtk::memory_level::sram_1mib) == qtk::picojoules(1.5));
    CHECK(table.e_bit(qtk::memory_level::sram_8kib) == qtk::joules{});
    CHECK_FALSE(table.calibration.has_value());
}

TEST_CASE("a table comes back from its file as it was, bit for bit") {
    test::scratch_folder const folder;
    auto const path = folder / "table.json";
    qtk::write_energy_table(path, fitted());
    CHECK(qtk::read_energy_table(path) == fitted());
    CHECK(folder.files() == 1);
}

TEST_CASE("a table fitted to observations comes back as it was, with its record") {
    auto machine = qtk::priced_hierarchy();
    machine.memories.pop_back();
    auto const plan = qtk::calibration_plan({.replicates = 1});
    auto const observed = qtk::expected_observations(plan, machine, qtk::horowitz_45nm{});
    auto const table =
        qtk::calibrate(observed, {"here", "2026-01-31", "a machine", "no meter: planned"},
                       {.bootstrap = {.resamples = 20}});
    test::scratch_folder const folder;
    auto const path = folder / "fitted.json";
    qtk::write_energy_table(path, table);
    auto const again = qtk::read_energy_table(path);
    CHECK(again == table);
    REQUIRE(again.calibration.has_value());
    CHECK(again.calibration->date == "2026-01-31");
    CHECK(again.calibration->machine == "a machine");
    CHECK(again.calibration->meter == "no meter: planned");
    CHECK(again.calibration->r_squared == doctest::Approx(1.0));
    CHECK(again.calibration->mape < 1e-9);
    CHECK(qtk::report_line(again).find("additions are inside") != std::string::npos);
    std::vector const layers{observed[0].works[0]};
    CHECK(qtk::estimate_energy(layers, again).total() ==
          qtk::estimate_energy(layers, table).total());
}

TEST_CASE("what is wrong is named with the file") {
    std::pair<std::pair<char const*, char const*>, char const*> const faults[] = {
        {{"table 1", "table 2"},
         "format: expected \"qtk energy table 1\", found \"qtk energy table 2\""},
        {{"\"name\"", "\"nmae\""}, "unknown member \"nmae\"; known are format, name"},
        {{"\"citation\": \"data sheet, page 3\",", ""}, "citation: expected a string"},
        {{"\"my_chip\"", "7"}, "name: expected a string, found 7"},
        {{"\"add\"", "\"div\""}, "integer: unknown member \"div\"; known are mul, add"},
        {{"0.125", "-0.125"}, "integer multiplication costs -0.125"},
        {{"0.125", "\"0.125\""}, "pj: expected a number"},
        {{"\"weight_bits\": 4", "\"weight_bits\": 4.5"}, "whole number from 1 to 64"},
        {{"\"weight_bits\": 4", "\"weight_bits\": 65"}, "whole number from 1 to 64"},
        {{"\"weight_bits\": 4", "\"weight_bits\": 9"}, "rising sizes"},
        {{"\"sram_1mib\"", "\"l2\""}, "pj_per_bit: unknown member \"l2\""},
        {{"\"dram\": 20,", "\"dram\": 20, \"dram\": 21,"}, "appears twice"},
        {{"2.5", "-2.5"}, "static power"},
    };
    for (auto const& [change, what] : faults) {
        CAPTURE(what);
        std::string const text = replaced(by_hand, change.first, change.second);
        CHECK_THROWS_WITH_AS((void)qtk::parse_energy_table(text, "chip.json"),
                             doctest::Contains(what), qtk::io_error);
        CHECK_THROWS_WITH_AS((void)qtk::parse_energy_table(text, "chip.json"),
                             doctest::Contains("chip.json: "), qtk::io_error);
    }
    CHECK_THROWS_AS((void)qtk::parse_energy_table("[]", "chip.json"), qtk::io_error);
    CHECK_THROWS_AS((void)qtk::parse_energy_table("{", "chip.json"), qtk::io_error);
    CHECK_THROWS_AS((void)qtk::read_energy_table("/nonexistent/table.json"), qtk::system_error);
}

TEST_CASE("a record of a calibration that lacks a figure is refused") {
    auto json = qtk::json_of(fitted());
    json["calibration"].erase("mape");
    CHECK_THROWS_WITH_AS((void)qtk::parse_energy_table(json.dump(), "f"),
                         doctest::Contains("mape: expected a number"), qtk::io_error);
    json = qtk::json_of(fitted());
    json["calibration"]["coefficients"][0]["unti"] = 1;
    CHECK_THROWS_WITH_AS((void)qtk::parse_energy_table(json.dump(), "f"),
                         doctest::Contains("unknown member \"unti\""), qtk::io_error);
}

TEST_CASE("a table that cannot price is not written") {
    auto table = fitted();
    table.citation.clear();
    CHECK_THROWS_AS((void)qtk::json_of(table), qtk::value_error);
}
