// SPDX-License-Identifier: Apache-2.0
//
// What should run while the meter runs, so that its joules can be told apart? Products of matrices
// in every number format, in shapes that differ in what they ask for: one row whose weights come
// from far away or lie near, many rows that multiply what they have, and pauses that do nothing but
// take time. Runs are repeated back to back until they have a given number of multiplications.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/energy/hierarchy.hpp>
#include <qtk/energy/observation.hpp>
#include <qtk/energy/work.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace qtk {

/// One run between two readings.
struct planned_run {
    std::string name;
    matrix_product product;
    std::size_t repeats = 0;     ///< 0: only the pause
    double pause_seconds = 0.0;  ///< idle time inside the reading, after the work
};

struct plan_options {
    /// Which products the device runs: weight and activation.
    std::vector<multiplication> formats = {
        {operand::floating(32), operand::floating(32)},
        {operand::bfloat16(), operand::bfloat16()},
        {operand::integer(8), operand::integer(8)},
        {operand::integer(4), operand::integer(8)},
    };
    /// Multiplications of one run: enough for seconds.
    double macs = 1e11;
    /// Every shape runs this often; odd ones pause.
    std::size_t replicates = 2;
    double pause_seconds = 1.0;
};

/// The runs, shapes inside formats inside replicates, and `formats` pauses alone a replicate.
[[nodiscard]] inline std::vector<planned_run> calibration_plan(plan_options const& how = {}) {
    if (how.formats.empty() || !(how.macs >= 1.0) || !std::isfinite(how.macs) ||
        how.replicates == 0 || !(how.pause_seconds > 0.0) || !std::isfinite(how.pause_seconds))
        throw value_error("calibration plan: " + std::to_string(how.formats.size()) + " formats, " +
                          std::to_string(how.macs) + " multiplications, " +
                          std::to_string(how.replicates) + " replicates, pauses of " +
                          std::to_string(how.pause_seconds) + " s; expected at least one of each");
    struct shape {
        char const* name;
        std::size_t m, n, k;
    };
    // Rows decide how often a weight is used once it is there; the size of the weight decides where
    // it lies when the run is repeated.
    constexpr shape shapes[] = {{"far, one row", 1, 4096, 4096},    {"far, 8 rows", 8, 4096, 4096},
                                {"far, 512 rows", 512, 2048, 2048}, {"near, one row", 1, 384, 384},
                                {"near, 64 rows", 64, 384, 384},    {"nearest, one row", 1, 64, 64},
                                {"nearest, 32 rows", 32, 64, 64}};
    std::vector<planned_run> plan;
    for (std::size_t replicate = 0; replicate < how.replicates; ++replicate)
        for (auto const& [weight, activation] : how.formats) {
            for (shape const& one : shapes) {
                double const macs = static_cast<double>(one.m * one.n * one.k);
                plan.push_back({.name = std::to_string(weight.bits) + "x" +
                                        std::to_string(activation.bits) + ", " + one.name,
                                .product = {.m = one.m,
                                            .n = one.n,
                                            .k = one.k,
                                            .weight = weight,
                                            .activation = activation,
                                            .output_bits = static_cast<double>(
                                                accumulator_of(weight, activation).bits)},
                                .repeats = static_cast<std::size_t>(std::ceil(how.macs / macs)),
                                .pause_seconds = replicate % 2 == 1 ? how.pause_seconds : 0.0});
            }
            plan.push_back(
                {.name = "pause",
                 .product = {},
                 .repeats = 0,
                 .pause_seconds = how.pause_seconds * static_cast<double>(1 + replicate)});
        }
    return plan;
}

/// The work of a run on this machine. A product that fits into a memory as a whole is fetched from
/// beyond it once, not once a repeat. None for a pause.
[[nodiscard]] inline std::vector<layer_work> work_of(planned_run const& run,
                                                     memory_hierarchy const& machine) {
    if (run.repeats == 0) return {};
    auto const repeats = static_cast<double>(run.repeats);
    layer_work work = work_of(run.product, machine);
    work.macs *= repeats;
    work.weights *= repeats;
    detail::tiled_product const p(run.product);
    double const whole = p.traffic(1.0, 1.0).total();
    for (std::size_t i = 0; i < machine.memories.size(); ++i) {
        bool const is_nearest = i + 1 == machine.memories.size();
        double const near =
            8.0 * (is_nearest ? machine.register_bytes : machine.memories[i + 1].bytes);
        if (whole > near) work.moved.at(machine.memories[i].level) *= repeats;
    }
    return {work};
}

/// How fast a device is, roughly: what a run's time is guessed from before it has run.
struct rough_rates {
    double macs_per_second = 1e11;  ///< of 32-bit products; narrower ones in proportion
    double dram_bits_per_second = 1.6e11;
    double watts = 20.0;  ///< static
};

/// What the observations of a plan will be like: times from a roofline, joules from a table and the
/// static power. For looking at the plan's condition before hours of measuring.
template <energy_table Table>
[[nodiscard]] std::vector<kernel_observation> expected_observations(
    std::span<planned_run const> plan, memory_hierarchy const& machine, Table const& table,
    rough_rates const& rates = {}) {
    std::vector<kernel_observation> expected;
    for (planned_run const& run : plan) {
        kernel_observation one{.name = run.name,
                               .works = work_of(run, machine),
                               .seconds = run.pause_seconds,
                               .joules = 0.0};
        for (layer_work const& work : one.works) {
            auto const [a, b] = computed_as(work.weight, work.activation);
            double const compute =
                work.macs / rates.macs_per_second * std::max(a.bits, b.bits) / 32;
            one.seconds += std::max(compute, work.moved.dram / rates.dram_bits_per_second);
        }
        one.joules = predicted_energy(one, table, rates.watts).count();
        expected.push_back(std::move(one));
    }
    return expected;
}

}  // namespace qtk
