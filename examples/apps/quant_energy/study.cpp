// SPDX-License-Identifier: Apache-2.0
//
// quant-energy study: accuracy, size, energy and speed of vision networks in many formats by many methods.
#include <qtk/eval/ranking_ablation.hpp>
#include <qtk/kernel/parallel.hpp>
#include <qtk/math/blas.hpp>
#include <qtk/model/attention_calibration.hpp>
#include <qtk/model/layer_format.hpp>
#include <qtk/stats/mcnemar.hpp>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "command_line.hpp"
#include "commands.hpp"
#include "common_options.hpp"
#include "energy_report.hpp"
#include "energy_study.hpp"
#include "environment.hpp"
#include "packed_training.hpp"
#include "terminal.hpp"
#include <algorithm>
#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace app {
namespace {

struct energy_study_options {
    vision_options vision;
    std::vector<std::string> schemes, methods;
    std::vector<std::string> tables{"horowitz_45nm", "quadratic_linear_1_200"};
    std::string edges = "same", range = "minmax", report;
    std::size_t seeds = 5, brecq_steps = 60;
    std::uint64_t seed = 0;
    bool is_ablation = false, is_trained = false, has_no_ladders = false, has_no_grid = false,
         has_no_times = false, has_no_mixed = false;
    output_options output;
};

/// Bits x granularity x symmetry, weights alone and with activations of as many bits.
[[nodiscard]] std::vector<std::string> usual_schemes() {
    std::vector<std::string> all;
    for (int const bits : {8, 4, 3, 2})
        for (char const* const rest : {"tensor/sym", "channel/sym", "channel/asym", "g16/asym"})
            all.push_back(fmt::format("i{}/{}", bits, rest));
    for (int const bits : {8, 6, 4, 3}) {
        all.push_back(fmt::format("i{0}/tensor/sym@a{0}_static", bits));
        all.push_back(fmt::format("i{0}/channel/asym@a{0}_static_asym", bits));
    }
    return all;
}

[[nodiscard]] std::vector<quantization_recipe> grid_of(energy_study_options const& options) {
    std::vector<quantization_recipe> grid;
    for (std::string const& scheme : options.schemes.empty() ? usual_schemes() : options.schemes)
        for (std::string const& method :
             options.methods.empty() ? std::vector<std::string>{"rtn", "gptq"} : options.methods) {
            grid.push_back({scheme, method, options.range, {}});
            grid.back().require();
            if (grid.back().is_float())
                throw qtk::value_error("--schemes: float is always there; name formats with codes");
        }
    return grid;
}

/// Runs ladders and grid with a line of progress.
class study_runner {
  public:
    study_runner(energy_study_options const& options, std::vector<any_energy_table> const& tables)
        : options_(options), tables_(tables), edges_(parse_edge_rule(options.edges)) {}

    [[nodiscard]] network_findings findings(network_study const& study, std::string const& data) {
        network_findings found{.model = study.name(),
                               .data = data,
                               .draws = study.draws().size(),
                               .calibration_images = study.draws().front().count(),
                               .test_images = study.test().count(),
                               .floats = {},
                               .ladders = {},
                               .grid = {},
                               .bars = {},
                               .prices = {},
                               .softmax = {},
                               .ranking = {},
                               .mixed = {}};
        found.floats = run(study, {quantization_recipe{}}, edges_, "float").front();
        if (!options_.has_no_ladders) climb(study, found);
        if (!options_.has_no_grid) found.grid = run(study, grid_of(options_), edges_, "formats");
        compare_results(found, options_.seed);
        price(study, found);
        if (!options_.has_no_mixed) mix(study, found);
        if (options_.is_ablation && study.has_attention()) ablate(study, found);
        return found;
    }

  private:
    [[nodiscard]] std::vector<recipe_result> run(network_study const& study,
                                                 std::vector<quantization_recipe> const& recipes,
                                                 edge_rule edges, char const* what) {
        std::size_t jobs = 0, at = 0;
        for (quantization_recipe const& r : recipes)
            jobs += r.depends_on_images() ? study.draws().size() : 1;
        return study.run(recipes, edges, tables_, !options_.has_no_times, [&] {
            line_.show(fmt::format("{}, {}: {} of {}", study.name(), what, ++at, jobs));
        });
    }

