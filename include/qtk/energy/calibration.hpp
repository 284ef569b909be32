// SPDX-License-Identifier: Apache-2.0
//
// What do operations cost on this machine? Observations of kernels under a meter become a table of
// coefficients, none below zero:
//
//     minimize  sum over observations of ((sum over columns of amount x coefficient - joules) / joules)^2
//
// (Lawson and Hanson's NNLS; errors are relative, because those of meters are; to divide by what was
// measured makes coefficients too small by twice the square of that error: 0.2 % at 3 %). The intervals are
// percentile bootstraps over observations, a little widened (see expanded_level): they hold what the
// scatter of the observations says, not an error that all of them share, such as a meter that sees
// the processor and not its memory. On planted coefficients 95 % intervals cover 93 to 94 %.
// A part of the observations is held out, and the mean error of the fit on them is the figure to
// believe.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/core/random.hpp>
#include <qtk/energy/coefficients.hpp>
#include <qtk/energy/observation.hpp>
#include <qtk/math/nnls.hpp>
#include <qtk/stats/bootstrap.hpp>
#include <qtk/stats/student.hpp>
#include <qtk/stats/summary.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace qtk {

struct calibration_options {
    /// The split: observations are shuffled with this seed, and the first `held_out` of them, rounded
    /// down but at least one, are not fitted.
    double held_out = 0.2;
    std::uint64_t split_seed = 0;
    bootstrap_options bootstrap = {.resamples = 1000};
    /// A fit whose columns are less distinct is refused; see relative_amounts::condition().
    double most_condition = 1000.0;
};

/// What the table is called and what was measured, where and when.
struct calibration_source {
    std::string name, date, machine, meter;
};

/// Which observations are fitted and which held out, each in ascending order.
struct observation_split {
    std::vector<std::size_t> fitted, held_out;
};

/// value_error where the share is none or leaves nothing on one side.
[[nodiscard]] inline observation_split split_of(std::size_t observations,
                                                calibration_options const& how = {}) {
    if (!(how.held_out > 0.0 && how.held_out < 1.0) || observations < 2)
        throw value_error("calibration: " + std::to_string(how.held_out) + " of " +
                          std::to_string(observations) +
                          " observations held out; expected a share between 0 and 1 of at least 2");
    std::vector<std::size_t> order(observations);
    std::iota(order.begin(), order.end(), std::size_t{0});
    splitmix64 random(how.split_seed);
    for (std::size_t i = observations; i > 1; --i)
        std::swap(order[i - 1], order[static_cast<std::size_t>(uniform_index(random, i))]);
    auto const out = std::clamp<std::size_t>(
        static_cast<std::size_t>(how.held_out * static_cast<double>(observations)), 1,
        observations - 1);
    auto const border = order.begin() + static_cast<std::ptrdiff_t>(out);
    observation_split split{.fitted = {border, order.end()}, .held_out = {order.begin(), border}};
    std::sort(split.fitted.begin(), split.fitted.end());
    std::sort(split.held_out.begin(), split.held_out.end());
    return split;
}

/// 1 - (squares of what a prediction misses) / (squares around the mean).
[[nodiscard]] inline double r_squared(std::span<double const> measured,
                                      std::span<double const> predicted) {
    if (measured.size() != predicted.size())
        throw shape_error("R^2: " + std::to_string(measured.size()) + " measured values against " +
                          std::to_string(predicted.size()));
    double const center = mean(measured);
    compensated_sum missed, around;
    for (std::size_t i = 0; i < measured.size(); ++i) {
        missed += (measured[i] - predicted[i]) * (measured[i] - predicted[i]);
        around += (measured[i] - center) * (measured[i] - center);
    }
    return 1.0 - missed.value() / around.value();
}

