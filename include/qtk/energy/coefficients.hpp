// SPDX-License-Identifier: Apache-2.0
//
// What if the coefficients are only known at run time? A table as data: a user's own figures, or
// those fitted to a meter, with where they come from. Between its points it prices as the published
// tables do: a multiplier in proportion to the product of its two widths, an adder to its width,
// piecewise straight through the points and from the origin to the first.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/energy/joules.hpp>
#include <qtk/energy/table.hpp>
#include <qtk/energy/work.hpp>
#include <qtk/stats/bootstrap.hpp>

#include <array>
#include <cmath>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace qtk {

/// A multiplication of numbers of these widths. Only the product of the widths counts.
struct multiplication_price {
    int weight_bits, activation_bits;
    double picojoules;
    [[nodiscard]] constexpr double size() const noexcept {
        return static_cast<double>(weight_bits) * activation_bits;
    }
    friend constexpr bool operator==(multiplication_price const&,
                                     multiplication_price const&) = default;
};

struct addition_price {
    int bits;
    double picojoules;
    [[nodiscard]] constexpr double size() const noexcept { return bits; }
    friend constexpr bool operator==(addition_price const&, addition_price const&) = default;
};

/// The prices of one kind of arithmetic, small before large. No additions: they are inside the
/// multiplications.
struct arithmetic_prices {
    std::vector<multiplication_price> mul;
    std::vector<addition_price> add;
    friend bool operator==(arithmetic_prices const&, arithmetic_prices const&) = default;
};

/// A fitted coefficient with its interval.
struct fitted_coefficient {
    std::string name;            ///< "mul integer 8x8", "dram", "static"
    std::string unit;            ///< "pJ", "pJ/bit", "W"
    interval_estimate estimate;  ///< in that unit
    friend bool operator==(fitted_coefficient const&, fitted_coefficient const&) = default;
};

/// How a fitted table came about, and how good it is.
struct calibration_record {
    std::string date, machine, meter;
    double r_squared = 0.0;  ///< of the observations that were fitted
    double mape = 0.0;       ///< of those held out: mean |predicted - measured| / measured
    double condition = 0.0;  ///< of the fitted columns at length 1
    double level = 0.95;     ///< of the intervals
    std::size_t fitted = 0, held_out = 0;  ///< observations
    std::vector<fitted_coefficient> coefficients;
    friend bool operator==(calibration_record const&, calibration_record const&) = default;
};

/// Models energy_table.
struct coefficient_table {
    std::string name, citation, ignores;
    arithmetic_prices integer, floating, bfloat;  ///< bfloat without prices: those of floating
    std::array<double, std::size(memory_levels)> bit_picojoules{};  ///< by memory_level
    double static_watts = 0.0;  ///< for estimate_energy(..., {.watts = static_watts, .time = ...})
    std::optional<calibration_record> calibration;

    /// Integer prices price integers alone; value_error where the table has none for this kind.
    [[nodiscard]] joules e_mul(operand weight, operand activation) const {
        auto const [a, b] = computed_as(weight, activation);
        double const size = detail::width(a) * detail::width(b);
        auto const& points = prices(a.kind).mul;
        if (points.empty())
            throw value_error("energy: the table " + name + " has no price for products of " +
                              (a.is_float() ? "floats" : "integers"));
        return priced(points, size);
    }
    [[nodiscard]] joules e_add(operand number) const {
        double const size = detail::adder_width(number);
        return priced(prices(number.kind).add, size);
    }
    [[nodiscard]] joules e_bit(memory_level level) const noexcept {
        return picojoules(bit_picojoules[static_cast<std::size_t>(level)]);
    }
    [[nodiscard]] traffic moved(layer_work const& work) const noexcept { return work.moved; }

    friend bool operator==(coefficient_table const&, coefficient_table const&) = default;

  private:
    [[nodiscard]] arithmetic_prices const& prices(arithmetic kind) const noexcept {
        if (kind == arithmetic::integer) return integer;
        bool const has_own = !bfloat.mul.empty() || !bfloat.add.empty();
        return kind == arithmetic::bfloat && has_own ? bfloat : floating;
    }
    template <typename Price>
    [[nodiscard]] static joules priced(std::vector<Price> const& prices, double size) {
        if (prices.empty()) return joules{};
        std::vector<detail::priced_size> points;
        for (Price const& price : prices) points.push_back({price.size(), price.picojoules});
        return detail::price(points, size);
    }
};
static_assert(energy_table<coefficient_table>);

/// Throws value_error for a table that cannot price: without a name, without a source, with a
/// price that is negative or no number, with sizes that no circuit has or that are out of order.
inline void require_table(coefficient_table const& table) {
    auto const refuse = [&](std::string const& why) {
        throw value_error("energy table \"" + table.name + "\": " + why);
    };
    if (table.name.empty()) refuse("it has no name");
    if (table.citation.empty()) refuse("it has no citation; say where the figures come from");
    auto const require_price = [&](double value, std::string const& what) {
        if (!(value >= 0.0) || !std::isfinite(value))
            refuse(what + " costs " + std::to_string(value) +
                   "; expected a finite value of at least zero");
    };
    auto const require_points = [&](auto const& points, std::string const& what) {
        double before = 0.0;
        for (auto const& point : points) {
            require_price(point.picojoules, what);
            if (!(point.size() > before))
                refuse(what + " of size " + std::to_string(point.size()) + " after one of " +
                       std::to_string(before) + "; expected rising sizes");
            before = point.size();
        }
    };
    auto const require_kind = [&](arithmetic_prices const& kind, std::string const& what) {
        for (auto const& point : kind.mul)
            for (int const bits : {point.weight_bits, point.activation_bits})
                if (bits < 1 || bits > 64)
                    refuse(what + " multiplication: " + std::to_string(bits) +
                           " bits; expected 1 to 64");
        for (auto const& point : kind.add)
            if (point.bits < 1 || point.bits > 64)
                refuse(what + " addition: " + std::to_string(point.bits) +
                       " bits; expected 1 to 64");
        require_points(kind.mul, what + " multiplication");
        require_points(kind.add, what + " addition");
    };
    require_kind(table.integer, "integer");
    require_kind(table.floating, "float");
    require_kind(table.bfloat, "bfloat");
    for (memory_level const level : memory_levels)
        require_price(table.bit_picojoules[static_cast<std::size_t>(level)],
                      "a bit of " + std::string(to_string(level)));
    require_price(table.static_watts, "a second of static power");
}

}  // namespace qtk
