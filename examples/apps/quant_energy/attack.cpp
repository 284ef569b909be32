// SPDX-License-Identifier: Apache-2.0
//
// quant-energy attack: how much does each quantized model bear? Images that were moved to deceive it, and memory that
// flips bits of its weights.
#include <qtk/core/error.hpp>
#include <qtk/core/random.hpp>
#include <qtk/eval/bit_flips.hpp>
#include <qtk/kernel/prepack.hpp>
#include <qtk/model/activation_grid.hpp>
#include <qtk/model/vision_model.hpp>
#include <qtk/quantize_any.hpp>
#include <qtk/stats/bootstrap.hpp>
#include <qtk/stats/student.hpp>
#include <qtk/stats/summary.hpp>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "chart.hpp"
#include "commands.hpp"
#include "common_options.hpp"
#include "environment.hpp"
#include "html_page.hpp"
#include "low_bit_flags.hpp"
#include "output.hpp"
#include "percent.hpp"
#include "terminal.hpp"
#include "trained_network.hpp"
#include "training.hpp"
#include "training_data.hpp"
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace app {
namespace {

struct attack_options {
    low_bit_options network;
    std::vector<std::string> schemes{"i8/channel", "i4/channel", "i3/channel", "i2/channel"},
        trained, attacks;
    std::vector<double> epsilons{0.03125, 0.0625, 0.125}, rates{1e-4, 1e-3, 1e-2};
    std::size_t steps = 10, flip_seeds = 5;
    std::uint64_t seed = 0;
    std::string report;
    output_options output;
};

/// A network as it runs packed, and the same with its roundings in floats, whose gradients an attack follows.
struct candidate {
    std::string name;
    qtk::vision_model model;
    trained_network floats;
};

/// Weights as decoded floats and the grids of the inputs, of a model that is packed or float.
void follow(trained_network& floats, qtk::vision_model const& model) {
    std::size_t next = 0;
    model.for_each_linear([&](qtk::linear const& layer) {
        network_layer& to = floats.layers.at(next++);
        to.weight = layer.form().floats();
        to.bias.assign(layer.bias().begin(), layer.bias().end());
        to.scheme.reset();
        to.input.reset();
        if (qtk::packed_weight const* const packed = layer.form().packed();
            packed != nullptr && packed->activations.type == qtk::activation_type::a8_static)
            to.input = packed->activations.grid;
    });
}

[[nodiscard]] std::vector<candidate> candidates(attack_options const& options,
                                                labelled_batch const& calibration) {
    trained_network const network = read_for_training(options.network.model, calibration.images);
    std::vector<candidate> all{{"float", qtk::load_vision_model(options.network.model), network}};
    for (std::string const& name : options.schemes) {
        qtk::scheme const scheme = qtk::parse_scheme(name);
        candidate c{name, all.front().model, network};  // as it was asked for: legends are narrow
        std::size_t next = 0;
        c.model.for_each_linear([&](qtk::linear& layer) {
            std::size_t const i = next++;
            bool const is_edge =
                options.network.edge_bits > 0 && (i == 0 || i + 1 == network.layers.size());
            qtk::scheme own = scheme;
            if (is_edge && own.element.is_integer()) own.element.bits = options.network.edge_bits;
            layer.set_weight(qtk::quantize_any(network.layers[i].weight, own));
            qtk::layer_activations how;
            if (options.network.activation_bits > 0) {
                how.type = qtk::activation_type::a8_static;
                how.grid = qtk::fit_activation_grid(
                    {network.layers[i].seen.lowest, network.layers[i].seen.highest},
                    qtk::activation_codes(
                        is_edge ? options.network.edge_bits : options.network.activation_bits,
                        false));
            }
            layer.pack(how);
        });
        if (options.network.activation_bits > 0)
            c.name += fmt::format("@a{}", options.network.activation_bits);
        follow(c.floats, c.model);
        all.push_back(std::move(c));
    }
    for (std::string const& folder : options.trained) {
        if (!is_trained_folder(folder))
            throw qtk::value_error(folder +
                                   ": there are no codes in it. Hint: a folder that quant-energy "
                                   "train --out has written");
        candidate c{std::filesystem::path(folder).filename().string(), load_trained(folder),
                    read_for_training(folder, calibration.images)};
        if (c.name.empty()) c.name = folder;
        follow(c.floats, c.model);
        all.push_back(std::move(c));
    }
    return all;
}

/// A model under an attack of one strength.
struct attack_row {
    std::string model, attack,
        gradients;          ///< none; fgsm, pgd; flips. Whose gradients: float's or its own.
    double strength = 0.0;  ///< epsilon, or probability of a flip
    qtk::interval_estimate accuracy;
    qtk::interval_estimate
        loss;  ///< float's accuracy less this one on the same attack, paired; of flips, on the mean
    double deviation = 0.0;  ///< of flips, between seeds
    double flips = 0.0;      ///< mean number of bits
};

[[nodiscard]] qtk::interval_estimate resampled(std::vector<double> const& values,
                                               std::uint64_t seed) {
    return qtk::bootstrap(values, [](std::span<double const> sample) { return qtk::mean(sample); },
                          {.resamples = 2000, .seed = seed});
}
[[nodiscard]] qtk::interval_estimate difference(std::vector<double> const& a,
                                                std::vector<double> const& b, std::uint64_t seed) {
    std::vector<double> d(a.size());
    for (std::size_t i = 0; i < d.size(); ++i) d[i] = a[i] - b[i];
    return resampled(d, seed);
}

[[nodiscard]] std::vector<double> hits_on(candidate const& c, qtk::pixel_rows images,
                                          labelled_batch const& test) {
    return hits_of(c.model.logits(images).view(), test.labels);
}

void attack_with_gradients(std::vector<candidate> const& all, labelled_batch const& test,
                           attack_options const& options, std::string const& name,
                           std::vector<attack_row>& rows) {
    progress_line const progress;
    for (double const epsilon : options.epsilons) {
        gradient_attack const how{.epsilon = epsilon,
                                  .steps = name == "fgsm" ? 1 : options.steps,
                                  .has_random_start = name == "pgd",
                                  .seed = options.seed};
        std::vector<double> of_float;
        qtk::matrix transferred;
        for (candidate const& c : all)
            for (bool const is_own : {false, true}) {
                bool const is_float = &c == &all.front();
                if (is_float && is_own) continue;
                progress.show(fmt::format("{} {} at {}", name, c.name, epsilon));
                qtk::matrix moved;
                if (is_float || is_own) moved = adversarial_images(c.floats, rows_of(test), how);
                if (is_float) transferred = moved;
                qtk::pixel_rows const images(is_own ? moved.view() : transferred.view(),
                                             test.images.shape());
                std::vector<double> const hits = hits_on(c, images, test);
                if (is_float) of_float = hits;
                rows.push_back({c.name, name, is_own || is_float ? "its own" : "the float model's",
                                epsilon, resampled(hits, options.seed),
                                difference(of_float, hits, options.seed)});
            }
    }
}

/// The model with flips in every layer; how many.
[[nodiscard]] std::pair<qtk::vision_model, std::size_t> with_flips(candidate const& c, double rate,
                                                                   std::uint64_t seed) {
    qtk::vision_model model = c.model;
    std::size_t flips = 0, next = 0;
    model.for_each_linear([&](qtk::linear& layer) {
        std::uint64_t const own = qtk::word_at(seed, next++);
        if (qtk::packed_weight const* const packed = layer.form().packed()) {
            qtk::layer_activations const how = packed->activations;
            qtk::flipped_codes hit = qtk::flip_bits(qtk::unpack(packed->weight), rate, own);
            flips += hit.flips;
            layer.set_weight(std::move(hit.matrix));
            layer.pack(how);
        } else {
            qtk::matrix weight = layer.form().floats();
            flips += qtk::flip_bits(weight.view().flat(), rate, own);
            layer.set_weight(std::move(weight));
        }
    });
    return {std::move(model), flips};
}

/// Student's interval of a few shares, cut to what they can be: from `least` to 1.
[[nodiscard]] qtk::interval_estimate possible(qtk::interval_estimate const& e, double least) {
    return {e.value, std::clamp(e.low, least, 1.0), std::clamp(e.high, least, 1.0)};
}

void attack_with_flips(std::vector<candidate> const& all, labelled_batch const& test,
                       attack_options const& options, std::vector<attack_row>& rows) {
    progress_line const progress;
    for (double const rate : options.rates) {
        std::vector<double> of_float;
        for (candidate const& c : all) {
            std::vector<double> accuracies, losses;
            double flips = 0.0;
            for (std::size_t i = 0; i < options.flip_seeds; ++i) {
                progress.show(fmt::format("flips {} at {}: {} of {}", c.name, rate, i + 1,
                                          options.flip_seeds));
                auto const [model, count] = with_flips(c, rate, qtk::word_at(options.seed, i));
                flips += static_cast<double>(count) / static_cast<double>(options.flip_seeds);
                accuracies.push_back(
                    qtk::mean(hits_of(model.logits(test.images).view(), test.labels)));
            }
            if (&c == &all.front()) of_float = accuracies;
            for (std::size_t i = 0; i < accuracies.size(); ++i)
                losses.push_back(of_float[i] - accuracies[i]);
            rows.push_back({c.name, "flips", "", rate, possible(qtk::t_interval(accuracies), 0.0),
                            possible(qtk::t_interval(losses), -1.0),
                            qtk::standard_deviation(accuracies), flips});
        }
    }
}

[[nodiscard]] std::vector<std::string> cells_of(attack_row const& row) {
    return {row.model,
            row.attack,
            row.gradients,
            row.attack == "none" ? "" : fmt::format("{:g}", row.strength),
            percent(row.accuracy),
            row.model == "float" ? "" : percent(row.loss),
            row.attack == "flips" ? fmt::format("{:.1f}", 100.0 * row.deviation) : "",
            row.attack == "flips" ? fmt::format("{:.0f}", row.flips) : ""};
}

[[nodiscard]] json row_json(attack_row const& row) {
    json j{{"model", row.model}, {"attack", row.attack}};
    if (!row.gradients.empty()) j["gradients"] = row.gradients == "its own" ? "own" : "float";
    if (row.attack != "none") j[row.attack == "flips" ? "rate" : "epsilon"] = row.strength;
    j["accuracy"] = interval_json(row.accuracy);
    j["below_float"] = interval_json(row.loss);
    if (row.attack == "flips") j["deviation"] = row.deviation, j["flips"] = row.flips;
    return j;
}

/// Accuracy over strength, a line for each model.
[[nodiscard]] std::optional<std::string> chart_of(std::vector<attack_row> const& rows,
                                                  std::string const& attack, bool is_own,
                                                  std::string const& title,
                                                  std::string const& axis) {
    std::vector<chart_line> lines;
    for (attack_row const& row : rows) {
        if (row.attack != attack) continue;
        bool const is_float = row.model == "float";
        if (attack != "flips" && !is_float && (row.gradients == "its own") != is_own) continue;
        auto line = std::ranges::find(lines, row.model, &chart_line::name);
        if (line == lines.end()) line = lines.insert(line, {row.model, {}});
        line->points.push_back({"", row.strength, 100.0 * row.accuracy.value});
    }
    return draw_lines(title, axis, "accuracy, %", lines);
}

void run(attack_options options) {
    bool const is_default = options.attacks.empty();
    if (is_default) {
        options.attacks = {"flips"};
        if (has_torch()) options.attacks = {"fgsm", "pgd", "flips"};
    }
    for (std::string const& attack : options.attacks)
        if (attack != "flips" && !has_torch())
            throw qtk::value_error("quant-energy attack: " + attack + " needs gradients; " +
                                   torch_hint);
    training_data const data = read_training_data(options.network.data, options.network.tests);
    labelled_batch const& test = data.test;
    std::vector<candidate> const all = candidates(options, data.calibration);
    std::vector<attack_row> rows;
    std::vector<double> of_float;
    for (candidate const& c : all) {
        std::vector<double> const hits = hits_on(c, test.images, test);
        if (of_float.empty()) of_float = hits;
        rows.push_back({c.name, "none", "", 0.0, resampled(hits, options.seed),
                        difference(of_float, hits, options.seed)});
    }
    for (std::string const& attack : options.attacks)
        if (attack == "flips")
            attack_with_flips(all, test, options, rows);
        else
            attack_with_gradients(all, test, options, attack, rows);

    std::string const protocol = fmt::format(
        "{}: {} test images, pixels from 0 to 1; round to nearest with min-max ranges, first and "
        "last layer {}; "
        "FGSM: one step of epsilon along the sign of the gradient, PGD: {} steps of 2.5 epsilon / "
        "{} from a random "
        "start, clipped to [0, 1]; gradients pass roundings straight through; bits of stored "
        "weights flip with the "
        "given probability, {} seeds; accuracies are those of the packed runtime. Intervals of 95 "
        "%: bootstrap over "
        "images, of flips Student's t over seeds.",
        options.network.model, test.labels.size(),
        options.network.edge_bits == 0 ? "like the others"
                                       : fmt::format("at {} bits", options.network.edge_bits),
        options.steps, options.steps, options.flip_seeds);
    std::string const without = is_default && !has_torch()
                                    ? "No FGSM and PGD: " + std::string(torch_hint) + "."
                                    : std::string();
    std::vector<std::string> const header{"model",       "attack",      "gradients",
                                          "strength",    "accuracy, %", "below float",
                                          "sd of seeds", "bits flipped"};
    std::FILE* const human = options.output.human();
    fmt::print(human, "{}\n{}{}\n", protocol, without, without.empty() ? "" : "\n");
    text_table table(header);
    for (attack_row const& row : rows) table.add(cells_of(row));
    fmt::print(human, "{}", table.str());
    if (!options.output.json_target.empty()) {
        json list = json::array();
        for (attack_row const& row : rows) list.push_back(row_json(row));
        deliver(options.output.json_target,
                json{{"schema", "qtk.energy.attack/1"},
                     {"model", options.network.model},
                     {"protocol", protocol},
                     {"has_gradients", has_torch()},
                     {"activation_bits", options.network.activation_bits},
                     {"environment", environment::now().to_json()},
                     {"rows", list}});
    }
    if (!options.output.csv_target.empty()) {
        std::string csv =
            "model,attack,gradients,strength,accuracy,low,high,below_float,deviation,flips\n";
        for (attack_row const& r : rows)
            csv += fmt::format("{},{},{},{},{},{},{},{},{},{}\n", r.model, r.attack, r.gradients,
                               r.strength, r.accuracy.value, r.accuracy.low, r.accuracy.high,
                               r.loss.value, r.deviation, r.flips);
        deliver(options.output.csv_target, csv);
    }
    if (options.report.empty()) return;
    html_page page("quant-energy attack");
    page.paragraph(protocol);
    if (!without.empty()) page.note(without, note_kind::doubt);
    page.paragraph(environment::now().describe());
    for (std::string const& attack : options.attacks) {
        page.heading(attack == "flips"  ? "Random flips of bits"
                     : attack == "fgsm" ? "FGSM"
                                        : "PGD");
        if (attack == "flips") {
            page.figure(
                chart_of(rows, attack, true, "Bits of the weights flip", "probability of a flip"));
            continue;
        }
        page.figure(
            chart_of(rows, attack, false, "Images made to deceive the float model", "epsilon"));
        page.figure(chart_of(rows, attack, true, "Images made to deceive each model", "epsilon"));
    }
    page.heading("All figures");
    std::vector<std::vector<std::string>> cells;
    for (attack_row const& row : rows) cells.push_back(cells_of(row));
    page.table(header, cells);
    deliver(options.report, page.str());
}

}  // namespace

void add_attack(CLI::App& program) {
    auto const options = std::make_shared<attack_options>();
    CLI::App* const command = program.add_subcommand(
        "attack", "quantized vision models under FGSM, PGD and flips of bits, against float");
    options->network.add_to(*command);
    command->add_option("--schemes", options->schemes, "of the weights")
        ->delimiter(',')
        ->capture_default_str()
        ->type_name("FORMAT");
    command
        ->add_option("--trained", options->trained,
                     "folder of quant-energy train --out; repeatable")
        ->type_name("DIR");
    command
        ->add_option("--attacks", options->attacks,
                     "fgsm, pgd, flips; default: all that this program can")
        ->delimiter(',')
        ->check(CLI::IsMember({"fgsm", "pgd", "flips"}));
    command
        ->add_option("--epsilons", options->epsilons,
                     "farthest that a pixel moves, in units of 0..1")
        ->delimiter(',')
        ->check(CLI::Range(0.0, 1.0))
        ->capture_default_str();
    command->add_option("--steps", options->steps, "of PGD")
        ->check(CLI::Range(std::size_t{2}, std::size_t{10000}))
        ->capture_default_str();
    command->add_option("--rates", options->rates, "probabilities that a bit flips")
        ->delimiter(',')
        ->check(CLI::Range(0.0, 1.0))
        ->capture_default_str();
    command->add_option("--flip-seeds", options->flip_seeds, "draws of flips")
        ->check(CLI::Range(std::size_t{2}, std::size_t{10000}))
        ->capture_default_str();
    command->add_option("--seed", options->seed)->capture_default_str();
    command->add_option("--report", options->report, "HTML page")->type_name("FILE");
    options->output.add_to(*command);
    add_threads(*command);
    command->callback([options] { run(*options); });
}

}  // namespace app