    void climb(network_study const& study, network_findings& found) {
        std::vector<repair_ladder> const ladders = repair_ladders(options_.brecq_steps);
        std::vector<quantization_recipe> all;
        for (repair_ladder const& ladder : ladders)
            all.insert(all.end(), ladder.steps.begin(), ladder.steps.end());
        std::vector<recipe_result> results = run(study, all, edge_rule::same, "repair");
        auto next = std::make_move_iterator(results.begin());
        for (repair_ladder const& ladder : ladders) {
            auto const count = static_cast<std::ptrdiff_t>(ladder.steps.size());
            found.ladders.push_back({ladder, {next, next + count}});
            next += count;
        }
        if (!options_.is_trained) return;
        training_data const data =
            read_training_data(options_.vision.data, options_.vision.test_images);
        for (climbed_ladder& ladder : found.ladders)
            ladder.steps.push_back(trained(study, data, ladder.steps[1].recipe));
    }

    /// LSQ with distillation at the bits of a recipe whose weights are symmetric; a run for each seed.
    [[nodiscard]] recipe_result trained(network_study const& study, training_data const& data,
                                        quantization_recipe const& like) {
        qtk::layer_format const format = qtk::parse_layer_format(like.format);
        bool const is_static = format.activations.type == qtk::activation_type::a8_static;
        recipe_result result{.recipe = {like.format + (is_static ? "_asym" : ""), "lsq+distill",
                                        "learned", "LSQ (trained)"}};
        packed_training_options how{
            .model = study.path(),
            .plan = {*format.scheme, is_static ? bits_of(format.activations.grid) : 0, 0},
            .method = parse_training_method("lsq+distill"),
            .how = {},
            .out = {}};
        std::optional<qtk::vision_model> first;
        for (std::size_t d = 0; d < study.draws().size(); ++d) {
            how.how.seed = options_.seed + d;
            packed_training made = train_packed(how, data, [&](training_epoch const& epoch) {
                line_.show(fmt::format("{}, training {}: seed {} of {}, epoch {}", study.name(),
                                       like.format, d + 1, study.draws().size(), epoch.number));
            });
            result.runs.push_back(classify(made.model, study.test().images, study.test().labels));
            if (!first) first = std::move(made.model);
        }
        study.describe(result, *first, tables_, !options_.has_no_times);
        return result;
    }

    /// One network of each width under all tables, and where its joules go.
    void price(network_study const& study, network_findings& found) {
        line_.show(study.name() + ", energy");
        qtk::image_shape const image = study.test().images.shape();
        auto const bars_of = [&](std::string const& name, qtk::vision_model const& model) {
            energy_bars bars{name, {}, {}};
            auto const work = work_of(model, image);
            auto const parts =
                energy_by_product(std::span<qtk::product_work const>(work), tables_.front());
            for (std::size_t i = 0; i < work.size(); ++i) {
                bars.products.push_back(work[i].name);
                bars.joules.push_back(parts[i].total().count());
            }
            found.bars.push_back(std::move(bars));
        };
        bars_of("fp32", study.model());
        for (int const bits : {8, 6, 5, 4, 3, 2}) {
            quantization_recipe const recipe{.format =
                                                 fmt::format("i{0}/channel/sym@a{0}_static", bits)};
            qtk::vision_model const model = study.quantized(recipe, edge_rule::same, 0);
            found.prices.push_back(
                {fmt::format("{} bits", bits), compare_tables(study.model(), model, image)});
            if (bits == 8 || bits == 4) bars_of(recipe.format, model);
        }
    }

    /// Bits by layer, run beside equal bits of the same energy.
    void mix(network_study const& study, network_findings& found) {
        bit_question question;
        question.energy_tables = {options_.tables.front()};
        question.progress = [&](std::string const& text) {
            line_.show(study.name() + ", bits by layer: " + text);
        };
        searched_network mixed{.model = study.name(),
                               .test_images = study.test().count(),
                               .calibration_images = study.draws().front().count(),
                               .layers = {},
                               .floats = found.floats.runs.front(),
                               .draws = {}};
        study.model().for_each_linear(
            [&](qtk::linear const& layer) { mixed.layers.push_back(layer.name()); });
        for (std::size_t d = 0; d < study.draws().size(); ++d)
            mixed.draws.push_back(study_bits(study.model(), question, study.draws()[d],
                                             study.test(), options_.seed + d));
        found.mixed = std::move(mixed);
    }

