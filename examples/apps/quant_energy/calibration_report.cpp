// SPDX-License-Identifier: Apache-2.0
#include "calibration_report.hpp"

#include <qtk/energy/table_json.hpp>

#include <fmt/format.h>

#include "chart.hpp"
#include "command_line.hpp"
#include "environment.hpp"
#include "html_page.hpp"
#include "terminal.hpp"
#include <algorithm>
#include <cmath>

namespace app {
namespace {

constexpr char const* rehearsal_note =
    "REHEARSAL: NOTHING WAS MEASURED. The joules were made from planted coefficients with noise.";

bool is_held_out(calibration_outcome const& outcome, std::size_t i) {
    return std::ranges::binary_search(outcome.held_out, i);
}

std::string figure(double value) {
    return fmt::format("{:.4g}", value);
}

std::vector<std::string> header_of(calibration_outcome const& outcome) {
    std::vector<std::string> header{"coefficient", "unit", "value",
                                    fmt::format("{:g} % interval", 100.0 * outcome.record().level)};
    if (outcome.is_rehearsal()) header.insert(header.end(), {"planted", "inside"});
    return header;
}

std::vector<std::vector<std::string>> coefficient_rows(calibration_outcome const& outcome) {
    std::vector<std::vector<std::string>> rows;
    auto const& coefficients = outcome.record().coefficients;
    for (std::size_t i = 0; i < coefficients.size(); ++i) {
        auto const& [name, unit, estimate] = coefficients[i];
        rows.push_back({name, unit, figure(estimate.value),
                        "[" + figure(estimate.low) + ", " + figure(estimate.high) + "]"});
        if (outcome.is_rehearsal()) {
            rows.back().push_back(figure(outcome.planted[i]));
            rows.back().push_back(outcome.is_inside(i) ? "yes" : "NO");
        }
    }
    return rows;
}

/// What the fit is worth, a sentence a line.
std::vector<std::string> conclusions(calibration_outcome const& outcome) {
    qtk::calibration_record const& record = outcome.record();
    std::vector<std::string> sentences{
        fmt::format("R^2 of the {} fitted runs: {:.4f}. Condition of the columns: {:.1f}.",
                    record.fitted, record.r_squared, record.condition),
        fmt::format("Mean error on the {} held-out runs (MAPE): {:.1f} %, {} the target of {:g} %.",
                    record.held_out, 100.0 * record.mape,
                    record.mape < most_mape ? "under" : "NOT under", 100.0 * most_mape)};
    if (!(record.mape < most_mape))
        sentences.push_back(
            "Do not trust this table: measure on a quiet machine, with longer runs (--seconds) "
            "and more of them (--replicates).");
    if (outcome.is_rehearsal()) {
        std::size_t inside = 0;
        for (std::size_t i = 0; i < outcome.planted.size(); ++i)
            inside += outcome.is_inside(i) ? 1u : 0u;
        sentences.push_back(
            fmt::format("{} of {} planted coefficients ({}) lie in their {:g} % intervals.", inside,
                        outcome.planted.size(), outcome.planted_name, 100.0 * record.level));
    }
    sentences.insert(sentences.end(), outcome.warnings.begin(), outcome.warnings.end());
    return sentences;
}

std::string about(calibration_outcome const& outcome) {
    qtk::calibration_record const& record = outcome.record();
    return fmt::format("{}, {}\nMeter: {}", record.machine, record.date, record.meter);
}

}  // namespace

bool calibration_outcome::is_inside(std::size_t coefficient) const {
    auto const& estimate = record().coefficients.at(coefficient).estimate;
    double const value = planted.at(coefficient);
    // A coefficient of nothing is found as nothing, but for rounding.
    double const slack = 1e-9 * std::fabs(value);
    return estimate.low - slack <= value && value <= estimate.high + slack;
}

double calibration_outcome::predicted(std::size_t observation) const {
    return qtk::predicted_energy(observations.at(observation), table, table.static_watts).count();
}

std::string calibration_text(calibration_outcome const& outcome) {
    text_table table(header_of(outcome));
    for (auto& row : coefficient_rows(outcome)) table.add(std::move(row));
    std::string text = outcome.is_rehearsal() ? std::string(rehearsal_note) + "\n" : std::string();
    text += about(outcome) + "\n\n" + table.str() + "\n";
    for (std::string const& sentence : conclusions(outcome)) text += sentence + "\n";
    return text;
}

json calibration_json(calibration_outcome const& outcome) {
    qtk::calibration_record const& record = outcome.record();
    json report{{"schema", "qtk.energy.calibrate/1"},
                {"command", command_line()},
                {"environment", environment::now().to_json()},
                {"is_rehearsal", outcome.is_rehearsal()},
                {"machine", record.machine},
                {"meter", record.meter},
                {"date", record.date},
                {"seed", outcome.seed},
                {"level", record.level},
                {"condition", record.condition},
                {"r_squared", record.r_squared},
                {"mape", record.mape},
                {"mape_target", most_mape},
                {"is_under_target", record.mape < most_mape},
                {"warnings", outcome.warnings},
                {"coefficients", json::array()},
                {"table", json(qtk::json_of(outcome.table))},
                {"rows", json::array()}};
    if (outcome.is_rehearsal()) report["planted"] = outcome.planted_name;
    for (std::size_t i = 0; i < record.coefficients.size(); ++i) {
        auto const& one = record.coefficients[i];
        json entry{{"name", one.name}, {"unit", one.unit}, {"figure", interval_json(one.estimate)}};
        if (outcome.is_rehearsal()) {
            entry["planted"] = outcome.planted[i];
            entry["is_inside"] = outcome.is_inside(i);
        }
        report["coefficients"].push_back(std::move(entry));
    }
    for (std::size_t i = 0; i < outcome.observations.size(); ++i) {
        auto const& one = outcome.observations[i];
        report["rows"].push_back({{"name", one.name},
                                  {"seconds", one.seconds},
                                  {"joules", one.joules},
                                  {"predicted", outcome.predicted(i)},
                                  {"is_held_out", is_held_out(outcome, i)}});
    }
    return report;
}

std::string calibration_html(calibration_outcome const& outcome) {
    html_page page("What operations cost: " + outcome.table.name);
    page.paragraph(about(outcome));
    page.code(command_line());
    if (outcome.is_rehearsal()) page.note(rehearsal_note, note_kind::doubt);
    bool const is_good = outcome.record().mape < most_mape && outcome.warnings.empty();
    std::string state;
    for (std::string const& sentence : conclusions(outcome))
        state += (state.empty() ? "" : "\n") + sentence;
    page.note(state, is_good ? note_kind::calm : note_kind::doubt);
    page.heading("Coefficients");
    page.paragraph(
        "Additions are inside the multiplications. Intervals hold the scatter of the runs, not an "
        "error that all of them share: a meter of the processor does not see the whole machine, "
        "and "
        "traffic is modelled.");
    page.table(header_of(outcome), coefficient_rows(outcome));
    std::vector<chart_bar> multiplications, bits;
    for (auto const& [name, unit, estimate] : outcome.record().coefficients) {
        chart_bar const bar{name, estimate.value, estimate.low, estimate.high};
        if (unit == "pJ") multiplications.push_back(bar);
        if (unit == "pJ/bit") bits.push_back(bar);
    }
    if (!can_draw())
        page.note("There are no charts: gnuplot was not found on this machine.", note_kind::doubt);
    if (!multiplications.empty())
        page.figure(draw_bars("A multiply-accumulate", "pJ (with interval)", multiplications));
    if (!bits.empty()) page.figure(draw_bars("A bit that moves", "pJ (with interval)", bits));
    page.heading("Runs");
    std::vector<std::vector<std::string>> rows;
    for (std::size_t i = 0; i < outcome.observations.size(); ++i) {
        auto const& one = outcome.observations[i];
        double const predicted = outcome.predicted(i);
        rows.push_back({one.name, fmt::format("{:.2f}", one.seconds), figure(one.joules),
                        figure(predicted),
                        fmt::format("{:+.1f}", 100.0 * (predicted / one.joules - 1.0)),
                        is_held_out(outcome, i) ? "held out" : "fitted"});
    }
    page.table({"run", "s", outcome.is_rehearsal() ? "J, made up" : "J, measured", "J, predicted",
                "error, %", "used"},
               rows);
    return page.str();
}

}  // namespace app
