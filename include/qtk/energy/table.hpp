// SPDX-License-Identifier: Apache-2.0
//
// What does one operation cost? The contract of a coefficient table, and the rule that fills the
// gaps between published figures. The tables themselves are in <qtk/energy/published.hpp>; a table
// fitted to a meter is one more model of the same concept.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/energy/joules.hpp>
#include <qtk/energy/work.hpp>

#include <cmath>
#include <concepts>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace qtk {

/// A named, cited set of coefficients. `moved` says which of a layer's bits the table charges for,
/// because coefficients only mean something together with the traffic they were made for.
template <typename T>
concept energy_table = requires(T const table, operand number, memory_level level,
                                layer_work const& work) {
    { table.name } -> std::convertible_to<std::string_view>;
    { table.citation } -> std::convertible_to<std::string_view>;
    { table.e_mul(number, number) } -> std::same_as<joules>;
    { table.e_add(number) } -> std::same_as<joules>;
    { table.e_bit(level) } -> std::same_as<joules>;
    { table.moved(work) } -> std::same_as<traffic>;
};

/// The line that a report prints above joules: whose coefficients, from where, and what they leave
/// out. A table says the last in a member `ignores`; one without it is reported to be silent.
template <energy_table Table>
[[nodiscard]] std::string report_line(Table const& table) {
    std::string line = "energy table " + std::string(std::string_view(table.name)) + ": " +
                       std::string(std::string_view(table.citation)) + "; ";
    if constexpr (requires { std::string_view(table.ignores); })
        if (!std::string_view(table.ignores).empty())
            return line + "ignores " + std::string(std::string_view(table.ignores));
    return line + "does not say what it ignores";
}

namespace detail {

/// A published figure: the energy of an operation of a given size (adders: width; multipliers:
/// product of both widths).
struct priced_size {
    double size;
    double picojoules;
};

/// Straight lines from nothing through the published points, in order of size; above the last one
/// in proportion to it. Exact at every point.
[[nodiscard]] constexpr joules price(std::span<priced_size const> points, double size) {
    priced_size below{0.0, 0.0};
    for (priced_size const& point : points) {
        if (size <= point.size)
            return picojoules(std::lerp(below.picojoules, point.picojoules,
                                        (size - below.size) / (point.size - below.size)));
        below = point;
    }
    return picojoules(below.picojoules * (size / below.size));
}

/// The width of a number, or value_error where no circuit has it.
[[nodiscard]] constexpr double width(operand number) {
    if (number.bits < 1 || number.bits > 64)
        throw value_error("energy: a number of " + std::to_string(number.bits) +
                          " bits has no price; expected 1 to 64 bits");
    return number.bits;
}

/// The same for an adder's input; a code of a codebook cannot be added.
[[nodiscard]] constexpr double adder_width(operand number) {
    if (number.kind == arithmetic::codebook)
        throw value_error(
            "energy: codes of a codebook cannot be summed; expected an accumulator "
            "of integers or floats");
    return width(number);
}

}  // namespace detail

}  // namespace qtk
