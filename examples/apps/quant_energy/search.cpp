// SPDX-License-Identifier: Apache-2.0
//
// quant-energy search: which layer gets how many bits within a budget, and does the network that comes of it beat
// the one with equal bits everywhere?
#include <qtk/core/random.hpp>
#include <qtk/io/digits.hpp>
#include <qtk/model/hessian_trace.hpp>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "command_line.hpp"
#include "commands.hpp"
#include "common_options.hpp"
#include "environment.hpp"
#include "output.hpp"
#include "recipe.hpp"
#include "search_report.hpp"
#include "terminal.hpp"
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

namespace app {
namespace {

struct search_options {
    std::vector<std::string> models{QTK_DATA_DIR "/digits/resnet_digits.safetensors",
                                    QTK_DATA_DIR "/digits/deit_digits.safetensors"};
    std::string data = QTK_DATA_DIR "/digits";
    std::size_t calibration = 200, draws = 5, probes = 16;
    std::uint64_t seed = 0;
    bit_question question;
    std::string recipe, from_recipe, report;
    output_options output;
};

shown_images batch_of(qtk::labelled_images const& images) {
    return {qtk::image_batch::from_bytes(
                images.bytes, {images.height, images.width, images.channels}, {.divisor = 16.0f}),
            images.labels};
}

/// As many images as asked for, drawn without putting back from those that no test sees.
shown_images drawn(qtk::labelled_images const& pool, std::size_t count, std::uint64_t seed) {
    if (count == 0 || count > pool.count)
        throw qtk::value_error(
            fmt::format("--calibration: expected 1 to {} images, found {}", pool.count, count));
    std::vector<std::size_t> order(pool.count);
    std::iota(order.begin(), order.end(), std::size_t{0});
    qtk::splitmix64 random(seed);
    for (std::size_t i = 0; i < count; ++i) {
        std::size_t const other =
            i + static_cast<std::size_t>(qtk::uniform_index(random, order.size() - i));
        std::swap(order[i], order[other]);
    }
    order.resize(count);
    std::ranges::sort(order);
    qtk::labelled_images chosen;
    for (std::size_t const i : order) chosen.append(pool.part(i, 1));
    return batch_of(chosen);
}

std::vector<double> mean_traces(qtk::vision_model const& model, shown_images const& calibration,
                                std::size_t probes) {
    std::vector<std::size_t> const labels(calibration.labels.begin(), calibration.labels.end());
    std::vector<double> means;
    for (qtk::hessian_trace const& t :
         qtk::hessian_traces(model, calibration.images, labels, {.probes = probes}))
        means.push_back(t.trace / static_cast<double>(t.weights));
    return means;
}

void run(search_options& options) {
    if (options.draws == 0) throw qtk::value_error("--draws: expected at least 1");
    if (!options.recipe.empty() && options.models.size() != 1)
        throw qtk::value_error("--recipe: a recipe is for one network; name one with --model");
    bit_question& question = options.question;
    question.formats.require();
    if (!options.from_recipe.empty())
        for_each_rule({}, options.from_recipe, [&](std::string layer, std::string const& what) {
            question.recipe[std::move(layer)] = what;
        });
    question.traces = [probes = options.probes](qtk::vision_model const& model,
                                                shown_images const& calibration) {
        return mean_traces(model, calibration, probes);
    };
    auto const pool = qtk::read_digits(
        options.data, {0, qtk::training_digits.count + qtk::calibration_digits.count});
    shown_images const test = batch_of(qtk::read_digits(options.data, qtk::test_digits));
    std::vector<searched_network> networks;
    {
        progress_line const line;
        for (std::string const& path : options.models) {
            qtk::vision_model const model = qtk::load_vision_model(path);
            searched_network& network = networks.emplace_back();
            network.model = std::filesystem::path(path).stem().string();
            network.test_images = test.labels.size();
            network.calibration_images = options.calibration;
            network.floats = qtk::classify(model, test.images, test.labels);
            model.for_each_linear(
                [&](qtk::linear const& layer) { network.layers.push_back(layer.name()); });
            question.progress = [&](std::string const& text) {
                line.show(network.model + ", " + text);
            };
            for (std::size_t d = 0; d < options.draws; ++d) {
                std::uint64_t const seed = options.seed + d;
                network.draws.push_back(study_bits(
                    model, question, drawn(pool, options.calibration, seed), test, seed));
            }
        }
    }
    std::FILE* const human = options.output.human();
    for (searched_network const& network : networks)
        fmt::print(human, "{}\n", search_text(network, options.seed));
    if (!options.recipe.empty()) {
        // The first assignment that was searched, not uniform.
        auto const& runs = networks.front().draws.front().runs;
        auto const found = std::ranges::find_if(
            runs, [](run_assignment const& r) { return r.solver != "uniform"; });
        deliver(options.recipe, recipe_text(networks.front(), *found));
    }
    if (!options.output.json_target.empty()) {
        json report{{"schema", "qtk.energy.search/1"},
                    {"command", command_line()},
                    {"environment", environment::now().to_json()},
                    {"protocol",
                     {{"scheme", question.formats.scheme},
                      {"method", question.formats.method},
                      {"activations", question.formats.activations},
                      {"range", question.formats.range},
                      {"first_last", question.formats.first_last},
                      {"bits", question.formats.bits},
                      {"calibration_images", options.calibration},
                      {"draws", options.draws},
                      {"seed", options.seed}}},
                    {"models", json::array()}};
        for (searched_network const& network : networks)
            report["models"].push_back(search_json(network, options.seed));
        deliver(options.output.json_target, report);
    }
    if (!options.report.empty()) {
        html_page page("Bits for each layer");
        page.paragraph(
            "Every layer is quantized at every number of bits, its loss alone is measured, and "
            "bits "
            "are given out within a budget. The networks that come of it are run packed and "
            "compared "
            "with the network of equal bits, image by image. Intervals are 95 %, over draws of the "
            "calibration images; p is McNemar's.");
        page.code(command_line());
        for (searched_network const& network : networks) add_search(page, network, options.seed);
        page.paragraph(environment::now().describe());
        deliver(options.report, page.str());
        fmt::print(human, "Report: {}\n", options.report);
    }
}

}  // namespace

void add_search(CLI::App& program) {
    auto const options = std::make_shared<search_options>();
    bit_question& question = options->question;
    CLI::App& command = *program.add_subcommand(
        "search", "Give each layer its bits within a budget, and run what comes of it");
    command.add_option("--model", options->models,
                       "safetensors of a ResNet or a ViT, file or folder; repeatable");
    command
        .add_option("--data", options->data,
                    "folder of the digits (digits_images.u8, digits_labels.u8)")
        ->capture_default_str();
    command
        .add_option("--calibration", options->calibration,
                    "images of a draw, from those that are not tested")
        ->capture_default_str();
    command.add_option("--draws", options->draws, "draws of calibration images")
        ->capture_default_str();
    command.add_option("--seed", options->seed, "of the first draw")->capture_default_str();
    command
        .add_option("--budget", question.budgets,
                    "uniform4: what 4 bits everywhere cost; or an amount in bytes, joules, seconds")
        ->delimiter(',')
        ->capture_default_str();
    command.add_option("--cost", question.costs, "energy, size, latency (measured here)")
        ->delimiter(',')
        ->capture_default_str();
    command
        .add_option("--energy-table", question.energy_tables,
                    energy_table_list() + ", or JSON files, such as quant-energy calibrate writes")
        ->delimiter(',')
        ->capture_default_str();
    command.add_flag("--no-reuse", question.is_without_reuse,
                     "count one DRAM word for every multiplication, as an earlier study did");
    command
        .add_option("--sensitivity", question.sensitivities,
                    "divergence, loss, sqnr, weight, hessian")
        ->delimiter(',')
        ->capture_default_str();
    command.add_option("--solver", question.solvers, "exact, greedy, haq")
        ->delimiter(',')
        ->capture_default_str();
    command.add_option("--bits", question.formats.bits, "that a layer may have, 2 to 8")
        ->delimiter(',')
        ->capture_default_str();
    command
        .add_option("--scheme", question.formats.scheme, "of the weights; B stands for the bits")
        ->capture_default_str();
    command.add_option("--method", question.formats.method, "of one layer, such as rtn or gptq")
        ->capture_default_str();
    command
        .add_option("--activation-bits", question.formats.activations,
                    "same (as the weights'), 2 to 8, or f32")
        ->capture_default_str();
    command.add_flag("--symmetric-activations", question.formats.has_symmetric_activations,
                     "codes around 0, also behind a ReLU");
    command.add_option("--range", question.formats.range, "of activations: minmax, mse, ...")
        ->capture_default_str();
    command
        .add_option("--first-last", question.formats.first_last,
                    "bits of the first and the last layer; search: like all others")
        ->capture_default_str();
    command.add_option("--generations", question.episodes.generations, "of haq")
        ->capture_default_str();
    command.add_option("--episodes", question.episodes.episodes, "of haq, in each generation")
        ->capture_default_str();
    command.add_option("--probes", options->probes, "of the Hessian's trace")
        ->capture_default_str();
    command.add_option("--recipe", options->recipe,
                       "file for the first assignment found: layer=format, one a line");
    command.add_option("--from-recipe", options->from_recipe,
                       "run the assignment of such a file, too");
    command.add_option("--report", options->report, "the figures as a page of HTML");
    command.add_flag("--json{-}", options->output.json_target,
                     "the figures as JSON, to standard output or --json=FILE");
    add_threads(command);
    command.callback([options] { run(*options); });
}

}  // namespace app
