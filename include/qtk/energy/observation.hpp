// SPDX-License-Identifier: Apache-2.0
//
// What did a kernel do between two readings of a meter? Its work, its time and its joules; and, for
// many of them, the table of amounts that coefficients are fitted to: multiplications by kind and
// size, bits by memory, seconds. Additions have no column of their own: a multiply-accumulate does
// one of each, so no observation could tell them apart, and the multiplication's price holds both.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/core/matrix_view.hpp>
#include <qtk/energy/joules.hpp>
#include <qtk/energy/model.hpp>
#include <qtk/energy/table.hpp>
#include <qtk/energy/work.hpp>
#include <qtk/math/singular_values.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <compare>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace qtk {

/// Everything between two readings: kernels one after the other, pauses included in the time.
struct kernel_observation {
    std::string name;
    std::vector<layer_work> works;
    double seconds = 0.0;
    double joules = 0.0;  ///< measured, idle power not subtracted
};

/// What one coefficient multiplies.
struct energy_column {
    enum class what { multiplication, bits, time };

    what counts = what::time;
    arithmetic kind = arithmetic::integer;     ///< of a multiplication
    int weight_bits = 0, activation_bits = 0;  ///< the narrower width first
    memory_level level = memory_level::dram;   ///< of bits

    /// By what, kind and size, then level: prices of one kind come out in rising order.
    friend constexpr std::strong_ordering operator<=>(energy_column const& a,
                                                      energy_column const& b) noexcept {
        if (auto const order = a.counts <=> b.counts; order != 0) return order;
        if (auto const order = a.kind <=> b.kind; order != 0) return order;
        if (auto const order = a.size() <=> b.size(); order != 0) return order;
        return a.level <=> b.level;
    }
    friend constexpr bool operator==(energy_column const& a, energy_column const& b) noexcept {
        return (a <=> b) == 0;
    }

    /// Multiplications of one kind and one product of widths are one column: the model prices them
    /// alike.
    [[nodiscard]] constexpr int size() const noexcept { return weight_bits * activation_bits; }

    /// "mul integer 4x8", "bits dram", "time".
    [[nodiscard]] std::string name() const {
        if (counts == what::time) return "time";
        if (counts == what::bits) return "bits " + std::string(to_string(level));
        std::string_view const of = kind == arithmetic::integer      ? "integer "
                                    : kind == arithmetic::ieee_float ? "float "
                                                                     : "bfloat ";
        return "mul " + std::string(of) + std::to_string(weight_bits) + "x" +
               std::to_string(activation_bits);
    }
    [[nodiscard]] std::string unit() const {
        return counts == what::time ? "W" : counts == what::bits ? "pJ/bit" : "pJ";
    }
    /// Joules a unit of the coefficient.
    [[nodiscard]] constexpr double joules_per_unit() const noexcept {
        return counts == what::time ? 1.0 : 1e-12;
    }
};

/// The column of this layer's multiplications; codes of a codebook count as what they become.
[[nodiscard]] constexpr energy_column multiplication_column(layer_work const& work) {
    auto const [a, b] = computed_as(work.weight, work.activation);
    return {.counts = energy_column::what::multiplication,
            .kind = a.kind,
            .weight_bits = std::min(a.bits, b.bits),
            .activation_bits = std::max(a.bits, b.bits)};
}

/// How much of this column is in the observation: multiplications, bits or seconds.
[[nodiscard]] inline double amount_of(energy_column const& column,
                                      kernel_observation const& observation) {
    if (column.counts == energy_column::what::time) return observation.seconds;
    double sum = 0.0;
    for (layer_work const& work : observation.works) {
        if (column.counts == energy_column::what::bits)
            sum += work.moved.at(column.level);
        else if (multiplication_column(work) == column)
            sum += work.macs;
    }
    return sum;
}

/// The columns that are not zero in all observations, in order.
[[nodiscard]] inline std::vector<energy_column> columns_in(
    std::span<kernel_observation const> observations) {
    std::vector<energy_column> columns;
    for (auto const& one : observations) {
        if (one.seconds > 0.0) columns.push_back({});
        for (layer_work const& work : one.works) {
            if (work.macs > 0.0) columns.push_back(multiplication_column(work));
            for (memory_level const level : memory_levels)
                if (work.moved.at(level) > 0.0)
                    columns.push_back({.counts = energy_column::what::bits, .level = level});
        }
    }
    std::sort(columns.begin(), columns.end());
    columns.erase(std::unique(columns.begin(), columns.end()), columns.end());
    return columns;
}

/// Amounts as joules a unit of the coefficient, each row divided by its measured joules: a fit to
/// rows of 1 then has errors relative to each observation, as those of meters are.
struct relative_amounts {
    std::vector<energy_column> columns;
    std::size_t rows = 0;
    std::vector<double> values;  ///< [rows, columns]

    [[nodiscard]] matrix_view<double const> view() const noexcept {
        return {values.data(), rows, columns.size()};
    }
    [[nodiscard]] std::span<double const> row(std::size_t r) const noexcept {
        return view().row(r);
    }
    /// How well observations tell the columns apart: 1 perfectly, above 1000 hardly. A relative
    /// error of joules may grow by this factor in a coefficient.
    [[nodiscard]] double condition() const { return column_condition(view()); }

    /// The two columns with the smallest angle between them, for a message.
    [[nodiscard]] std::string most_alike() const {
        auto const unit = detail::column_vectors(view(), true);
        double largest = -1.0;
        std::string names;
        for (std::size_t i = 0; i < unit.size(); ++i)
            for (std::size_t j = 0; j < i; ++j) {
                double cosine = 0.0;
                for (std::size_t r = 0; r < rows; ++r) cosine += unit[i][r] * unit[j][r];
                if (cosine > largest)
                    largest = cosine, names = columns[j].name() + " and " + columns[i].name();
            }
        return names;
    }
};

/// value_error naming the observation whose time, joules or counts cannot be (a measured energy is
/// above zero).
[[nodiscard]] inline relative_amounts amounts_of(std::span<kernel_observation const> observations,
                                                 std::span<energy_column const> columns) {
    relative_amounts result{
        .columns = {columns.begin(), columns.end()}, .rows = observations.size(), .values = {}};
    for (auto const& one : observations) {
        if (!(one.joules > 0.0) || !std::isfinite(one.joules) || !(one.seconds >= 0.0) ||
            !std::isfinite(one.seconds))
            throw value_error("observation \"" + one.name + "\": " + std::to_string(one.joules) +
                              " J in " + std::to_string(one.seconds) +
                              " s; expected energy above zero and a finite time");
        for (auto const& column : columns) {
            double const amount = amount_of(column, one);
            if (!(amount >= 0.0) || !std::isfinite(amount))
                throw value_error("observation \"" + one.name + "\": " + column.name() + " is " +
                                  std::to_string(amount) + "; expected a finite count");
            result.values.push_back(amount * column.joules_per_unit() / one.joules);
        }
    }
    return result;
}

/// What a table says this observation used; its time at `static_watts`.
template <energy_table Table>
[[nodiscard]] joules predicted_energy(kernel_observation const& observation, Table const& table,
                                      double static_watts = 0.0) {
    return estimate_energy(
               std::span(observation.works), table,
               {.watts = static_watts, .time = std::chrono::duration<double>(observation.seconds)})
        .total();
}

}  // namespace qtk
