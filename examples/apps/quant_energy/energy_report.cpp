// SPDX-License-Identifier: Apache-2.0
#include "energy_report.hpp"

#include <qtk/stats/holm.hpp>
#include <qtk/stats/summary.hpp>

#include <fmt/format.h>

#include "chart.hpp"
#include "percent.hpp"
#include "terminal.hpp"
#include <algorithm>
#include <cmath>
#include <utility>

namespace app {
namespace {

using table_rows = std::vector<std::vector<std::string>>;

/// A table for the terminal and for the page.
struct shown_table {
    std::string title, note;
    std::vector<std::string> header;
    table_rows rows;
};

[[nodiscard]] std::string with_deviation(std::vector<double> const& values) {
    if (values.size() < 2) return percent(qtk::mean(values));
    return fmt::format("{} ± {}", percent(qtk::mean(values)),
                       percent(qtk::standard_deviation(values)));
}
[[nodiscard]] std::string points(accuracy_difference const& d) {
    return fmt::format("{:+.1f} [{:+.1f}, {:+.1f}]", 100.0 * d.value, 100.0 * d.low,
                       100.0 * d.high);
}
[[nodiscard]] std::string p_value(double p) {
    return p < 0.001 ? "<0.001" : fmt::format("{:.3f}", p);
}
[[nodiscard]] std::string joules_text(double joules) {
    return qtk::to_string(qtk::joules(joules));
}

/// The steps of all ladders side by side: what each leaves, and what it adds to the step before.
[[nodiscard]] shown_table ladder_table(network_findings const& found) {
    shown_table table{
        "Low-bit collapse, and its repair step by step",
        fmt::format(
            "Accuracy in %, mean ± standard deviation over {} draws of calibration images "
            "where they matter; in brackets what the step adds to the one before, in points "
            "with a 95 % interval over images and draws. Every step keeps the ones before; "
            "first and last layer like all others. Float: {}.",
            found.draws, percent(found.floats.accuracy())),
        {"step"},
        {}};
    std::size_t most = 0;
    for (climbed_ladder const& ladder : found.ladders) {
        table.header.push_back(ladder.ladder.collapse);
        most = std::max(most, ladder.steps.size());
    }
    for (std::size_t s = 0; s < most; ++s) {
        std::vector<std::string> row{found.ladders.front().steps[s].recipe.name()};
        for (climbed_ladder const& ladder : found.ladders) {
            if (s >= ladder.steps.size() || !ladder.steps[s].failure.empty()) {
                row.push_back("-");
                continue;
            }
            std::string cell = with_deviation(ladder.steps[s].accuracies());
            if (s > 0 && ladder.steps[s - 1].failure.empty())
                cell += fmt::format(" ({})", points(ladder.steps[s].against_step));
            row.push_back(std::move(cell));
        }
        table.rows.push_back(std::move(row));
    }
    return table;
}

/// All recipes with their differences from float, corrected together.
[[nodiscard]] shown_table grid_table(network_findings const& found, study_setting const& setting) {
    shown_table table{
        "Formats and methods",
        fmt::format(
            "Accuracy in %, mean ± standard deviation over draws; difference from float in "
            "points, 95 % interval over images and draws; p two-sided, corrected for {} "
            "tests (Holm), at least {:.3f} by the number of resamples. Bytes are those of the "
            "layers, "
            "scales counted. Energy of one image under {}; microseconds of one image in a batch of "
            "32, packed, on this machine.",
            found.grid.size(), std::min(1.0, 2.0 * static_cast<double>(found.grid.size()) / 2001.0),
            setting.tables.front()),
        {"format", "method", "bits/weight", "kB", "accuracy, %", "against float", "p", "energy",
         "saved, %", "us/image"},
        {}};
    std::vector<double> p;
    for (recipe_result const& r : found.grid) p.push_back(r.against_float.p);
    std::vector<double> const corrected = qtk::holm_adjusted(p);
    auto const line = [&](recipe_result const& r) {
        std::vector<std::string> row{r.recipe.format, r.recipe.is_float() ? "" : r.recipe.method};
        if (!r.failure.empty()) {
            row.resize(table.header.size(), "-");
            row.back() = r.failure;
            return row;
        }
        row.push_back(fmt::format("{:.2f}", r.bits_per_weight));
        row.push_back(fmt::format("{:.1f}", 1e-3 * static_cast<double>(r.bytes)));
        row.push_back(with_deviation(r.accuracies()));
        row.insert(row.end(), 5, "");
        row[7] = joules_text(r.energy.front().total().count());
        row[8] = percent(savings(found.floats.energy.front(), r.energy.front()));
        row[9] = r.seconds_per_image > 0.0 ? fmt::format("{:.0f}", 1e6 * r.seconds_per_image) : "-";
        return row;
    };
    table.rows.push_back(line(found.floats));
    for (std::size_t i = 0; i < found.grid.size(); ++i) {
        table.rows.push_back(line(found.grid[i]));
        if (!found.grid[i].failure.empty()) continue;
        table.rows.back()[5] = points(found.grid[i].against_float);
        table.rows.back()[6] = p_value(corrected[i]);
    }
    return table;
}

[[nodiscard]] shown_table price_table(network_findings const& found) {
    shown_table table{
        "The same networks under every table",
        "Share of float's energy that is saved, in %, one image at a time. \"No reuse\" counts as "
        "an "
        "earlier study did: every multiplication fetches its weight from DRAM. \"Tiled\" counts "
        "what "
        "crosses the memories of the hierarchy. Published tables differ by factors of 3 to 10.",
        {"table", "traffic", "float"},
        {}};
    for (auto const& priced : found.prices) table.header.push_back(priced.recipe);
    if (found.prices.empty()) return table;
    for (std::size_t t = 0; t < found.prices.front().tables.size(); ++t) {
        qtk::table_comparison const& first = found.prices.front().tables[t];
        std::vector<std::string> row{
            first.table, first.counting,
            first.refusal.empty() ? qtk::to_string(first.original.total()) : "-"};
        for (auto const& priced : found.prices)
            row.push_back(priced.tables[t].refusal.empty()
                              ? fmt::format("{:.4f}", 100.0 * priced.tables[t].saved)
                              : "no price");
        table.rows.push_back(std::move(row));
    }
    return table;
}

/// Bits by layer against equal bits, at the same energy.
[[nodiscard]] shown_table mixed_table(network_findings const& found, study_setting const& setting) {
    shown_table table{
        "Bits by layer at the energy of equal bits",
        fmt::format(
            "Channels, symmetric weights, activations of as many bits (asymmetric), 8 bits in "
            "the first and the last layer. Energy under {}. The networks were run packed; "
            "gains in points with a 95 % interval over draws (Student's). Predicted: loss of "
            "the float network and what each layer adds alone, against the loss on the same "
            "calibration images. quant-energy search has more budgets, costs and solvers.",
            setting.tables.front()),
        {"energy of", "assignment", "bits/weight", "predicted loss", "loss", "accuracy, %",
         "against equal bits", ""},
        {}};
    searched_network const& mixed = *found.mixed;
    for (summed_run const& sum : summed_runs(mixed, setting.seed)) {
        run_assignment const& run = mixed.draws.front().runs[sum.at];
        bool const is_uniform = run.solver == "uniform";
        table.rows.push_back(
            {run.budget, name_of(run), fmt::format("{:.2f}", sum.mean_bits),
             fmt::format("{:.4f}", sum.predicted_loss), fmt::format("{:.4f}", sum.calibration_loss),
             fmt::format("{} ± {}", percent(sum.accuracy.value), percent(sum.deviation)),
             is_uniform ? ""
                        : fmt::format("{:+.1f} [{:+.1f}, {:+.1f}]", 100.0 * sum.gain.value,
                                      100.0 * sum.gain.low, 100.0 * sum.gain.high),
             is_uniform ? "" : verdict_of(sum)});
    }
    return table;
}

[[nodiscard]] shown_table softmax_table(network_findings const& found) {
    shown_table table{"Softmax outputs of few bits, all else float",
                      "Accuracy in %, mean ± standard deviation over draws. The products of "
                      "attention are simulated in floats, which equals integers here.",
                      {"codes"},
                      {}};
    for (softmax_row const& row : found.softmax) {
        std::string const bits = fmt::format("{} bits", row.bits);
        if (std::ranges::find(table.header, bits) == table.header.end())
            table.header.push_back(bits);
    }
    for (softmax_row const& row : found.softmax) {
        if (table.rows.empty() || table.rows.back().front() != row.codes)
            table.rows.push_back({row.codes});
        std::vector<double> accuracies;
        for (qtk::classification const& run : row.runs) accuracies.push_back(run.accuracy());
        table.rows.back().push_back(with_deviation(accuracies));
    }
    return table;
}

[[nodiscard]] shown_table ranking_table(network_findings const& found) {
    shown_table table{
        "Does ranking help attention? A controlled comparison",
        "Layers of the blocks per tensor at so many bits on both sides. Accuracy in %, "
        "mean ± standard deviation over draws; ranking loss of attention maps (per "
        "1000 pairs) and Pearson's correlation of attention outputs on the test "
        "images; p of McNemar's exact test against the same search without ranking, "
        "the least and the largest over draws.",
        {"bits", "method", "accuracy, %", "ranking loss", "correlation", "p"},
        {}};
    for (ranking_row const& row : found.ranking) {
        std::string p = "";
        if (!row.p.empty()) {
            auto const [least, most] = std::ranges::minmax(row.p);
            p = fmt::format("{} to {}", p_value(least), p_value(most));
        }
        table.rows.push_back({std::to_string(row.bits), row.method, with_deviation(row.accuracies),
                              fmt::format("{:.3f}", 1000.0 * qtk::mean(row.losses)),
                              fmt::format("{:.4f}", qtk::mean(row.correlations)), p});
    }
    return table;
}

[[nodiscard]] std::vector<shown_table> tables_of(network_findings const& found,
                                                 study_setting const& setting) {
    std::vector<shown_table> tables;
    if (!found.ladders.empty()) tables.push_back(ladder_table(found));
    if (!found.grid.empty()) tables.push_back(grid_table(found, setting));
    if (!found.prices.empty()) tables.push_back(price_table(found));
    if (found.mixed) tables.push_back(mixed_table(found, setting));
    if (!found.softmax.empty()) tables.push_back(softmax_table(found));
    if (!found.ranking.empty()) tables.push_back(ranking_table(found));
    return tables;
}

[[nodiscard]] std::string header_line(network_findings const& found) {
    return fmt::format(
        "{}: {} % of {} test images in float. {} draws of {} calibration images. Images: {}.",
        found.model, percent(found.floats.accuracy()), found.test_images, found.draws,
        found.calibration_images, found.data);
}

[[nodiscard]] json result_json(recipe_result const& r) {
    json row{{"format", r.recipe.format}, {"method", r.recipe.method}, {"range", r.recipe.range}};
    if (!r.recipe.label.empty()) row["label"] = r.recipe.label;
    if (!r.failure.empty()) {
        row["failure"] = r.failure;
        return row;
    }
    row.update({{"accuracy", r.accuracy()},
                {"deviation", r.deviation()},
                {"accuracies", r.accuracies()},
                {"bits_per_weight", r.bits_per_weight},
                {"bytes", r.bytes}});
    accuracy_difference const& d = r.against_float;
    row["against_float"] = {{"value", d.value}, {"low", d.low}, {"high", d.high}, {"p", d.p}};
    json energies = json::object();
    for (qtk::energy_estimate const& e : r.energy) energies[e.table] = e.total().count();
    row["joules_per_image"] = energies;
    if (r.seconds_per_image > 0.0) row["seconds_per_image"] = r.seconds_per_image;
    return row;
}

/// Points of all recipes that lose no more than 20 points; only those that no other beats have a name, for names of
/// all would hide each other.
[[nodiscard]] std::vector<chart_point> pareto_points(network_findings const& found,
                                                     double (*cost)(recipe_result const&)) {
    std::vector<recipe_result const*> shown{&found.floats};
    for (recipe_result const& r : found.grid)
        if (r.failure.empty() && r.accuracy() > found.floats.accuracy() - 0.2) shown.push_back(&r);
    std::vector<chart_point> points;
    for (std::size_t i = 0; i < shown.size(); ++i) {
        recipe_result const& r = *shown[i];
        bool is_beaten = false;
        for (std::size_t j = 0; j < shown.size(); ++j) {
            double const more = shown[j]->accuracy() - r.accuracy(),
                         less = cost(r) - cost(*shown[j]);
            bool const is_other = more != 0.0 || less != 0.0 || j < i;
            is_beaten = is_beaten || (is_other && more >= 0.0 && less >= 0.0);
        }
        std::string name;
        if (!is_beaten || i == 0) name = r.recipe.format;
        if (!name.empty() && !r.recipe.is_float() && r.recipe.method != "rtn")
            name += " " + r.recipe.method;
        points.push_back({name, cost(r), 100.0 * r.accuracy()});
    }
    return points;
}

void add_charts(html_page& page, network_findings const& found, study_setting const& setting) {
    page.paragraph(
        "Charts: all recipes that lose no more than 20 points; those that no other beats "
        "have their names.");
    page.figure(draw_points("Accuracy against energy (" + setting.tables.front() + ")",
                            "microjoules an image", "accuracy, %",
                            pareto_points(found, [](recipe_result const& r) {
                                return 1e6 * r.energy.front().total().count();
                            })));
    page.figure(draw_points("Accuracy against size", "kB of layers", "accuracy, %",
                            pareto_points(found, [](recipe_result const& r) {
                                return 1e-3 * static_cast<double>(r.bytes);
                            })));
    for (energy_bars const& bars : found.bars) {
        std::vector<chart_bar> chart;
        for (std::size_t i = 0; i < bars.products.size(); ++i) {
            double const microjoules = 1e6 * bars.joules[i];
            chart.push_back({bars.products[i], microjoules, microjoules, microjoules});
        }
        page.figure(draw_bars("Energy by layer: " + bars.recipe,
                              "microjoules an image, " + setting.tables.front(), chart));
    }
}

}  // namespace

void compare_results(network_findings& found, std::uint64_t seed) {
    auto const with_float = [&](recipe_result& r) {
        if (r.failure.empty()) r.against_float = difference(r, found.floats, seed);
    };
    with_float(found.floats);
    for (recipe_result& r : found.grid) with_float(r);
    for (climbed_ladder& ladder : found.ladders)
        for (std::size_t i = 0; i < ladder.steps.size(); ++i) {
            recipe_result& step = ladder.steps[i];
            with_float(step);
            if (i > 0 && step.failure.empty() && ladder.steps[i - 1].failure.empty())
                step.against_step = difference(step, ladder.steps[i - 1], seed);
        }
}

std::string findings_text(network_findings const& found, study_setting const& setting) {
    std::string text = header_line(found) + "\n";
    for (shown_table const& shown : tables_of(found, setting)) {
        text_table table(shown.header);
        for (auto const& row : shown.rows) table.add(row);
        text += fmt::format("\n{}\n{}\n\n{}", shown.title, shown.note, table.str());
    }
    return text;
}

json findings_json(network_findings const& found, study_setting const& setting) {
    json model{{"model", found.model},
               {"data", found.data},
               {"test_images", found.test_images},
               {"draws", found.draws},
               {"calibration_images", found.calibration_images},
               {"float", result_json(found.floats)}};
    for (climbed_ladder const& ladder : found.ladders) {
        json steps = json::array();
        for (recipe_result const& step : ladder.steps) steps.push_back(result_json(step));
        model["ladders"].push_back({{"collapse", ladder.ladder.collapse}, {"steps", steps}});
    }
    model["rows"] = json::array();
    for (recipe_result const& r : found.grid) model["rows"].push_back(result_json(r));
    for (auto const& priced : found.prices)
        for (qtk::table_comparison const& t : priced.tables) {
            json row{{"format", priced.recipe}, {"table", t.table}, {"traffic", t.counting}};
            if (t.refusal.empty())
                row.update({{"float_joules", t.original.total().count()},
                            {"joules", t.quantized.total().count()},
                            {"saved", t.saved}});
            else
                row["refusal"] = t.refusal;
            model["prices"].push_back(row);
        }
    if (found.mixed) model["mixed"] = search_json(*found.mixed, setting.seed);
    for (softmax_row const& row : found.softmax) {
        std::vector<double> accuracies;
        for (qtk::classification const& run : row.runs) accuracies.push_back(run.accuracy());
        model["softmax"].push_back(
            {{"codes", row.codes}, {"bits", row.bits}, {"accuracies", accuracies}});
    }
    for (ranking_row const& row : found.ranking)
        model["ranking"].push_back({{"bits", row.bits},
                                    {"method", row.method},
                                    {"accuracies", row.accuracies},
                                    {"ranking_losses", row.losses},
                                    {"correlations", row.correlations},
                                    {"p_against_search", row.p}});
    return model;
}

std::string findings_csv(std::vector<network_findings> const& networks,
                         study_setting const& setting) {
    std::string text = "model,format,method,range,accuracy,deviation,runs,bits_per_weight,bytes";
    for (std::string const& table : setting.tables) text += ",joules_" + table;
    text += ",seconds_per_image\n";
    for (network_findings const& found : networks) {
        auto const add = [&](recipe_result const& r) {
            if (!r.failure.empty()) return;
            text += fmt::format("{},{},{},{},{},{},{},{},{}", found.model, r.recipe.format,
                                r.recipe.method, r.recipe.range, r.accuracy(), r.deviation(),
                                r.runs.size(), r.bits_per_weight, r.bytes);
            for (qtk::energy_estimate const& e : r.energy)
                text += fmt::format(",{}", e.total().count());
            text += fmt::format(",{}\n", r.seconds_per_image);
        };
        add(found.floats);
        for (recipe_result const& r : found.grid) add(r);
        for (climbed_ladder const& ladder : found.ladders)
            for (recipe_result const& r : ladder.steps) add(r);
    }
    return text;
}

void add_findings(html_page& page, network_findings const& found, study_setting const& setting) {
    page.heading(found.model);
    page.paragraph(header_line(found));
    for (shown_table const& shown : tables_of(found, setting)) {
        page.heading(shown.title, 3);
        page.paragraph(shown.note);
        page.table(shown.header, shown.rows);
        if (shown.title == "Formats and methods") add_charts(page, found, setting);
    }
}

}  // namespace app
