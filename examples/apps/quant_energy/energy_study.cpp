// SPDX-License-Identifier: Apache-2.0
#include "energy_study.hpp"

#include <qtk/calibration/method_spelling.hpp>
#include <qtk/calibration/quantize_vision.hpp>
#include <qtk/core/random.hpp>
#include <qtk/kernel/parallel.hpp>
#include <qtk/math/blas.hpp>
#include <qtk/model/layer_format.hpp>
#include <qtk/stats/summary.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <mutex>
#include <utility>

namespace app {

std::string quantization_recipe::name() const {
    if (!label.empty()) return label;
    if (is_float()) return format;
    return format + " " + method + (range == "minmax" ? "" : " " + range);
}

bool quantization_recipe::depends_on_images() const {
    if (is_float()) return false;
    return qtk::parse_method(method).needs_text() ||
           qtk::parse_layer_format(format).activations.type == qtk::activation_type::a8_static;
}

bool quantization_recipe::needs_hessians() const {
    return qtk::parse_method(method).needs_hessian();
}

void quantization_recipe::require() const {
    qtk::layer_format const how = qtk::parse_layer_format(format);
    if (!is_float() && !how.scheme)
        throw qtk::value_error("\"" + format +
                               "\": expected fp32 or a format with codes, such as i4/channel/sym");
    if (how.is_simulated)
        throw qtk::value_error("\"" + format + "\": all networks are packed here, none simulated");
    (void)qtk::parse_method(method);
    (void)qtk::parse_activation_range(range);
}

edge_rule parse_edge_rule(std::string const& text) {
    if (text == "same") return edge_rule::same;
    if (text == "8") return edge_rule::eight;
    if (text == "float") return edge_rule::floats;
    throw qtk::value_error("--edges: expected same, 8 or float, found \"" + text + "\"");
}

std::vector<double> recipe_result::accuracies() const {
    std::vector<double> all;
    for (qtk::classification const& run : runs) all.push_back(run.accuracy());
    return all;
}
double recipe_result::accuracy() const {
    return qtk::mean(accuracies());
}
double recipe_result::deviation() const {
    return runs.size() < 2 ? 0.0 : qtk::standard_deviation(accuracies());
}

accuracy_difference difference(recipe_result const& a, recipe_result const& b, std::uint64_t seed,
                               std::size_t resamples) {
    std::size_t const images = a.runs.front().count();
    if (b.runs.front().count() != images)
        throw qtk::shape_error("difference: the recipes were run on other images");
    std::size_t const draws = std::max(a.runs.size(), b.runs.size());
    auto const run = [](recipe_result const& r, std::size_t d) -> qtk::classification const& {
        return r.runs[r.runs.size() == 1 ? 0 : d];
    };
    auto const gain = [&](std::size_t d, std::size_t i) {
        return static_cast<int>(run(a, d).is_right[i]) - static_cast<int>(run(b, d).is_right[i]);
    };
    accuracy_difference found;
    auto const all = static_cast<double>(images * draws);
    int sum = 0;
    for (std::size_t d = 0; d < draws; ++d)
        for (std::size_t i = 0; i < images; ++i) sum += gain(d, i);
    found.value = static_cast<double>(sum) / all;
    std::vector<double> figures;
    std::size_t below = 0, above = 0;
    for (std::size_t r = 0; r < resamples; ++r) {
        qtk::splitmix64 random(qtk::word_at(seed, r));
        std::vector<std::size_t> which(draws);
        for (std::size_t& d : which)
            d = static_cast<std::size_t>(qtk::uniform_index(random, draws));
        int drawn = 0;
        for (std::size_t i = 0; i < images; ++i) {
            auto const image = static_cast<std::size_t>(qtk::uniform_index(random, images));
            for (std::size_t const d : which) drawn += gain(d, image);
        }
        figures.push_back(static_cast<double>(drawn) / all);
        below += drawn <= 0 ? 1u : 0u;
        above += drawn >= 0 ? 1u : 0u;
    }
    std::ranges::sort(figures);
    found.low = qtk::sorted_quantile(figures, 0.025);
    found.high = qtk::sorted_quantile(figures, 0.975);
    auto const least = static_cast<double>(std::min(below, above) + 1);
    found.p = std::min(1.0, 2.0 * least / static_cast<double>(resamples + 1));
    return found;
}

network_study::network_study(std::string path, qtk::vision_model model, vision_data const& data,
                             std::size_t calibration_images, std::size_t draws, std::uint64_t seed,
                             bool has_hessians)
    : path_(std::move(path)), model_(std::move(model)), data_(data) {
    for (std::size_t d = 0; d < draws; ++d)
        draws_.push_back(data.draw(calibration_images, seed + d));
    for (labelled_batch const& draw : draws_)
        seen_.emplace_back(model_, draw.images,
                           qtk::vision_statistics_options{
                               .has_hessian = [=](qtk::linear const&) { return has_hessians; },
                               .kept_values = std::size_t{1} << 15});
}

bool network_study::has_attention() const {
    return std::holds_alternative<qtk::vision_transformer>(model_.what());
}

qtk::vision_model network_study::quantized(quantization_recipe const& recipe, edge_rule edges,
                                           std::size_t draw) const {
    qtk::vision_model model = model_;
    if (recipe.is_float()) return model;
    qtk::layer_format const format = qtk::parse_layer_format(recipe.format);
    qtk::method_chain const method = qtk::parse_method(recipe.method);
    qtk::vision_plan plan = [&](std::string const&) {
        return qtk::layer_plan{format.scheme, method, format.activations};
    };
    if (edges == edge_rule::eight)
        plan = qtk::with_edges(std::move(plan), model_,
                               qtk::scheme{.element = qtk::i8, .grain = qtk::per_channel});
    if (edges == edge_rule::floats) plan = qtk::with_edges(std::move(plan), model_, std::nullopt);
    auto const outcomes = quantize_vision(model, plan, seen_[draw], draws_[draw].images,
                                          qtk::parse_activation_range(recipe.range));
    pack_layers(model, outcomes);
    return model;
}

double network_study::seconds_per_image(qtk::vision_model const& packed) const {
    constexpr std::size_t images = 32, repetitions = 5;
    std::size_t const count = std::min<std::size_t>(images, test().count());
    qtk::pixel_rows const some = test().images.view().slice(0, count);
    std::vector<double> seconds;
    for (std::size_t r = 0; r <= repetitions; ++r) {
        auto const start = std::chrono::steady_clock::now();
        (void)packed.logits(some);
        std::chrono::duration<double> const taken = std::chrono::steady_clock::now() - start;
        if (r > 0) seconds.push_back(taken.count() / static_cast<double>(count));
    }
    return qtk::median(seconds);
}

void network_study::describe(recipe_result& result, qtk::vision_model const& packed,
                             std::vector<any_energy_table> const& tables, bool has_times) const {
    double weights = 0.0;
    packed.for_each_linear([&](qtk::linear const& layer) {
        auto const count = static_cast<double>(layer.in() * layer.out());
        weights += count;
        result.bytes +=
            static_cast<std::size_t>(qtk::widths_of(layer).weight_bits * count / 8.0 + 0.5);
    });
    result.bits_per_weight = 8.0 * static_cast<double>(result.bytes) / weights;
    auto const work = work_of(packed, test().images.shape());
    for (any_energy_table const& table : tables)
        result.energy.push_back(estimate_energy(std::span<qtk::product_work const>(work), table));
    if (has_times) result.seconds_per_image = seconds_per_image(packed);
}

std::vector<recipe_result> network_study::run(std::vector<quantization_recipe> const& recipes,
                                              edge_rule edges,
                                              std::vector<any_energy_table> const& tables,
                                              bool has_times,
                                              std::function<void()> const& done) const {
    struct job {
        std::size_t recipe, draw;
    };
    std::vector<job> jobs;
    std::vector<recipe_result> results;
    // What takes longest comes first, so that threads end together.
    for (std::size_t i = 0; i < recipes.size(); ++i) {
        results.push_back({.recipe = recipes[i]});
        std::size_t const runs = recipes[i].depends_on_images() ? draws_.size() : 1;
        results.back().runs.resize(runs);
        for (std::size_t d = 0; d < runs; ++d) jobs.push_back({i, d});
    }
    std::ranges::stable_sort(jobs, std::greater<>{}, [&](job const& j) {
        return qtk::parse_method(recipes[j.recipe].method).is_by_block();
    });
    std::vector<std::optional<qtk::vision_model>> first(recipes.size());
    std::mutex guard;
    qtk::single_threaded_blas const one_thread;
    constexpr std::size_t always_worth_threads = std::size_t{1} << 30;
    std::size_t next = 0;
    // Jobs differ too much in length to be shared out beforehand: each thread takes the next one.
    qtk::parallel_for(
        std::min(qtk::thread_count(), jobs.size()), always_worth_threads, [&](std::size_t) {
            while (true) {
                std::unique_lock lock(guard);
                if (next == jobs.size()) return;
                job const now = jobs[next++];
                lock.unlock();
                recipe_result& result = results[now.recipe];
                try {
                    qtk::vision_model model = quantized(result.recipe, edges, now.draw);
                    result.runs[now.draw] = classify(model, test().images, test().labels);
                    if (now.draw == 0) first[now.recipe] = std::move(model);
                } catch (qtk::value_error const& fault) {
                    lock.lock();
                    result.failure = fault.what();
                    lock.unlock();
                }
                lock.lock();
                if (done) done();
            }
        });
    for (std::size_t i = 0; i < results.size(); ++i)
        if (results[i].failure.empty() && first[i])
            describe(results[i], *first[i], tables, has_times);
    return results;
}

std::vector<repair_ladder> repair_ladders(std::size_t brecq_steps) {
    std::vector<repair_ladder> ladders;
    struct bits {
        int weights, activations;
    };
    for (auto const& [w, a] : {bits{3, 0}, bits{2, 0}, bits{4, 4}}) {
        auto const format = [&, w = w, a = a](char const* grain, bool is_symmetric) {
            std::string text = fmt::format("i{}/{}/{}", w, grain, is_symmetric ? "sym" : "asym");
            if (a > 0) text += fmt::format("@a{}_static{}", a, is_symmetric ? "" : "_asym");
            return text;
        };
        std::string const last = format("channel", false);
        ladders.push_back(
            {format("tensor", true),
             {{format("tensor", true), "rtn", "minmax", "per tensor, symmetric"},
              {format("channel", true), "rtn", "minmax", "per channel"},
              {last, "rtn", "minmax", "asymmetric"},
              {last, "mse", "mse", "MSE range"},
              {last, fmt::format("brecq:mse:steps={}", brecq_steps), "mse", "BRECQ"}}});
    }
    return ladders;
}

}  // namespace app