    void ablate(network_study const& study, network_findings& found) {
        std::size_t const draws = study.draws().size();
        labelled_batch const& test = study.test();
        for (auto const codes :
             {qtk::softmax_codes::uniform, qtk::softmax_codes::log2, qtk::softmax_codes::twin})
            for (int const bits : {8, 6, 4, 3}) {
                softmax_row row{std::string(to_string(codes)), bits, {}};
                for (std::size_t d = 0; d < draws; ++d) {
                    qtk::vision_model model = study.model();
                    calibrate_attention(
                        model, study.draws()[d].images,
                        {.operand_bits = 0, .softmax = codes, .softmax_bits = bits});
                    row.runs.push_back(classify(model, test.images, test.labels));
                }
                found.softmax.push_back(std::move(row));
            }
        // A draw for each thread.
        std::vector<std::vector<qtk::ranking_ablation_row>> by_draw(draws);
        std::mutex guard;
        std::size_t done = 0;
        constexpr std::size_t always_worth_threads = std::size_t{1} << 30;
        qtk::single_threaded_blas const one_thread;
        qtk::parallel_for(draws, always_worth_threads, [&](std::size_t d) {
            by_draw[d] = ranking_ablation(study.model(), study.draws()[d].images, test.images,
                                          test.labels, {});
            std::lock_guard const lock(guard);
            line_.show(fmt::format("{}, ranking: {} of {}", study.name(), ++done, draws));
        });
        for (std::size_t i = 0; i < by_draw.front().size(); ++i) {
            ranking_row row{by_draw.front()[i].bits,
                            std::string(to_string(by_draw.front()[i].method)),
                            {},
                            {},
                            {},
                            {}};
            for (std::size_t d = 0; d < draws; ++d) {
                qtk::ranking_ablation_row const& one = by_draw[d][i];
                row.accuracies.push_back(one.accuracy);
                row.losses.push_back(one.agreement.ranking_loss);
                row.correlations.push_back(one.agreement.correlation);
                // The search without ranking comes right before it.
                if (one.method == qtk::step_method::ranking)
                    row.p.push_back(qtk::mcnemar(by_draw[d][i - 1].is_correct, one.is_correct).p);
            }
            found.ranking.push_back(std::move(row));
        }
    }

