// SPDX-License-Identifier: Apache-2.0
#include <qtk/energy/calibration_plan.hpp>
// The header under test comes first, so that it is seen to need nothing else.
#include <qtk/energy/published.hpp>

#include <doctest/doctest.h>

#include <limits>
#include <set>
#include <string>

namespace {

qtk::memory_hierarchy machine() {
    return {.memories = {{qtk::memory_level::dram, 0.0},
                         {qtk::memory_level::sram_1mib, 1048576.0},
                         {qtk::memory_level::sram_32kib, 32768.0}},
            .register_bytes = 256.0};
}

template <typename Table>
double condition(qtk::plan_options const& how, qtk::rough_rates const& rates = {}) {
    auto const plan = qtk::calibration_plan(how);
    auto const expected = qtk::expected_observations(plan, machine(), Table{}, rates);
    return qtk::amounts_of(expected, qtk::columns_in(expected)).condition();
}

}  // namespace

TEST_CASE("a plan has every format, pauses, and enough work in every run") {
    auto const plan = qtk::calibration_plan({.macs = 1e9, .replicates = 2, .pause_seconds = 0.5});
    CHECK(plan.size() == 2 * 4 * 8);
    std::set<std::string> names;
    std::size_t pauses = 0;
    for (auto const& run : plan) {
        names.insert(run.name);
        CHECK(run.pause_seconds >= 0.0);
        if (run.repeats == 0) {
            CHECK(run.pause_seconds > 0.0);
            CHECK(work_of(run, machine()).empty());
            ++pauses;
        } else {
            CHECK(work_of(run, machine())[0].macs >= 1e9);
        }
    }
    CHECK(pauses == 8);
    CHECK(names.size() == 4 * 7 + 1);
    CHECK(names.count("4x8, near, one row") == 1);
}

TEST_CASE("what lies in a near memory is fetched from afar once, and what does not every time") {
    qtk::planned_run run{.name = "",
                         .product = {.m = 1,
                                     .n = 64,
                                     .k = 64,
                                     .weight = qtk::operand::integer(8),
                                     .activation = qtk::operand::integer(8)},
                         .repeats = 1,
                         .pause_seconds = 0.0};
    auto const once = work_of(run, machine())[0];
    run.repeats = 100;
    auto const often = work_of(run, machine())[0];
    // 64 x 64 bytes and two rows: 4 KiB fit into 32 KiB and not into the registers.
    CHECK(often.macs == 100 * once.macs);
    CHECK(often.moved.dram == once.moved.dram);
    CHECK(often.moved.sram_1mib == once.moved.sram_1mib);
    CHECK(often.moved.sram_32kib == 100 * once.moved.sram_32kib);
    run.product.n = 1024;
    CHECK(work_of(run, machine())[0].moved.sram_1mib > 50 * 8.0 * 1024 * 64);
    CHECK(work_of(run, machine())[0].moved.dram < 2 * 8.0 * 1024 * 64);
}

TEST_CASE("the columns of a plan are far from depending on each other, whoever prices them") {
    // Twice the condition of eight columns that nature lets overlap (time passes whatever runs).
    CHECK(condition<qtk::horowitz_45nm>({}) < 20.0);
    CHECK(condition<qtk::tpu_7nm>({}) < 20.0);
    CHECK(condition<qtk::epyc_7763_power_bound>({}) < 40.0);
    // Also where time is much dearer or much cheaper than work.
    CHECK(condition<qtk::horowitz_45nm>({}, {.watts = 200.0}) < 20.0);
    CHECK(condition<qtk::horowitz_45nm>({}, {.watts = 0.2}) < 40.0);
}

TEST_CASE("without pauses and shapes the same formats would be a poor plan") {
    auto plan = qtk::calibration_plan();
    std::erase_if(plan, [](auto const& run) {
        return run.repeats == 0 || run.pause_seconds > 0.0 ||
               run.name.find("far, one row") == std::string::npos;
    });
    auto const expected = qtk::expected_observations(plan, machine(), qtk::horowitz_45nm{});
    CHECK(qtk::amounts_of(expected, qtk::columns_in(expected)).condition() > 1e6);
}

TEST_CASE("expected times are those of a roofline, with the pause") {
    std::vector<qtk::planned_run> const plan{{.name = "x",
                                              .product = {.m = 1, .n = 4096, .k = 4096},
                                              .repeats = 10,
                                              .pause_seconds = 3.0}};
    auto const one = qtk::expected_observations(
        plan, machine(), qtk::horowitz_45nm{},
        {.macs_per_second = 1e12, .dram_bits_per_second = 1e9, .watts = 7.0})[0];
    CHECK(one.seconds == doctest::Approx(3.0 + one.works[0].moved.dram / 1e9));
    CHECK(one.joules ==
          doctest::Approx(qtk::predicted_energy(one, qtk::horowitz_45nm{}, 7.0).count()));
}

TEST_CASE("a plan of nothing is refused") {
    double const nan = std::numeric_limits<double>::quiet_NaN();
    for (auto const& how :
         {qtk::plan_options{.formats = {}}, qtk::plan_options{.macs = nan},
          qtk::plan_options{.replicates = 0}, qtk::plan_options{.pause_seconds = 0.0}})
        CHECK_THROWS_WITH_AS((void)qtk::calibration_plan(how), doctest::Contains("at least one"),
                             qtk::value_error);
}
