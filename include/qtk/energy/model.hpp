// SPDX-License-Identifier: Apache-2.0
//
// How much energy does this network need? An estimate from counted work and a named table, never a
// measurement:
//
//     E = sum over layers of  macs (e_mul(bw, ba) + e_add(acc))  +  sum over memories of bits e_bit
//         + static power x time
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/energy/joules.hpp>
#include <qtk/energy/table.hpp>
#include <qtk/energy/work.hpp>

#include <chrono>
#include <cmath>
#include <cstddef>
#include <span>
#include <string>

namespace qtk {

/// Where the energy goes, and whose coefficients say so.
struct energy_estimate {
    joules compute = {}, dram = {}, sram = {}, idle = {};
    /// Name of the coefficient table; reports print it beside every figure.
    std::string table = {};

    [[nodiscard]] joules total() const noexcept { return compute + dram + sram + idle; }
};

/// What is drawn while nothing switches: leakage, refresh, fans. None by default.
struct static_power {
    double watts = 0.0;
    std::chrono::duration<double> time{0.0};
};

/// The energy of all layers under `table`; value_error for counts that are negative or not
/// finite (with the layer) and for widths that no number has.
template <energy_table Table>
[[nodiscard]] energy_estimate estimate_energy(std::span<layer_work const> layers,
                                              Table const& table, static_power idle = {}) {
    auto const is_count = [](double value) { return value >= 0.0 && std::isfinite(value); };
    if (!is_count(idle.watts) || !is_count(idle.time.count()))
        throw value_error("energy: static power of " + std::to_string(idle.watts) + " W over " +
                          std::to_string(idle.time.count()) +
                          " s; expected finite values of at least zero");

    energy_estimate sum{.idle = power_over(idle.watts, idle.time),
                        .table = std::string(std::string_view(table.name))};
    for (std::size_t i = 0; i < layers.size(); ++i) {
        layer_work const& work = layers[i];
        traffic const bits = table.moved(work);
        if (!is_count(work.macs) || !is_count(work.weights) || !is_count(bits.dram) ||
            !is_count(bits.sram_1mib) || !is_count(bits.sram_32kib) || !is_count(bits.sram_8kib))
            throw value_error("energy: a count of layer " + std::to_string(i) +
                              " is negative or not finite");
        // Also of the weight that is decoded before it meets a multiplier.
        for (operand const number : {work.weight, work.activation, work.accumulator})
            (void)detail::width(number);
        sum.compute +=
            work.macs * (table.e_mul(work.weight, work.activation) + table.e_add(work.accumulator));
        sum.dram += bits.dram * table.e_bit(memory_level::dram);
        sum.sram += bits.sram_1mib * table.e_bit(memory_level::sram_1mib) +
                    bits.sram_32kib * table.e_bit(memory_level::sram_32kib) +
                    bits.sram_8kib * table.e_bit(memory_level::sram_8kib);
    }
    return sum;
}

/// The same with a table that needs no values of its own: `estimate_energy<horowitz_45nm>(layers)`.
template <energy_table Table>
[[nodiscard]] energy_estimate estimate_energy(std::span<layer_work const> layers,
                                              static_power idle = {}) {
    return estimate_energy(layers, Table{}, idle);
}

/// The share of `baseline` that is saved, 0.876 for 87.6 %; value_error where the tables differ or
/// the baseline needs no energy.
[[nodiscard]] inline double savings(energy_estimate const& baseline,
                                    energy_estimate const& reduced) {
    if (baseline.table != reduced.table)
        throw value_error("energy: cannot compare joules of the table " + baseline.table +
                          " with joules of the table " + reduced.table);
    if (!(baseline.total() > joules{}))
        throw value_error("energy: no savings against a baseline of " +
                          to_string(baseline.total()));
    return 1.0 - reduced.total() / baseline.total();
}

}  // namespace qtk
