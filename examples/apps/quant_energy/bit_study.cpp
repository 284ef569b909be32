// SPDX-License-Identifier: Apache-2.0
#include "bit_study.hpp"

#include <qtk/calibration/activation_range.hpp>
#include <qtk/calibration/method_spelling.hpp>
#include <qtk/calibration/quantize_vision.hpp>
#include <qtk/eval/network_energy.hpp>
#include <qtk/model/layer_format.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <map>
#include <utility>

namespace app {
namespace {

std::optional<double> number(std::string const& text) {
    double value = 0.0;
    auto const [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (failure != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return value;
}

/// The bits of the first and the last layer; nothing where they are searched.
std::optional<int> edge_bits(bit_formats const& formats) {
    if (formats.first_last == "search") return std::nullopt;
    auto const bits = number(formats.first_last);
    if (!bits || *bits != std::floor(*bits) || *bits < 2 || *bits > 8)
        throw qtk::value_error("--first-last: expected search or 2 to 8 bits, found \"" +
                               formats.first_last + "\"");
    return static_cast<int>(*bits);
}

qtk::layer_plan plan_of(bit_formats const& formats, int bits) {
    auto const format = qtk::parse_layer_format(formats.format(bits));
    return {.scheme = format.scheme,
            .method = qtk::parse_method(formats.method),
            .activations = format.activations};
}

/// The rows that one image gives a layer, from a sample of rows of many.
qtk::matrix rows_of_an_image(qtk::matrix_view<float const> sample, std::size_t m) {
    qtk::matrix rows(m, sample.cols);
    for (std::size_t r = 0; r < m; ++r)
        std::ranges::copy(sample.row(r % sample.rows), rows.view().row(r).begin());
    return rows;
}

double median_seconds(qtk::linear const& layer, qtk::matrix_view<float const> x,
                      std::size_t repetitions) {
    using clock = std::chrono::steady_clock;
    qtk::matrix y(x.rows, layer.out());
    auto const seconds = [&](std::size_t times) {
        auto const start = clock::now();
        for (std::size_t i = 0; i < times; ++i) layer.apply(x, y.view());
        return std::chrono::duration<double>(clock::now() - start).count();
    };
    // Long enough for the clock: 200 microseconds a repetition.
    std::size_t times = 1;
    while (seconds(times) < 200e-6 && times < 10000) times *= 2;
    std::vector<double> all;
    for (std::size_t i = 0; i < repetitions; ++i)
        all.push_back(seconds(times) / static_cast<double>(times));
    return qtk::median(all);
}

double budget_of(std::string const& text, qtk::candidate_network const& candidates,
                 bit_costs const& costs) {
    constexpr std::string_view uniform = "uniform";
    if (text.starts_with(uniform)) {
        auto const bits = number(text.substr(uniform.size()));
        if (bits) return costs.sum(candidates.uniform(static_cast<int>(*bits)));
    } else if (auto const amount = number(text); amount && *amount > 0.0) {
        return *amount;
    }
    throw qtk::value_error(
        fmt::format("--budget: expected uniform4 (the cost of 4 bits everywhere) or an amount "
                    "in {}, found \"{}\"",
                    costs.unit, text));
}

/// One draw at work.
class draw_study {
  public:
    draw_study(qtk::vision_model const& model, bit_question const& question,
               shown_images const& calibration, shown_images const& test, std::uint64_t seed)
        : question_(question),
          calibration_(calibration),
          test_(test),
          seen_(model, calibration.images,
                {.has_hessian = needs_hessian(question.formats), .seed = seed}),
          candidates_(packed_candidates(model, question.formats, seen_, calibration.images)) {
        draw_.seed = seed;
        model.for_each_product(calibration.images.shape(),
                               [&](qtk::network_product const& p) { products_.push_back(p); });
        draw_.floats_on_calibration = qtk::classify(model, calibration.images, calibration.labels);
    }

    bit_draw run(qtk::vision_model const& model) {
        measure(model);
        add_costs();
        for (bit_costs const& costs : draw_.costs)
            for (std::string const& budget : question_.budgets) assign(costs, budget);
        qtk::sensitivity const kind = qtk::parse_sensitivity(question_.sensitivities.front());
        draw_.front = qtk::bit_pareto_front(choices(draw_.costs.front(), kind));
        return std::move(draw_);
    }

  private:
    static std::function<bool(qtk::linear const&)> needs_hessian(bit_formats const& formats) {
        bool const needs = qtk::parse_method(formats.method).needs_hessian();
        return [needs](qtk::linear const&) { return needs; };
    }
    void tell(std::string const& text) const {
        if (question_.progress) question_.progress(fmt::format("seed {}: {}", draw_.seed, text));
    }

    void measure(qtk::vision_model const& model) {
        std::vector<double> traces;
        if (std::ranges::find(question_.sensitivities, "hessian") !=
            question_.sensitivities.end()) {
            if (!question_.traces)
                throw qtk::value_error("--sensitivity hessian: there are no traces");
            tell("traces of the Hessian");
            traces = question_.traces(model, calibration_);
        }
        draw_.sensitivities = qtk::measure_sensitivity(
            candidates_,
            {.images = calibration_.images,
             .labels = calibration_.labels,
             .rows = [&](std::string const& layer) { return seen_.of(layer).rows(); },
             .mean_traces = traces},
            [&](std::size_t l) { tell(fmt::format("layer {} of {}", l + 1, candidates_.size())); });
    }
    void add_costs() {
        for (std::string const& cost : question_.costs) {
            if (cost == "size") {
                draw_.costs.push_back(size_costs(candidates_));
            } else if (cost == "latency") {
                tell("latencies");
                draw_.costs.push_back(measured_latencies(candidates_, products_, seen_,
                                                         question_.latency_repetitions));
            } else if (cost == "energy") {
                for (std::string const& table : question_.energy_tables)
                    draw_.costs.push_back(energy_costs(candidates_, products_,
                                                       find_energy_table(table),
                                                       question_.is_without_reuse));
            } else {
                throw qtk::value_error("--cost: expected energy, size or latency, found \"" + cost +
                                       "\"");
            }
        }
    }
    [[nodiscard]] std::vector<qtk::layer_choices> choices(bit_costs const& costs,
                                                          qtk::sensitivity kind) const {
        return qtk::choices_of(draw_.sensitivities, kind,
                               [&](std::size_t l, std::size_t c) { return costs.of[l][c]; });
    }

    void assign(bit_costs const& costs, std::string const& budget) {
        double const allowed = budget_of(budget, candidates_, costs);
        auto const add = [&](std::string const& solver, std::string const& kind,
                             std::vector<std::size_t> choice) {
            tell(fmt::format("{}, {}, {} {}", costs.name, budget, solver, kind));
            run_assignment& run = draw_.runs.emplace_back();
            run = {.cost = costs.name,
                   .budget = budget,
                   .solver = solver,
                   .sensitivity = kind,
                   .choice = std::move(choice),
                   .bits = {},
                   .formats = {},
                   .allowed = allowed,
                   .test = {}};
            finish(run, costs);
        };
        if (budget.starts_with("uniform"))
            add("uniform", "", candidates_.uniform(static_cast<int>(*number(budget.substr(7)))));
        if (!question_.recipe.empty()) add("recipe", "", of_recipe());
        // Rounding of sums in another order must not forbid the uniform assignment itself.
        double const limit = allowed * (1.0 + 1e-12);
        for (std::string const& solver : question_.solvers) {
            if (solver == "haq") {
                add(solver, "", by_episodes(costs, limit));
                continue;
            }
            for (std::string const& name : question_.sensitivities) {
                auto const layers = choices(costs, qtk::parse_sensitivity(name));
                if (solver == "exact")
                    add(solver, name, qtk::assign_bits(layers, limit).choice);
                else if (solver == "greedy")
                    add(solver, name, qtk::assign_bits_greedily(layers, limit).choice);
                else
                    throw qtk::value_error("--solver: expected exact, greedy or haq, found \"" +
                                           solver + "\"");
            }
        }
    }
    std::vector<std::size_t> of_recipe() const {
        std::vector<std::size_t> choice;
        for (std::size_t l = 0; l < candidates_.size(); ++l) {
            std::string const& name = candidates_.original(l).name();
            auto const wanted = question_.recipe.find(name);
            if (wanted == question_.recipe.end())
                throw qtk::value_error("--from-recipe: there is no line for the layer " + name);
            auto const of_layer = candidates_.of(l);
            auto const found =
                std::ranges::find(of_layer, wanted->second, &qtk::layer_candidate::format);
            if (found == of_layer.end())
                throw qtk::value_error(
                    fmt::format("--from-recipe: {}={} is none of the formats of that layer here. "
                                "Hint: --bits, --scheme, --activation-bits, --first-last",
                                name, wanted->second));
            choice.push_back(static_cast<std::size_t>(found - of_layer.begin()));
        }
        return choice;
    }
    std::vector<std::size_t> by_episodes(bit_costs const& costs, double limit) {
        auto const layers = choices(costs, qtk::sensitivity::loss);
        double const accuracy = draw_.floats_on_calibration.accuracy();
        auto options = question_.episodes;
        options.seed = draw_.seed;
        options.progress = [&](std::size_t episode, double) {
            tell(fmt::format("episode {}", episode + 1));
        };
        return qtk::search_by_episodes(
                   layers, limit,
                   [&](std::span<std::size_t const> choice) {
                       auto const found = qtk::classify(candidates_.with(choice),
                                                        calibration_.images, calibration_.labels);
                       // Where accuracies are equal the loss decides, by less than one image counts.
                       double const image = 0.1 / static_cast<double>(found.count());
                       double const loss =
                           std::isfinite(found.mean_loss()) ? found.mean_loss() : 1e30;
                       return 0.1 * (found.accuracy() - accuracy) -
                              0.5 * image * loss / (1.0 + loss);
                   },
                   options)
            .best.choice;
    }
    void finish(run_assignment& run, bit_costs const& costs) {
        double weights = 0.0;
        for (std::size_t l = 0; l < run.choice.size(); ++l) {
            qtk::layer_candidate const& candidate = candidates_.of(l)[run.choice[l]];
            run.bits.push_back(candidate.bits);
            run.formats.push_back(candidate.format);
            double const size = static_cast<double>(candidate.layer.in()) *
                                static_cast<double>(candidate.layer.out());
            weights += size;
            run.mean_bits += size * candidate.bits;
        }
        run.mean_bits /= weights;
        run.spent = costs.sum(run.choice);
        run.predicted_loss = draw_.floats_on_calibration.mean_loss();
        for (std::size_t l = 0; l < run.choice.size(); ++l)
            run.predicted_loss += draw_.sensitivities[l].candidates[run.choice[l]].loss;
        // The same assignment runs once.
        for (run_assignment const& other : draw_.runs)
            if (&other != &run && other.choice == run.choice) {
                run.calibration_loss = other.calibration_loss;
                run.test = other.test;
                return;
            }
        qtk::vision_model const& model = candidates_.with(run.choice);
        run.calibration_loss =
            qtk::classify(model, calibration_.images, calibration_.labels).mean_loss();
        run.test = qtk::classify(model, test_.images, test_.labels);
    }

    bit_question const& question_;
    shown_images const& calibration_;
    shown_images const& test_;
    qtk::vision_statistics seen_;
    qtk::candidate_network candidates_;
    std::vector<qtk::network_product> products_;
    bit_draw draw_;
};

}  // namespace

std::string bit_formats::format(int weight_bits) const {
    std::size_t const at = scheme.find('B');
    if (at == scheme.npos)
        throw qtk::value_error(
            "--scheme: expected a scheme with B for the bits, such as "
            "iB/channel/sym, found \"" +
            scheme + "\"");
    std::string text = scheme.substr(0, at) + std::to_string(weight_bits) + scheme.substr(at + 1);
    if (activations == "f32") return text;
    std::string const bits = activations == "same" ? std::to_string(weight_bits) : activations;
    return text + "@a" + bits + (has_symmetric_activations ? "_static" : "_static_asym");
}

void bit_formats::require() const {
    if (bits.empty()) throw qtk::value_error("--bits: expected at least one number of bits");
    for (int const b : bits) (void)plan_of(*this, b);
    (void)edge_bits(*this);
    (void)qtk::parse_activation_range(range);
}

qtk::candidate_network packed_candidates(qtk::vision_model const& model, bit_formats const& formats,
                                         qtk::vision_statistics const& seen,
                                         qtk::pixel_rows images) {
    qtk::candidate_network candidates(model);
    std::string const first = candidates.original(0).name(),
                      last = candidates.original(candidates.size() - 1).name();
    auto const is_edge = [&](qtk::linear const& layer) {
        return layer.name() == first || layer.name() == last;
    };
    std::optional<int> const edges = edge_bits(formats);
    auto const range = qtk::parse_activation_range(formats.range);
    auto const add = [&](int bits, std::function<bool(qtk::linear const&)> const& is_wanted) {
        qtk::vision_model copy = model;
        qtk::layer_plan const plan = plan_of(formats, bits), none;
        std::map<std::string, bool> wanted;
        model.for_each_linear(
            [&](qtk::linear const& layer) { wanted[layer.name()] = is_wanted(layer); });
        auto const outcomes = qtk::quantize_vision(
            copy, [&](std::string const& name) { return wanted.at(name) ? plan : none; }, seen,
            images, range);
        qtk::pack_layers(copy, outcomes);
        candidates.add(bits, formats.format(bits), copy, is_wanted);
    };
    for (int const bits : formats.bits)
        add(bits, [&](qtk::linear const& layer) { return !edges || !is_edge(layer); });
    if (edges) add(*edges, is_edge);
    return candidates;
}

double bit_costs::sum(std::span<std::size_t const> choice) const {
    double all = 0.0;
    for (std::size_t l = 0; l < choice.size(); ++l) all += of[l][choice[l]];
    return all;
}

bit_costs size_costs(qtk::candidate_network const& candidates) {
    bit_costs costs{.name = "size",
                    .unit = "bytes",
                    .line = "size: bytes of the weights' codes, scales and zero points",
                    .of = {}};
    for (std::size_t l = 0; l < candidates.size(); ++l) {
        auto& of_layer = costs.of.emplace_back();
        for (qtk::layer_candidate const& c : candidates.of(l))
            of_layer.push_back(qtk::widths_of(c.layer).weight_bits / 8.0 *
                               static_cast<double>(c.layer.in()) *
                               static_cast<double>(c.layer.out()));
    }
    return costs;
}

bit_costs energy_costs(qtk::candidate_network const& candidates,
                       std::span<qtk::network_product const> products,
                       any_energy_table const& table, bool is_without_reuse) {
    bit_costs costs{.name = table.name + (is_without_reuse ? " (no reuse)" : ""),
                    .unit = "J",
                    .line = qtk::report_line(table),
                    .of = {}};
    auto const machine = qtk::priced_hierarchy();
    auto const joules = [&](qtk::network_product const& p, qtk::product_widths const& widths) {
        qtk::layer_work const work = is_without_reuse ? qtk::work_without_reuse(p, widths)
                                                      : qtk::work_of(p, widths, machine);
        return qtk::estimate_energy(std::span<qtk::layer_work const>(&work, 1), table)
            .total()
            .count();
    };
    for (qtk::network_product const& p : products) {
        if (p.layer == nullptr) {
            if (!is_without_reuse) costs.fixed += joules(p, qtk::widths_of(p));
            continue;
        }
        auto& of_layer = costs.of.emplace_back();
        for (qtk::layer_candidate const& c : candidates.of(costs.of.size() - 1))
            of_layer.push_back(joules(p, qtk::widths_of(c.layer)));
    }
    return costs;
}

bit_costs measured_latencies(qtk::candidate_network const& candidates,
                             std::span<qtk::network_product const> products,
                             qtk::vision_statistics const& seen, std::size_t repetitions) {
    bit_costs costs{
        .name = "latency",
        .unit = "s",
        .line = fmt::format("latency: seconds of the packed product with the rows of one image, "
                            "the median of {} repetitions on this machine",
                            repetitions),
        .of = {}};
    for (qtk::network_product const& p : products) {
        if (p.layer == nullptr) continue;
        auto const rows = rows_of_an_image(seen.of(p.name).rows(), p.m);
        auto& of_layer = costs.of.emplace_back();
        for (qtk::layer_candidate const& c : candidates.of(costs.of.size() - 1))
            of_layer.push_back(median_seconds(c.layer, rows.view(), repetitions));
    }
    return costs;
}

bit_draw study_bits(qtk::vision_model const& model, bit_question const& question,
                    shown_images const& calibration, shown_images const& test, std::uint64_t seed) {
    question.formats.require();
    return draw_study(model, question, calibration, test, seed).run(model);
}

}  // namespace app
