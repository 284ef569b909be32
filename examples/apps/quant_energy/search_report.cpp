// SPDX-License-Identifier: Apache-2.0
#include "search_report.hpp"

#include <qtk/stats/mcnemar.hpp>
#include <qtk/stats/student.hpp>
#include <qtk/stats/summary.hpp>

#include <fmt/format.h>

#include "chart.hpp"
#include "terminal.hpp"
#include <algorithm>
#include <cmath>
#include <limits>

namespace app {
namespace {

/// The uniform run that this one is compared with; null where its budget is no uniform one.
run_assignment const* uniform_of(bit_draw const& draw, run_assignment const& run) {
    auto const found = std::ranges::find_if(draw.runs, [&](run_assignment const& other) {
        return other.solver == "uniform" && other.cost == run.cost && other.budget == run.budget;
    });
    return found == draw.runs.end() ? nullptr : &*found;
}

std::vector<double> doubles(std::vector<std::uint8_t> const& answers) {
    return {answers.begin(), answers.end()};
}

/// Of draws; of images where there is one draw.
qtk::interval_estimate interval_of(std::vector<double> const& by_draw,
                                   std::vector<double> const& by_image, std::uint64_t seed) {
    if (by_draw.size() > 1) {
        bool const is_constant =
            std::ranges::all_of(by_draw, [&](double v) { return v == by_draw.front(); });
        if (is_constant) return {by_draw.front(), by_draw.front(), by_draw.front()};
        return qtk::t_interval(by_draw);
    }
    return qtk::bootstrap(by_image,
                          [](std::span<double const> sample) { return qtk::mean(sample); },
                          {.resamples = 2000, .seed = seed});
}

std::string amount(double value, std::string const& unit) {
    if (unit == "J") return qtk::to_string(qtk::joules(value));
    if (unit == "s") return fmt::format("{:.1f} us", 1e6 * value);
    return with_commas(static_cast<std::size_t>(value + 0.5)) + " B";
}

bit_costs const& costs_of(bit_draw const& draw, std::string const& name) {
    return *std::ranges::find(draw.costs, name, &bit_costs::name);
}

std::string bits_text(std::vector<int> const& bits) {
    std::string text;
    for (int const b : bits) text += fmt::format("{}{}", text.empty() ? "" : " ", b);
    return text;
}

double median_p(summed_run const& run) {
    return run.p.empty() ? std::numeric_limits<double>::quiet_NaN() : qtk::median(run.p);
}

std::vector<std::string> run_header() {
    return {"assignment", "spent",      "bits a weight",  "predicted loss",
            "loss",       "test loss",  "test accuracy",  "deviation",
            "gain",       "p (median)", "against uniform"};
}
std::vector<std::string> run_row(bit_draw const& draw, summed_run const& sum) {
    run_assignment const& run = draw.runs[sum.at];
    bool const is_compared = !sum.p.empty();
    return {name_of(run),
            amount(sum.spent, costs_of(draw, run.cost).unit),
            fmt::format("{:.2f}", sum.mean_bits),
            fmt::format("{:.4f}", sum.predicted_loss),
            fmt::format("{:.4f}", sum.calibration_loss),
            fmt::format("{:.4f}", sum.test_loss),
            interval_text(sum.accuracy, 4),
            fmt::format("{:.4f}", sum.deviation),
            is_compared ? interval_text(sum.gain, 4) : "-",
            is_compared ? fmt::format("{:.2g}", median_p(sum)) : "-",
            is_compared ? verdict_of(sum) : "-"};
}

std::vector<std::string> sensitivity_header(bit_draw const& draw, char const* figure) {
    std::vector<std::string> header{"layer", std::string("trace")};
    for (auto const& c : draw.sensitivities[draw.sensitivities.size() / 2].candidates)
        header.push_back(fmt::format("{} {}", figure, c.bits));
    return header;
}
/// Layers of another number of candidates (pinned ones) leave cells empty.
std::vector<std::vector<std::string>> sensitivity_rows(bit_draw const& draw,
                                                       qtk::sensitivity kind) {
    std::size_t const columns = sensitivity_header(draw, "").size();
    std::vector<std::vector<std::string>> rows;
    for (qtk::layer_sensitivity const& layer : draw.sensitivities) {
        std::vector<std::string> row{
            layer.name, layer.mean_trace == 0.0 ? "-" : fmt::format("{:.3g}", layer.mean_trace)};
        for (auto const& c : layer.candidates) row.push_back(fmt::format("{:.2e}", c.of(kind)));
        if (layer.candidates.size() == 1)
            row.back() += fmt::format(" ({} bits)", layer.candidates.front().bits);
        row.resize(columns, "-");
        rows.push_back(std::move(row));
    }
    return rows;
}

json sensitivity_json(bit_draw const& draw) {
    json layers = json::array();
    for (qtk::layer_sensitivity const& layer : draw.sensitivities) {
        json candidates = json::array();
        for (auto const& c : layer.candidates)
            candidates.push_back({{"bits", c.bits},
                                  {"format", c.format},
                                  {"loss", c.loss},
                                  {"divergence", c.divergence},
                                  {"output_sqnr_db", qtk::sqnr_db(c.output)},
                                  {"weight_sqnr_db", qtk::sqnr_db(c.weight)},
                                  {"squared_error", c.squared_error},
                                  {"hessian", c.hessian}});
        layers.push_back({{"layer", layer.name},
                          {"mean_trace", layer.mean_trace},
                          {"candidates", std::move(candidates)}});
    }
    return layers;
}

}  // namespace

std::string name_of(run_assignment const& run) {
    return run.sensitivity.empty() ? run.solver : run.solver + " by " + run.sensitivity;
}

std::string verdict_of(summed_run const& run) {
    if (run.gain.low > 0.0) return "beats";
    return run.gain.high < 0.0 ? "loses" : "no difference seen";
}

std::vector<summed_run> summed_runs(searched_network const& network, std::uint64_t seed) {
    std::vector<summed_run> all;
    std::size_t const count = network.draws.front().runs.size();
    for (std::size_t at = 0; at < count; ++at) {
        summed_run sum;
        sum.at = at;
        std::vector<double> accuracy, gain, by_image, gain_by_image;
        for (bit_draw const& draw : network.draws) {
            run_assignment const& run = draw.runs.at(at);
            accuracy.push_back(run.test.accuracy());
            by_image = doubles(run.test.is_right);
            sum.predicted_loss += run.predicted_loss;
            sum.calibration_loss += run.calibration_loss;
            sum.test_loss += run.test.mean_loss();
            sum.spent += run.spent;
            sum.allowed += run.allowed;
            sum.mean_bits += run.mean_bits;
            run_assignment const* const uniform = uniform_of(draw, run);
            if (uniform == nullptr || uniform == &run) continue;
            gain.push_back(run.test.accuracy() - uniform->test.accuracy());
            sum.p.push_back(qtk::mcnemar(run.test.is_right, uniform->test.is_right).p);
            gain_by_image.clear();
            for (std::size_t i = 0; i < run.test.count(); ++i)
                gain_by_image.push_back(static_cast<double>(run.test.is_right[i]) -
                                        static_cast<double>(uniform->test.is_right[i]));
        }
        auto const draws = static_cast<double>(network.draws.size());
        for (double* const figure : {&sum.predicted_loss, &sum.calibration_loss, &sum.test_loss,
                                     &sum.spent, &sum.allowed, &sum.mean_bits})
            *figure /= draws;
        sum.accuracy = interval_of(accuracy, by_image, seed);
        // Student's interval knows nothing of shares.
        sum.accuracy.low = std::max(sum.accuracy.low, 0.0);
        sum.accuracy.high = std::min(sum.accuracy.high, 1.0);
        if (accuracy.size() > 1) sum.deviation = qtk::standard_deviation(accuracy);
        if (!gain.empty()) sum.gain = interval_of(gain, gain_by_image, seed);
        all.push_back(std::move(sum));
    }
    return all;
}

std::string search_text(searched_network const& network, std::uint64_t seed) {
    bit_draw const& first = network.draws.front();
    std::string text = fmt::format(
        "{}: {} layers, {} draws of {} calibration images, {} test images; float {:.4f}\n\n",
        network.model, network.layers.size(), network.draws.size(), network.calibration_images,
        network.test_images, network.floats.accuracy());
    text += fmt::format("What a layer loses alone (divergence, nats; seed {}):\n", first.seed);
    text_table sensitivities(sensitivity_header(first, "bits"));
    for (auto& row : sensitivity_rows(first, qtk::sensitivity::divergence))
        sensitivities.add(std::move(row));
    text += sensitivities.str();
    auto const sums = summed_runs(network, seed);
    std::string section;
    std::vector<std::vector<std::string>> rows;
    std::string lines;
    auto const flush = [&] {
        if (rows.empty()) return;
        text_table table(run_header());
        for (auto& row : rows) table.add(std::move(row));
        text += "\n" + section + "\n" + table.str() + lines;
        rows.clear();
        lines.clear();
    };
    for (summed_run const& sum : sums) {
        run_assignment const& run = first.runs[sum.at];
        bit_costs const& costs = costs_of(first, run.cost);
        std::string const here =
            fmt::format("{} at {} ({}{}):", run.cost, run.budget, amount(sum.allowed, costs.unit),
                        costs.fixed > 0.0
                            ? " of layers, and " + amount(costs.fixed, costs.unit) + " of attention"
                            : std::string());
        if (here != section) flush();
        section = here;
        rows.push_back(run_row(first, sum));
        lines += fmt::format("  {}: {}\n", name_of(run), bits_text(run.bits));
    }
    flush();
    text += "\n";
    for (bit_costs const& costs : first.costs) text += costs.line + "\n";
    return text;
}

json search_json(searched_network const& network, std::uint64_t seed) {
    json rows = json::array();
    for (summed_run const& sum : summed_runs(network, seed)) {
        json draws = json::array();
        for (bit_draw const& draw : network.draws) {
            run_assignment const& run = draw.runs[sum.at];
            json one{{"seed", draw.seed},
                     {"bits", run.bits},
                     {"spent", run.spent},
                     {"predicted_loss", run.predicted_loss},
                     {"calibration_loss", run.calibration_loss},
                     {"test_loss", run.test.mean_loss()},
                     {"accuracy", run.test.accuracy()}};
            if (auto const* const uniform = uniform_of(draw, run);
                uniform != nullptr && uniform != &run) {
                auto const test = qtk::mcnemar(run.test.is_right, uniform->test.is_right);
                one["only_this_right"] = test.first_only;
                one["only_uniform_right"] = test.second_only;
                one["p"] = test.p;
            }
            draws.push_back(std::move(one));
        }
        run_assignment const& run = network.draws.front().runs[sum.at];
        json row{{"cost", run.cost},
                 {"budget", run.budget},
                 {"solver", run.solver},
                 {"sensitivity", run.sensitivity},
                 {"allowed", sum.allowed},
                 {"unit", costs_of(network.draws.front(), run.cost).unit},
                 {"spent", sum.spent},
                 {"bits_per_weight", sum.mean_bits},
                 {"predicted_loss", sum.predicted_loss},
                 {"calibration_loss", sum.calibration_loss},
                 {"test_loss", sum.test_loss},
                 {"accuracy", interval_json(sum.accuracy)},
                 {"accuracy_deviation", sum.deviation}};
        if (!sum.p.empty()) {
            row["gain"] = interval_json(sum.gain);
            row["verdict"] = verdict_of(sum);
        }
        row["draws"] = std::move(draws);
        rows.push_back(std::move(row));
    }
    json costs = json::array(), front = json::array();
    for (bit_costs const& c : network.draws.front().costs)
        costs.push_back({{"name", c.name},
                         {"unit", c.unit},
                         {"line", c.line},
                         {"fixed", c.fixed},
                         {"by_layer", c.of}});
    for (qtk::bit_assignment const& a : network.draws.front().front)
        front.push_back({{"cost", a.cost}, {"loss", a.loss}, {"choice", a.choice}});
    return {{"model", network.model},
            {"layers", network.layers},
            {"calibration_images", network.calibration_images},
            {"test_images", network.test_images},
            {"float_accuracy", network.floats.accuracy()},
            {"float_test_loss", network.floats.mean_loss()},
            {"costs", std::move(costs)},
            {"sensitivities", sensitivity_json(network.draws.front())},
            {"pareto_front", std::move(front)},
            {"rows", std::move(rows)}};
}

void add_search(html_page& page, searched_network const& network, std::uint64_t seed) {
    bit_draw const& first = network.draws.front();
    page.heading(network.model);
    page.paragraph(fmt::format(
        "{} layers. {} draws of {} calibration images; {} test images. Accuracy as floats: {:.4f}.",
        network.layers.size(), network.draws.size(), network.calibration_images,
        network.test_images, network.floats.accuracy()));
    auto const sums = summed_runs(network, seed);
    std::vector<std::string> seen;
    for (summed_run const& head : sums) {
        run_assignment const& of = first.runs[head.at];
        std::string const key = of.cost + " at " + of.budget;
        if (std::ranges::find(seen, key) != seen.end()) continue;
        seen.push_back(key);
        page.heading(key, 3);
        std::vector<std::vector<std::string>> rows;
        heat_map bits{.title = "Bits of the layers",
                      .caption = fmt::format("Seed {}. Darker: more bits.", first.seed),
                      .rows = {},
                      .columns = network.layers,
                      .values = {},
                      .digits = 0,
                      .white = 1.0,
                      .darkest = 8.0};
        std::vector<chart_bar> bars;
        for (summed_run const& sum : sums) {
            run_assignment const& run = first.runs[sum.at];
            if (run.cost + " at " + run.budget != key) continue;
            rows.push_back(run_row(first, sum));
            bits.rows.push_back(name_of(run));
            bits.values.emplace_back(run.bits.begin(), run.bits.end());
            bars.push_back({name_of(run), sum.accuracy.value, sum.accuracy.low, sum.accuracy.high});
        }
        page.table(run_header(), rows, {10});
        page.figure(
            draw_bars("Accuracy on the test images", "accuracy", bars, network.floats.accuracy()));
        page.heat_map(bits);
    }
    page.heading("What a layer loses alone", 3);
    page.paragraph(fmt::format(
        "Divergence of the classes from those of the float network, nats, seed {}.", first.seed));
    page.table(sensitivity_header(first, "bits"),
               sensitivity_rows(first, qtk::sensitivity::divergence));
    std::vector<chart_point> front;
    // Joules of an image are millionths: an axis shows those.
    bool const is_energy = first.costs.front().unit == "J";
    for (qtk::bit_assignment const& a : first.front)
        front.push_back({"", is_energy ? 1e6 * a.cost : a.cost, a.loss});
    page.figure(draw_lines(
        "Pareto front: the sum of what layers lose alone",
        first.costs.front().name + ", " + (is_energy ? "microjoules" : first.costs.front().unit),
        "loss", {{"assignments", front}}));
    for (bit_costs const& costs : first.costs) page.paragraph(costs.line);
}

std::string recipe_text(searched_network const& network, run_assignment const& run) {
    std::string text =
        fmt::format("# {}: {} at {}, {}\n", network.model, run.cost, run.budget, name_of(run));
    for (std::size_t l = 0; l < network.layers.size(); ++l)
        text += network.layers[l] + "=" + run.formats[l] + "\n";
    return text;
}

}  // namespace app
