// SPDX-License-Identifier: Apache-2.0
#include <qtk/energy/calibration.hpp>
// The header under test comes first, so that it is seen to need nothing else.
#include <qtk/energy/calibration_plan.hpp>
#include <qtk/energy/trace_meter.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

using qtk::operand;

namespace {

/// What the machine of the trace really needs.
qtk::coefficient_table planted() {
    qtk::coefficient_table table;
    table.name = "planted", table.citation = "this test";
    table.integer.mul = {{4, 8, 45.0}, {8, 8, 60.0}};
    table.floating.mul = {{32, 32, 150.0}};
    table.bfloat.mul = {{16, 16, 90.0}};
    table.bit_picojoules = {40.0, 4.0, 1.5, 0.0};
    table.static_watts = 15.0;
    return table;
}

/// Runs a plan on the planted machine: a trace with one point a run, whose energy is off by
/// `noise` (relative, normal), and a meter that is read before and after each.
std::vector<qtk::kernel_observation> measured(double noise, std::uint64_t seed,
                                              std::size_t replicates = 3) {
    auto machine = qtk::priced_hierarchy();
    machine.memories.pop_back();
    auto const table = planted();
    auto runs = qtk::expected_observations(qtk::calibration_plan({.replicates = replicates}),
                                           machine, table, {.watts = table.static_watts});
    auto const normal = qtk::gaussian_vector(runs.size(), seed);
    std::vector<qtk::trace_point> trace{{0.0, 0.0}};
    for (std::size_t i = 0; i < runs.size(); ++i)
        trace.push_back({trace.back().seconds + runs[i].seconds,
                         trace.back().joules +
                             runs[i].joules * (1.0 + noise * static_cast<double>(normal[i]))});
    qtk::trace_meter meter(trace);
    for (auto& run : runs)
        run.joules =
            qtk::measured_energy(meter, [&] { meter.advance(run.seconds); }).value().count();
    return runs;
}

double planted_value(std::string const& name) {
    auto const table = planted();
    if (name == "time") return table.static_watts;
    if (name == "bits dram") return table.bit_picojoules[0];
    if (name == "bits sram_1mib") return table.bit_picojoules[1];
    if (name == "bits sram_32kib") return table.bit_picojoules[2];
    if (name == "mul float 32x32") return table.floating.mul[0].picojoules;
    if (name == "mul bfloat 16x16") return table.bfloat.mul[0].picojoules;
    if (name == "mul integer 8x8") return table.integer.mul[1].picojoules;
    REQUIRE(name == "mul integer 4x8");
    return table.integer.mul[0].picojoules;
}

}  // namespace

TEST_CASE("without noise the planted coefficients come back, and everything fits") {
    auto const table = qtk::calibrate(measured(0.0, 0), {"fit", "2026-01-31", "here", "trace"});
    REQUIRE(table.calibration.has_value());
    auto const& record = *table.calibration;
    CHECK(record.coefficients.size() == 8);
    // The trace is a running sum of 1e4 J in doubles, the condition about 10.
    for (auto const& one : record.coefficients)
        CHECK(one.estimate.value == doctest::Approx(planted_value(one.name)).epsilon(1e-9));
    CHECK(record.r_squared == doctest::Approx(1.0).epsilon(1e-12));
    CHECK(record.mape < 1e-11);
    CHECK(record.fitted == 77);
    CHECK(record.held_out == 19);
    CHECK(record.condition < 20.0);
    CHECK(table.name == "fit");
    CHECK(table.citation == "fitted to 77 observations of trace on here, 2026-01-31");
    CHECK(table.static_watts == doctest::Approx(15.0));
}

TEST_CASE("a fitted table is a table: it prices new work as the planted one does") {
    auto const table = qtk::calibrate(measured(0.0, 0), {"fit", "", "", "trace"});
    qtk::layer_work const work{.macs = 1e6,
                               .weight = operand::integer(4),
                               .activation = operand::integer(8),
                               .accumulator = operand::integer(32),
                               .moved = {.dram = 1e6, .sram_32kib = 2e6}};
    auto const energy = qtk::estimate_energy(std::vector{work}, table);
    CHECK(energy.table == "fit");
    CHECK(energy.total().picojoules() == doctest::Approx(1e6 * (45 + 40 + 2 * 1.5)));
}

TEST_CASE("with noise, intervals hold the planted coefficients about as often as they say") {
    std::size_t held = 0, all = 0;
    double narrowest = 1.0;
    for (std::uint64_t seed = 1; seed <= 40; ++seed) {
        auto const table = qtk::calibrate(
            measured(0.03, seed), {"fit", "", "", "trace"},
            {.split_seed = seed, .bootstrap = {.resamples = 400, .level = 0.95, .seed = seed}});
        auto const& record = *table.calibration;
        for (auto const& [name, unit, estimate] : record.coefficients) {
            double const truth = planted_value(name);
            ++all;
            held += estimate.low <= truth && truth <= estimate.high ? 1 : 0;
            narrowest = std::min(narrowest, (estimate.high - estimate.low) / truth);
            // An interval that holds everything would hold the truth too.
            CHECK(estimate.high - estimate.low < truth);
        }
        // The noise is 3 %, whose mean magnitude is sqrt(2 / pi) of that: 2.4 %; of 19 values it
        // scatters by a fifth.
        CHECK(record.mape > 0.024 * 0.4);
        CHECK(record.mape < 0.024 * 1.9);
        CHECK(record.r_squared > 0.99);
    }
    MESSAGE("coverage " << held << " of " << all);
    CHECK(all == 40 * 8);
    CHECK(static_cast<double>(held) >= 0.9 * static_cast<double>(all));
    CHECK(narrowest > 0.0);
}

