// SPDX-License-Identifier: Apache-2.0
//
// quant-energy train: what training with the roundings in place gives back of what rounding took.
#include <qtk/core/error.hpp>
#include <qtk/model/vision_model.hpp>
#include <qtk/quantize_any.hpp>
#include <qtk/stats/bootstrap.hpp>
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
#include "packed_training.hpp"
#include "percent.hpp"
#include "terminal.hpp"
#include "trained_network.hpp"
#include "training.hpp"
#include "training_data.hpp"
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace app {
namespace {

struct train_options {
    low_bit_options network{.activation_bits = 4};
    std::vector<std::string> schemes{"i2/tensor"}, methods{"lsq"};
    bool distills = false;
    double distillation = 0.5;
    training_options training;
    std::size_t seeds = 1;
    std::string out, report;
    output_options output;
};

[[nodiscard]] training_method method_of(std::string const& text, bool always_distills) {
    training_method method = parse_training_method(text);
    if (always_distills && !method.distills) method.distills = true, method.name += "+distill";
    return method;
}

/// One network, trained once.
struct trained_row {
    std::string scheme, method;
    std::uint64_t seed = 0;
    qtk::interval_estimate before, after;  ///< accuracy on the test images, packed
    double validation = 0.0;               ///< of the epoch that was kept
    double in_floats = 0.0;    ///< accuracy of the same network, rounded in floats by LibTorch
    std::size_t agreeing = 0;  ///< test images of which both say the same
    std::size_t bytes = 0;     ///< of all weights, packed
    training_outcome outcome;
};

[[nodiscard]] qtk::interval_estimate accuracy(std::vector<double> const& hits) {
    return qtk::bootstrap(hits, [](std::span<double const> sample) { return qtk::mean(sample); },
                          {.resamples = 2000});
}

/// The accuracy after round to nearest, before training: same schemes, same grids.
[[nodiscard]] qtk::interval_estimate before_training(train_options const& options,
                                                     trained_network const& planned,
                                                     labelled_batch const& test) {
    qtk::vision_model model = qtk::load_vision_model(options.network.model);
    std::size_t next = 0;
    model.for_each_linear([&](qtk::linear& layer) {
        network_layer const& plan = planned.layers.at(next++);
        layer.set_weight(qtk::quantize_any(plan.weight, *plan.scheme));
        layer.pack(input_activations(plan));
    });
    return accuracy(hits_of(model.logits(test.images).view(), test.labels));
}

/// Where the network of this run is written; empty: nowhere.
[[nodiscard]] std::filesystem::path folder_for(train_options const& options, trained_row const& row,
                                               bool is_only) {
    if (options.out.empty() || is_only) return options.out;
    std::string name = row.scheme + "-" + row.method + "-" + std::to_string(row.seed);
    std::ranges::replace(name, '/', '_');
    return std::filesystem::path(options.out) / name;
}

void run_one(trained_row& row, train_options const& options, qtk::scheme const& scheme,
             training_method const& method, training_data const& data,
             std::filesystem::path const& folder) {
    packed_training_options how{
        .model = options.network.model,
        .plan = {scheme, options.network.activation_bits, options.network.edge_bits},
        .method = method,
        .distillation = options.distillation,
        .how = options.training,
        .out = folder};
    how.how.seed = row.seed;
    progress_line const progress;
    packed_training trained = train_packed(how, data, [&](training_epoch const& epoch) {
        progress.show(fmt::format("{} {} seed {}: epoch {} of {}, loss {:.4f}, validation {:.3f}",
                                  row.scheme, row.method, row.seed, epoch.number, how.how.epochs,
                                  epoch.loss, epoch.validation_accuracy));
    });
    row.outcome = std::move(trained.outcome);
    row.validation = row.outcome.epochs[row.outcome.best].validation_accuracy;
    trained.model.for_each_linear(
        [&](qtk::linear const& layer) { row.bytes += layer.weight_bytes(); });
    row.after = accuracy(trained.hits);
    qtk::matrix const floats = torch_logits(trained.network, data.test.images);
    row.in_floats = qtk::mean(hits_of(floats.view(), data.test.labels));
    auto const in_floats = qtk::likeliest_classes(floats.view());
    for (std::size_t i = 0; i < in_floats.size(); ++i)
        row.agreeing += in_floats[i] == trained.classes[i] ? 1u : 0u;
}

[[nodiscard]] json row_json(trained_row const& row, std::size_t tests) {
    json epochs = json::array();
    for (training_epoch const& e : row.outcome.epochs)
        epochs.push_back({{"epoch", e.number},
                          {"loss", e.loss},
                          {"validation_loss", e.validation_loss},
                          {"validation_accuracy", e.validation_accuracy}});
    return {{"scheme", row.scheme},
            {"method", row.method},
            {"seed", row.seed},
            {"accuracy_before", interval_json(row.before)},
            {"accuracy", interval_json(row.after)},
            {"accuracy_in_floats", row.in_floats},
            {"agreeing_images", row.agreeing},
            {"test_images", tests},
            {"validation_accuracy", row.validation},
            {"best_epoch", row.outcome.epochs[row.outcome.best].number},
            {"seconds", row.outcome.seconds},
            {"bytes", row.bytes},
            {"epochs", epochs}};
}

/// A scheme and method over all seeds.
struct method_summary {
    std::string scheme, method;
    double before = 0.0, mean = 0.0, deviation = 0.0, seconds = 0.0;
    std::size_t seeds = 0;
};

[[nodiscard]] std::vector<method_summary> summaries(std::vector<trained_row> const& rows) {
    std::vector<method_summary> all;
    for (std::size_t first = 0; first < rows.size();) {
        std::vector<double> after, seconds;
        std::size_t i = first;
        for (; i < rows.size() && rows[i].scheme == rows[first].scheme &&
               rows[i].method == rows[first].method;
             ++i) {
            after.push_back(rows[i].after.value);
            seconds.push_back(rows[i].outcome.seconds);
        }
        all.push_back({rows[first].scheme, rows[first].method, rows[first].before.value,
                       qtk::mean(after), after.size() > 1 ? qtk::standard_deviation(after) : 0.0,
                       qtk::mean(seconds), after.size()});
        first = i;
    }
    return all;
}

void write_report(train_options const& options, std::string const& protocol,
                  std::vector<std::string> const& header,
                  std::vector<std::vector<std::string>> const& cells,
                  std::vector<trained_row> const& rows, double original) {
    html_page page("quant-energy train");
    page.paragraph(protocol);
    page.paragraph(environment::now().describe());
    page.heading("Accuracy before and after training");
    page.table(header, cells);
    std::vector<chart_bar> bars{{"float", 100.0 * original, 100.0 * original, 100.0 * original}};
    std::vector<chart_line> lines;
    for (trained_row const& row : rows) {
        // What all of them share, "/sym/f32", is left out: legends are narrow.
        std::string const scheme = row.scheme.substr(0, row.scheme.find("/sym"));
        std::string const name = fmt::format("{} {} {}", scheme, row.method, row.seed);
        if (&row == rows.data() || row.scheme != (&row - 1)->scheme)
            bars.push_back({scheme + " before", 100.0 * row.before.value, 100.0 * row.before.low,
                            100.0 * row.before.high});
        bars.push_back(
            {name, 100.0 * row.after.value, 100.0 * row.after.low, 100.0 * row.after.high});
        chart_line line{name, {}};
        for (training_epoch const& e : row.outcome.epochs)
            line.points.push_back(
                {"", static_cast<double>(e.number), 100.0 * e.validation_accuracy});
        lines.push_back(std::move(line));
    }
    page.figure(draw_bars("Accuracy on the test images", "%", bars));
    page.figure(
        draw_lines("While training", "epoch", "accuracy on the validation images, %", lines));
    deliver(options.report, page.str());
}

void run(train_options const& options) {
    if (!has_torch()) throw qtk::value_error(std::string("quant-energy train: ") + torch_hint);
    std::vector<training_method> methods;
    for (std::string const& name : options.methods)
        methods.push_back(method_of(name, options.distills));
    std::vector<qtk::scheme> schemes;
    for (std::string const& name : options.schemes) schemes.push_back(qtk::parse_scheme(name));
    training_data const data = read_training_data(options.network.data, options.network.tests);
    trained_network const network =
        read_for_training(options.network.model, data.calibration.images);
    double const original = qtk::mean(
        hits_of(qtk::load_vision_model(options.network.model).logits(data.test.images).view(),
                data.test.labels));
    bool const is_only = schemes.size() * methods.size() * options.seeds == 1;
    if (!options.out.empty() && !is_only) make_folders(options.out);
    std::vector<trained_row> rows;
    for (std::size_t s = 0; s < schemes.size(); ++s) {
        trained_network planned = network;
        plan_layers(planned,
                    {schemes[s], options.network.activation_bits, options.network.edge_bits});
        qtk::interval_estimate const before = before_training(options, planned, data.test);
        for (training_method const& method : methods)
            for (std::size_t i = 0; i < options.seeds; ++i) {
                trained_row row;
                row.scheme = qtk::to_string(schemes[s]);
                row.method = method.name;
                row.seed = options.training.seed + i;
                row.before = before;
                run_one(row, options, schemes[s], method, data, folder_for(options, row, is_only));
                rows.push_back(std::move(row));
            }
    }

    std::string const protocol = fmt::format(
        "{}: {} training images, {} for calibration and the choice of the epoch, {} of the test, "
        "which are looked at "
        "once; batch norms folded before training; activations {}; first and last layer {}; {} "
        "epochs of batches of "
        "{}, Adam from {}; accuracies are those of the packed runtime.",
        options.network.model, data.training.labels.size(), data.calibration.labels.size(),
        data.test.labels.size(),
        options.network.activation_bits == 0
            ? "floats"
            : fmt::format("{} bits, static", options.network.activation_bits),
        options.network.edge_bits == 0 ? "like the others"
                                       : fmt::format("{} bits", options.network.edge_bits),
        options.training.epochs, options.training.batch, options.training.rate);
    std::vector<std::string> const header{"scheme",   "method",       "seed",       "before, %",
                                          "after, %", "in floats, %", "same class", "epoch",
                                          "s",        "bytes"};
    std::vector<std::vector<std::string>> cells;
    for (trained_row const& row : rows)
        cells.push_back({row.scheme, row.method, std::to_string(row.seed), percent(row.before),
                         percent(row.after), percent(row.in_floats),
                         fmt::format("{}/{}", row.agreeing, data.test.labels.size()),
                         std::to_string(row.outcome.epochs[row.outcome.best].number),
                         fmt::format("{:.1f}", row.outcome.seconds), with_commas(row.bytes)});
    std::FILE* const human = options.output.human();
    fmt::print(human, "{}\n\nfloat: {} %\n\n", protocol, percent(original));
    text_table table(header);
    for (auto const& row : cells) table.add(row);
    fmt::print(human, "{}", table.str());
    json by_method = json::array();
    for (method_summary const& m : summaries(rows)) {
        by_method.push_back({{"scheme", m.scheme},
                             {"method", m.method},
                             {"accuracy_before", m.before},
                             {"accuracy_mean", m.mean},
                             {"accuracy_deviation", m.deviation},
                             {"seconds_mean", m.seconds},
                             {"seeds", m.seeds}});
        if (m.seeds > 1)
            fmt::print(human, "{} {}: {} % before, {} % after (mean of {} seeds, deviation {})\n",
                       m.scheme, m.method, percent(m.before), percent(m.mean), m.seeds,
                       percent(m.deviation));
    }
    if (!options.out.empty()) fmt::print(human, "written: {}\n", options.out);
    if (!options.output.json_target.empty()) {
        json all = json::array();
        for (trained_row const& row : rows) all.push_back(row_json(row, data.test.labels.size()));
        deliver(options.output.json_target,
                json{{"schema", "qtk.energy.train/1"},
                     {"model", options.network.model},
                     {"protocol", protocol},
                     {"activation_bits", options.network.activation_bits},
                     {"edge_bits", options.network.edge_bits},
                     {"accuracy_float", original},
                     {"environment", environment::now().to_json()},
                     {"methods", by_method},
                     {"rows", all}});
    }
    if (!options.output.csv_target.empty()) {
        std::string csv =
            "scheme,method,seed,accuracy_before,accuracy,accuracy_in_floats,seconds,bytes\n";
        for (trained_row const& row : rows)
            csv += fmt::format("{},{},{},{},{},{},{:.3f},{}\n", row.scheme, row.method, row.seed,
                               row.before.value, row.after.value, row.in_floats,
                               row.outcome.seconds, row.bytes);
        deliver(options.output.csv_target, csv);
    }
    if (!options.report.empty()) write_report(options, protocol, header, cells, rows, original);
}

}  // namespace

void add_train(CLI::App& program) {
    auto const options = std::make_shared<train_options>();
    CLI::App* const command =
        program.add_subcommand("train",
                               "train a vision model with its roundings in place (LSQ, "
                               "straight-through), and run it packed");
    options->network.add_to(*command);
    command->add_option("--schemes", options->schemes, "of the weights: iB/tensor or iB/channel")
        ->delimiter(',')
        ->capture_default_str()
        ->type_name("FORMAT");
    command
        ->add_option("--methods,--method", options->methods, "lsq, ste, lsq+distill, ste+distill")
        ->delimiter(',')
        ->capture_default_str()
        ->type_name("{lsq,ste,lsq+distill,ste+distill}");
    command->add_flag("--distill", options->distills,
                      "every method also follows the float model's logits");
    command->add_option("--distill-weight", options->distillation, "their share of the loss")
        ->check(CLI::Range(0.0, 1.0))
        ->capture_default_str();
    command->add_option("--temperature", options->training.temperature, "of these logits")
        ->check(CLI::PositiveNumber)
        ->capture_default_str();
    command->add_option("--epochs", options->training.epochs)
        ->check(CLI::Range(std::size_t{1}, std::size_t{100000}))
        ->capture_default_str();
    command->add_option("--batch", options->training.batch)
        ->check(CLI::Range(std::size_t{1}, std::size_t{100000}))
        ->capture_default_str();
    command->add_option("--rate", options->training.rate, "learning rate at the start")
        ->check(CLI::PositiveNumber)
        ->capture_default_str();
    command->add_option("--seed", options->training.seed, "of the order of images")
        ->capture_default_str();
    command->add_option("--seeds", options->seeds, "runs, with this seed and the next ones")
        ->check(CLI::Range(std::size_t{1}, std::size_t{1000}))
        ->capture_default_str();
    command
        ->add_option("--out", options->out,
                     "new folder for the network; with several runs, for a folder each")
        ->type_name("DIR");
    command->add_option("--report", options->report, "HTML page")->type_name("FILE");
    options->output.add_to(*command);
    add_threads(*command);
    command->callback([options] { run(*options); });
}

}  // namespace app