namespace detail {

[[nodiscard]] inline std::vector<kernel_observation> picked_observations(
    std::span<kernel_observation const> observations, std::span<std::size_t const> which) {
    std::vector<kernel_observation> result;
    for (std::size_t const i : which) result.push_back(observations[i]);
    return result;
}

/// The coefficients of all columns: rows of amounts that should each come to 1.
[[nodiscard]] inline std::vector<double> fit_coefficients(matrix_view<double const> amounts) {
    return nnls(amounts, std::vector<double>(amounts.rows, 1.0)).x;
}

/// The level at which percentiles of resamples are as wide as Student's interval says: resamples of n
/// rows scatter by sqrt((n - p) / n) too little and take no notice of the t distribution's tails
/// (T. Hesterberg, What teachers should know about the bootstrap, 2015, section 4.1, with p
/// coefficients for its one mean). `level` itself for fewer rows than can say so.
[[nodiscard]] inline double expanded_level(double level, std::size_t rows, std::size_t columns) {
    if (rows <= columns) return level;
    auto const free = static_cast<double>(rows - columns);
    double const wide = student_critical(level, free) * std::sqrt(static_cast<double>(rows) / free);
    return std::erf(wide / std::sqrt(2.0));
}

/// Every coefficient with the middle of what it is in resamples of the rows.
[[nodiscard]] inline std::vector<interval_estimate> coefficient_intervals(
    relative_amounts const& amounts, bootstrap_options const& how) {
    std::vector<double> const rows(amounts.rows);
    std::vector<double> const strata[] = {rows};
    require_bootstrap(strata, how);
    std::size_t const width = amounts.columns.size();
    std::vector<std::vector<double>> figures(width);
    std::vector<double> drawn(amounts.values.size());
    for (std::size_t r = 0; r < how.resamples; ++r) {
        draw_windows(strata, how.seed, r, [&](std::size_t, std::size_t to, std::size_t from) {
            std::ranges::copy(amounts.row(from),
                              drawn.begin() + static_cast<std::ptrdiff_t>(to * width));
        });
        auto const x = fit_coefficients({drawn.data(), amounts.rows, width});
        for (std::size_t j = 0; j < width; ++j) figures[j].push_back(x[j]);
    }
    auto const x = fit_coefficients(amounts.view());
    double const level = expanded_level(how.level, amounts.rows, width);
    std::vector<interval_estimate> result;
    for (std::size_t j = 0; j < width; ++j) result.push_back(middle_of(x[j], figures[j], level));
    return result;
}

/// Puts a coefficient into its place in the table.
inline void place_coefficient(coefficient_table& table, energy_column const& column, double value) {
    if (column.counts == energy_column::what::time) {
        table.static_watts = value;
    } else if (column.counts == energy_column::what::bits) {
        table.bit_picojoules[static_cast<std::size_t>(column.level)] = value;
    } else {
        auto& prices = column.kind == arithmetic::integer      ? table.integer
                       : column.kind == arithmetic::ieee_float ? table.floating
                                                               : table.bfloat;
        prices.mul.push_back({column.weight_bits, column.activation_bits, value});
    }
}

}  // namespace detail

/// The table that fits the observations, with its calibration_record. value_error where observations
/// cannot be (see amounts_of), where fewer are fitted than there are coefficients, where a
/// coefficient occurs in none that is fitted, or where they cannot tell the coefficients apart.
[[nodiscard]] inline coefficient_table calibrate(std::span<kernel_observation const> observations,
                                                 calibration_source const& source,
                                                 calibration_options const& how = {}) {
    auto const split = split_of(observations.size(), how);
    auto const columns = columns_in(observations);
    auto const fitted = detail::picked_observations(observations, split.fitted);
    auto const held_out = detail::picked_observations(observations, split.held_out);
    relative_amounts const amounts = amounts_of(fitted, columns);
    // Looked at too: a held-out observation that cannot be is an error as well.
    static_cast<void>(amounts_of(held_out, columns));
    if (columns.empty() || fitted.size() < columns.size())
        throw value_error("calibration: " + std::to_string(fitted.size()) +
                          " observations to fit " + std::to_string(columns.size()) +
                          " coefficients; expected at least as many, better ten times as many");
    for (auto const& column : columns) {
        auto const has = [&](auto const& one) { return amount_of(column, one) > 0.0; };
        if (std::none_of(fitted.begin(), fitted.end(), has))
            throw value_error("calibration: " + column.name() +
                              " occurs in held-out observations alone; observe it more often");
    }
    double const condition = amounts.condition();
    if (!(condition <= how.most_condition))
        throw value_error(
            "calibration: observations cannot tell the coefficients apart: condition " +
            std::to_string(condition) + ", at most " + std::to_string(how.most_condition) +
            " allowed; the most alike are " + amounts.most_alike() +
            "; vary one without the other");

    auto const estimates = detail::coefficient_intervals(amounts, how.bootstrap);
    coefficient_table table;
    table.name = source.name;
    table.citation = "fitted to " + std::to_string(fitted.size()) + " observations of " +
                     source.meter + " on " + source.machine + ", " + source.date;
    table.ignores = "what no observation varied; additions are inside multiplications";
    calibration_record record{.date = source.date,
                              .machine = source.machine,
                              .meter = source.meter,
                              .condition = condition,
                              .level = how.bootstrap.level,
                              .fitted = fitted.size(),
                              .held_out = held_out.size(),
                              .coefficients = {}};
    for (std::size_t j = 0; j < columns.size(); ++j) {
        detail::place_coefficient(table, columns[j], estimates[j].value);
        record.coefficients.push_back({columns[j].name(), columns[j].unit(), estimates[j]});
    }

    auto const predicted = [&](kernel_observation const& one) {
        return predicted_energy(one, table, table.static_watts).count();
    };
    std::vector<double> measured, modelled, errors;
    for (auto const& one : fitted) {
        measured.push_back(one.joules);
        modelled.push_back(predicted(one));
    }
    for (auto const& one : held_out)
        errors.push_back(std::fabs(predicted(one) - one.joules) / one.joules);
    record.r_squared = r_squared(measured, modelled);
    record.mape = mean(errors);
    table.calibration = std::move(record);
    require_table(table);
    return table;
}

}  // namespace qtk