TEST_CASE("the level of the percentiles is wider than asked for, and the less so the more rows") {
    // 20 rows, 4 coefficients: t(0.95, 16) = 2.1199, times sqrt(20 / 16) is 2.3701 sigma: 98.22 %.
    CHECK(qtk::detail::expanded_level(0.95, 20, 4) == doctest::Approx(0.98222).epsilon(1e-4));
    CHECK(qtk::detail::expanded_level(0.95, 100000, 4) == doctest::Approx(0.95).epsilon(1e-4));
    CHECK(qtk::detail::expanded_level(0.95, 4, 4) == 0.95);
}

TEST_CASE("what costs nothing is zero and never negative") {
    auto observations = measured(0.02, 5);
    // One of the formats turns out to be free.
    for (auto& one : observations)
        for (auto const& work : one.works)
            if (multiplication_column(work).name() == "mul integer 4x8")
                one.joules -= 45e-12 * work.macs;
    auto const table = qtk::calibrate(observations, {"fit", "", "", "trace"});
    for (auto const& one : table.calibration->coefficients) {
        CHECK(one.estimate.low >= 0.0);
        CHECK(one.estimate.value >= 0.0);
    }
    CHECK(table.integer.mul[0].picojoules < 10.0);
}

TEST_CASE("the same observations and seeds give the same table") {
    auto const observations = measured(0.03, 9);
    qtk::calibration_source const from{"fit", "", "", "trace"};
    CHECK(qtk::calibrate(observations, from) == qtk::calibrate(observations, from));
    CHECK_FALSE(qtk::calibrate(observations, from) ==
                qtk::calibrate(observations, from, {.split_seed = 1}));
}

TEST_CASE("the split is the stated share, with nothing in both parts and nothing lost") {
    for (std::size_t const n : {2u, 3u, 10u, 77u}) {
        auto const split = qtk::split_of(n);
        CHECK(split.held_out.size() == std::max<std::size_t>(1, n / 5));
        std::set<std::size_t> all(split.fitted.begin(), split.fitted.end());
        all.insert(split.held_out.begin(), split.held_out.end());
        CHECK(all.size() == n);
        CHECK(split.fitted.size() + split.held_out.size() == n);
    }
    CHECK_THROWS_AS((void)qtk::split_of(1), qtk::value_error);
    CHECK_THROWS_AS((void)qtk::split_of(10, {.held_out = 0.0}), qtk::value_error);
    CHECK_THROWS_AS((void)qtk::split_of(10, {.held_out = 1.0}), qtk::value_error);
}

TEST_CASE("R^2 is 1 for a perfect prediction and 0 for the mean") {
    double const measured_values[] = {1.0, 2.0, 6.0}, means[] = {3.0, 3.0, 3.0};
    CHECK(qtk::r_squared(measured_values, measured_values) == 1.0);
    CHECK(qtk::r_squared(measured_values, means) == 0.0);
    CHECK_THROWS_AS((void)qtk::r_squared(measured_values, std::vector<double>{1.0}),
                    qtk::shape_error);
}

TEST_CASE("observations that cannot tell coefficients apart are refused with the two") {
    auto observations = measured(0.0, 0);
    for (auto& one : observations) {
        for (auto& work : one.works) work.moved.sram_1mib = 2.0 * work.moved.sram_32kib;
    }
    CHECK_THROWS_WITH_AS((void)qtk::calibrate(observations, {"fit", "", "", "trace"}),
                         doctest::Contains("bits sram_1mib and bits sram_32kib"), qtk::value_error);
}

TEST_CASE("too few observations, impossible ones and seldom ones are refused") {
    auto observations = measured(0.0, 0);
    qtk::calibration_source const from{"fit", "", "", "trace"};
    CHECK_THROWS_WITH_AS((void)qtk::calibrate(std::span(observations).first(5), from),
                         doctest::Contains("observations to fit"), qtk::value_error);
    auto const out = qtk::split_of(observations.size()).held_out[0];
    auto const kept = observations[out];
    observations[out].joules = -1.0;
    CHECK_THROWS_WITH_AS((void)qtk::calibrate(observations, from), doctest::Contains("-1.0"),
                         qtk::value_error);
    observations[out] = kept;
    observations[out].works.push_back(
        {.macs = 1.0, .weight = operand::integer(2), .activation = operand::integer(2)});
    CHECK_THROWS_WITH_AS((void)qtk::calibrate(observations, from),
                         doctest::Contains("mul integer 2x2 occurs in held-out"), qtk::value_error);
    observations[out] = kept;
    CHECK_THROWS_WITH_AS((void)qtk::calibrate(observations, {"", "", "", "trace"}),
                         doctest::Contains("no name"), qtk::value_error);
}