    energy_study_options const& options_;
    std::vector<any_energy_table> const& tables_;
    edge_rule edges_;
    progress_line line_;
};

void run(energy_study_options const& options) {
    auto const start = std::chrono::steady_clock::now();
    // What cannot be is said before anything is read.
    std::vector<quantization_recipe> const grid = grid_of(options);
    bool const has_hessians =
        !options.has_no_grid && std::ranges::any_of(grid, &quantization_recipe::needs_hessians);
    if (options.is_trained && !has_torch())
        throw qtk::value_error(std::string("--train: ") + torch_hint);
    study_setting setting{.tables = {},
                          .table_lines = {},
                          .edges = options.edges,
                          .range = options.range,
                          .command = command_line(),
                          .seed = options.seed};
    std::vector<any_energy_table> tables;
    for (std::string const& name : options.tables) {
        tables.push_back(find_energy_table(name));
        setting.tables.push_back(tables.back().name);
        setting.table_lines.push_back(qtk::report_line(tables.back()));
    }
    vision_data const data = read_vision_data(options.vision);
    environment const where = environment::now();
    study_runner runner(options, tables);
    std::vector<network_findings> networks;
    std::FILE* const human = options.output.human();
    for (std::size_t i = 0; i < options.vision.models.size(); ++i) {
        network_study const study(options.vision.models[i], open_vision_model(options.vision, i),
                                  data, options.vision.calibration_images, options.seeds,
                                  options.seed, has_hessians);
        networks.push_back(runner.findings(study, data.description));
        fmt::print(human, "{}\n", findings_text(networks.back(), setting));
        std::fflush(human);
    }
    for (std::string const& line : setting.table_lines) fmt::print(human, "{}.\n", line);
    fmt::print(human, "Energies are modelled, not measured. {}.\n", where.describe());
    std::chrono::duration<double> const taken = std::chrono::steady_clock::now() - start;
    fmt::print(human, "{:.0f} s.\n", taken.count());
    json report{{"schema", "qtk.energy.study/1"},
                {"command", setting.command},
                {"environment", where.to_json()},
                {"protocol",
                 {{"edges", setting.edges},
                  {"range", setting.range},
                  {"seed", setting.seed},
                  {"energy_tables", setting.table_lines}}},
                {"models", json::array()}};
    for (network_findings const& found : networks)
        report["models"].push_back(findings_json(found, setting));
    deliver(options.output.json_target, report);
    deliver(options.output.csv_target, findings_csv(networks, setting));
    if (options.report.empty()) return;
    html_page page("Vision networks in few bits");
    page.paragraph(where.describe());
    page.note("Energies are modelled from counted work, not measured:\n" +
                  fmt::format("{}", fmt::join(setting.table_lines, ".\n")) + ".",
              note_kind::doubt);
    for (network_findings const& found : networks) add_findings(page, found, setting);
    page.heading("Made with");
    page.code(setting.command);
    deliver(options.report, page.str());
    fmt::print(human, "The report is in {}.\n", options.report);
}

}  // namespace

void add_study(CLI::App& program) {
    auto const options = std::make_shared<energy_study_options>();
    CLI::App* const command = program.add_subcommand(
        "study", "accuracy, size, energy and speed of vision networks in many formats");
    options->vision.add_to(*command, true);
    command
        ->add_option("--schemes", options->schemes,
                     "formats with codes, such as i4/channel/sym or "
                     "i4/channel/asym@a4_static_asym; by default 24 of bits x granularity x "
                     "symmetry")
        ->delimiter(',')
        ->type_name("FORMAT");
    command
        ->add_option("--methods", options->methods,
                     "such as rtn, mse, gptq, awq, smooth, adaround, brecq; default rtn,gptq")
        ->delimiter(',')
        ->type_name("METHOD");
    command
        ->add_option("--range", options->range,
                     "of static activations: minmax, mse, percentile[:KEEP], entropy or "
                     "average[:RATE]")
        ->capture_default_str();
    command
        ->add_option("--edges", options->edges,
                     "first and last layer: same as the others, 8 (bits) or float")
        ->capture_default_str()
        ->type_name("{same,8,float}");
    command
        ->add_option("--energy-table", options->tables,
                     energy_table_list() + ", or a JSON file; several, the first for charts")
        ->delimiter(',')
        ->type_name("TABLE");
    command->add_option("--seeds", options->seeds, "draws of calibration images")
        ->check(CLI::Range(1, 100))
        ->capture_default_str();
    command->add_option("--seed", options->seed, "of the first draw, and of intervals")
        ->capture_default_str();
    command->add_option("--brecq-steps", options->brecq_steps, "of the last step of the repair")
        ->check(CLI::Range(1, 100000))
        ->capture_default_str();
    command->add_flag("--ablation", options->is_ablation,
                      "of ViTs also: softmax codes, and attention with and without ranking; takes "
                      "minutes");
    command->add_flag("--train", options->is_trained,
                      "repair the collapse also by training (LSQ with distillation, LibTorch); "
                      "takes minutes");
    command->add_flag("--no-ladders", options->has_no_ladders, "leave out the repair step by step");
    command->add_flag("--no-grid", options->has_no_grid, "leave out formats by methods");
    command->add_flag("--no-mixed", options->has_no_mixed, "leave out bits by layer");
    command->add_flag("--no-times", options->has_no_times, "leave out seconds per image");
    options->output.add_to(*command);
    command->add_option("--report", options->report, "a page of HTML")->type_name("FILE");
    add_threads(*command);
    command->callback([options] { run(*options); });
}

}  // namespace app
