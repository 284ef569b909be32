// SPDX-License-Identifier: Apache-2.0
//
// quant-energy search: which layer gets how many bits within a budget, and does the network that comes of it beat
// the one with equal bits everywhere?
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
#include "vision_input.hpp"
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace app {
namespace {

struct search_options {
    vision_options input;
    std::size_t draws = 5, probes = 16;
    std::uint64_t seed = 0;
    bit_question question;
    std::string recipe, from_recipe, report;
    output_options output;
};

std::vector<double> mean_traces(qtk::vision_model const& model, labelled_batch const& calibration,
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
    if (!options.recipe.empty() && options.input.models.size() != 1)
        throw qtk::value_error("--recipe: a recipe is for one network; name one with --model");
    bit_question& question = options.question;
    question.formats.require();
    if (!options.from_recipe.empty())
        for_each_rule({}, options.from_recipe, [&](std::string layer, std::string const& what) {
            question.recipe[std::move(layer)] = what;
        });
    question.traces = [probes = options.probes](qtk::vision_model const& model,
                                                labelled_batch const& calibration) {
        return mean_traces(model, calibration, probes);
    };
    vision_data const data = read_vision_data(options.input);
    std::vector<searched_network> networks;
    {
        progress_line const line;
        for (std::size_t i = 0; i < options.input.models.size(); ++i) {
            qtk::vision_model const model = open_vision_model(options.input, i);
            searched_network& network = networks.emplace_back();
            network.model = name_of_model(options.input.models[i]);
            network.test_images = data.test.count();
            network.floats = qtk::classify(model, data.test.images, data.test.labels);
            model.for_each_linear(
                [&](qtk::linear const& layer) { network.layers.push_back(layer.name()); });
            question.progress = [&](std::string const& text) {
                line.show(network.model + ", " + text);
            };
            for (std::size_t d = 0; d < options.draws; ++d) {
                std::uint64_t const seed = options.seed + d;
                labelled_batch const drawn = data.draw(options.input.calibration_images, seed);
                network.calibration_images = drawn.count();
                network.draws.push_back(study_bits(model, question, drawn, data.test, seed));
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
                      {"data", data.description},
                      {"calibration_images", options.input.calibration_images},
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
        page.paragraph(data.description);
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
    options->input.add_to(command, true);
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
        ->capture_default_str()
        ->type_name("{energy,size,latency}");
    command
        .add_option("--energy-table", question.energy_tables,
                    energy_table_list() + ", or JSON files, such as quant-energy calibrate writes")
        ->delimiter(',')
        ->capture_default_str()
        ->type_name("TABLE");
    command.add_flag("--no-reuse", question.is_without_reuse,
                     "count one DRAM word for every multiplication, as an earlier study did");
    command
        .add_option("--sensitivity", question.sensitivities,
                    "divergence, loss, sqnr, weight, hessian")
        ->delimiter(',')
        ->capture_default_str()
        ->type_name("{divergence,loss,sqnr,weight,hessian}");
    command.add_option("--solver", question.solvers, "exact, greedy, haq")
        ->delimiter(',')
        ->capture_default_str()
        ->type_name("{exact,greedy,haq}");
    command.add_option("--bits", question.formats.bits, "that a layer may have, 2 to 8")
        ->delimiter(',')
        ->capture_default_str();
    command
        .add_option("--scheme", question.formats.scheme, "of the weights; B stands for the bits")
        ->capture_default_str()
        ->type_name("FORMAT");
    command.add_option("--method", question.formats.method, "of one layer, such as rtn or gptq")
        ->capture_default_str()
        ->type_name("METHOD");
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
        ->capture_default_str()
        ->type_name("BITS|search");
    command.add_option("--generations", question.episodes.generations, "of haq")
        ->capture_default_str();
    command.add_option("--episodes", question.episodes.episodes, "of haq, in each generation")
        ->capture_default_str();
    command.add_option("--probes", options->probes, "of the Hessian's trace")
        ->capture_default_str();
    command
        .add_option("--recipe", options->recipe,
                    "file for the first assignment found: layer=format, one a line")
        ->check(file_to_write())
        ->type_name("FILE");
    command
        .add_option("--from-recipe", options->from_recipe, "run the assignment of such a file, too")
        ->type_name("FILE");
    command.add_option("--report", options->report, "the figures as a page of HTML")
        ->type_name("FILE");
    command.add_flag("--json{-}", options->output.json_target,
                     "the figures as JSON, to standard output or --json=FILE");
    add_threads(command);
    command.callback([options] { run(*options); });
}

}  // namespace app
