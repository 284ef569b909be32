// SPDX-License-Identifier: Apache-2.0
#include <qtk/core/spelling.hpp>
#include <qtk/method/adaround.hpp>
#include <qtk/method/auto_round.hpp>
#include <qtk/method/input_statistics.hpp>
#include <qtk/model/vision_reconstruction.hpp>
#include <qtk/quantize_any.hpp>

#include <doctest/doctest.h>

#include "threads.hpp"
#include "tiny_networks.hpp"
#include <optional>
#include <utility>
#include <vector>

namespace {

constexpr qtk::scheme i2_tensor{.element = qtk::i2};
constexpr qtk::scheme a3{
    .element = qtk::i3, .grain = qtk::per_channel, .zero = qtk::origin::floating};

auto soft(qtk::scheme const& s) {
    return [s](qtk::linear const&, qtk::matrix_view<float const> w) {
        return std::optional<qtk::soft_rounding>(std::in_place, s, w, qtk::quantize_options{});
    };
}

/// All images of a digits network's calibration: few, so that the test is short.
struct digits_example {
    qtk_test::digits data;
    qtk::vision_model model =
        qtk::load_vision_model(qtk_test::digits::path("resnet_digits.safetensors"));
    qtk::pixel_rows images = data.images.view().slice(qtk_test::digits::first_calibration, 64);

    [[nodiscard]] double accuracy(qtk::vision_model const& changed) const {
        auto const found = qtk::likeliest_classes(
            changed.logits(data.images.view().slice(qtk_test::digits::first_test, 200)).view());
        std::size_t right = 0;
        for (std::size_t i = 0; i < found.size(); ++i)
            right += found[i] == data.labels[qtk_test::digits::first_test + i] ? 1u : 0u;
        return static_cast<double>(right) / static_cast<double>(found.size());
    }
};

double logit_error(qtk::vision_model const& model, qtk::vision_model const& changed,
                   qtk::pixel_rows images) {
    qtk::matrix const y = model.logits(images), z = changed.logits(images);
    double sum = 0.0;
    for (std::size_t k = 0; k < y.view().size(); ++k) {
        double const e = static_cast<double>(y.data()[k]) - static_cast<double>(z.data()[k]);
        sum += e * e;
    }
    return sum;
}

}  // namespace

TEST_CASE(
    "every kind of network is nearer to the float one than rounded to nearest, part by part") {
    for (auto const& [model, images] : qtk_test::tiny_networks()) {
        for (bool const is_fisher : {false, true}) {
            auto const made = qtk::reconstruct_vision_model(model, images, soft(a3),
                                                            {.block = {.steps = 60, .batch = 0},
                                                             .images_of_a_window = 2,
                                                             .is_fisher = is_fisher});
            REQUIRE(made.parts.size() == qtk::part_count(model));
            CHECK(made.parts.front().name == "stem");
            CHECK(made.parts.back().name == "head");
            std::size_t better = 0;
            for (auto const& part : made.parts) better += part.loss.is_better() ? 1u : 0u;
            CHECK(better + 2 >= made.parts.size());
            std::vector<std::optional<qtk::any_qmatrix>> nearest;
            model.for_each_linear([&](qtk::linear const& layer) {
                nearest.push_back(qtk::quantize_any(layer.weight(), a3));
                REQUIRE(made.weights[nearest.size() - 1].has_value());
                CHECK(made.weights[nearest.size() - 1]->rows() == layer.out());
            });
            qtk::vision_model learned = model, rounded = model;
            qtk::set_codes(learned, made.weights);
            qtk::set_codes(rounded, nearest);
            if (!is_fisher)
                CHECK(logit_error(model, learned, images) < logit_error(model, rounded, images));
        }
    }
}

TEST_CASE("2-bit weights with one scale a tensor, on which round to nearest fails, work again") {
    digits_example const e;
    qtk::vision_model rounded = e.model, learned = e.model;
    std::vector<std::optional<qtk::any_qmatrix>> nearest;
    e.model.for_each_linear([&](qtk::linear const& layer) {
        nearest.push_back(qtk::quantize_any(layer.weight(), i2_tensor));
    });
    qtk::set_codes(rounded, nearest);
    CHECK(e.accuracy(rounded) < 0.3);
    auto const make = [](qtk::linear const&, qtk::matrix_view<float const> w) {
        return std::optional<qtk::soft_rounding>(std::in_place, i2_tensor, w,
                                                 qtk::quantize_options{},
                                                 qtk::adaround_options{.range = qtk::mse_range{}});
    };
    auto const made =
        qtk::reconstruct_vision_model(e.model, e.images, make, {.block = {.steps = 60}});
    qtk::set_codes(learned, made.weights);
    CHECK(e.accuracy(learned) > 0.9);
}

TEST_CASE("learned from the Hessian of its windows, a convolution serves its outputs better") {
    digits_example const e;
    std::size_t layers = 0;
    std::vector<std::pair<qtk::linear const*, qtk::input_statistics>> seen;
    static_cast<void>(
        e.model.logits(e.images, [&](qtk::linear const& layer, qtk::matrix_view<float const> x) {
            if (seen.empty() || seen.back().first != &layer) {
                if (++layers > 3) return;  // the first ones will do
                seen.emplace_back(&layer, qtk::input_statistics(layer.in(), {.has_hessian = true}));
            }
            seen.back().second.add(x);
        }));
    for (auto const& [layer, statistics] : seen) {
        qtk::matrix const h = statistics.hessian();
        auto const made = qtk::adaround(h).reconstruct(a3, layer->weight().view());
        CHECK(made.report.learned < 0.9 * made.report.nearest);
    }
}

TEST_CASE("activations are rounded while weights learn, and the layers before as they will run") {
    auto const networks = qtk_test::tiny_networks();
    auto const& [model, images] = networks[0];
    std::vector<qtk::layer_activations> coarse;
    model.for_each_linear([&](qtk::linear const&) {
        coarse.push_back({.type = qtk::activation_type::a8_static,
                          .grid = {.scale = 2.0f, .lowest = -7, .highest = 7}});
    });
    qtk::vision_reconstruction_options const how{.block = {.steps = 40, .batch = 0}};
    auto const plain = qtk::reconstruct_vision_model(model, images, soft(a3), how);
    auto const aware = qtk::reconstruct_vision_model(model, images, soft(a3), how, coarse);
    CHECK(aware.parts[1].loss.nearest != plain.parts[1].loss.nearest);
    qtk::vision_model with_plain = model, with_aware = model;
    qtk::set_codes(with_plain, plain.weights, coarse);
    qtk::set_codes(with_aware, aware.weights, coarse);
    // The reports' losses are those of the networks that run, from the first part on.
    qtk::image_batch const float_stem = qtk::run_part(model, 0, images);
    qtk::image_batch const stem = qtk::run_part(with_aware, 0, images);
    double sum = 0.0;
    for (std::size_t k = 0; k < stem.pixels().size(); ++k) {
        double const e = static_cast<double>(stem.pixels().data[k]) -
                         static_cast<double>(float_stem.pixels().data[k]);
        sum += e * e;
    }
    auto const& report = aware.parts[0].loss;
    CHECK(sum / static_cast<double>(stem.pixels().size()) ==
          doctest::Approx(std::min(report.learned, report.nearest)).epsilon(1e-4));
    CHECK(logit_error(model, with_aware, images) < logit_error(model, with_plain, images));
}

TEST_CASE("layers for which nothing is made stay floats, and so do their activations") {
    auto const networks = qtk_test::tiny_networks();
    auto const& [model, images] = networks[0];
    auto const some = [](qtk::linear const& layer, qtk::matrix_view<float const> w) {
        return layer.name() == "conv1" || layer.name() == "fc"
                   ? std::nullopt
                   : std::optional<qtk::signed_rounding>(std::in_place, a3, w,
                                                         qtk::quantize_options{});
    };
    auto const made = qtk::reconstruct_vision_model(model, images, some, {.block = {.steps = 5}});
    CHECK(!made.weights.front().has_value());
    CHECK(!made.weights.back().has_value());
    CHECK(made.weights[1].has_value());
    CHECK(made.parts[0].loss.nearest == 0.0);
    qtk::vision_model changed = model;
    qtk::set_codes(changed, made.weights);
    std::size_t quantized = 0;
    changed.for_each_linear([&](qtk::linear const& l) { quantized += l.is_quantized() ? 1u : 0u; });
    CHECK(quantized + 2 == made.weights.size());
}

TEST_CASE("codes do not depend on the number of threads") {
    auto const networks = qtk_test::tiny_networks();
    auto const& [model, images] = networks[2];
    qtk_test::same_for_any_threads([&] {
        return qtk::reconstruct_vision_model(
                   model, images, soft(a3),
                   {.block = {.steps = 10, .batch = 2}, .images_of_a_window = 1, .is_fisher = true})
            .weights;
    });
}

TEST_CASE("Fisher without labels takes the classes that the network itself gives") {
    auto const networks = qtk_test::tiny_networks();
    auto const& [model, images] = networks[1];
    auto const own = qtk::likeliest_classes(model.logits(images).view());
    std::vector<std::size_t> other = own;
    for (std::size_t& c : other) c = (c + 1) % 5;
    qtk::vision_reconstruction_options const how{.block = {.steps = 4}, .is_fisher = true};
    auto const with = [&](std::span<std::size_t const> labels) {
        return qtk::reconstruct_vision_model(model, images, soft(a3), how, {}, labels);
    };
    CHECK(with({}).weights == with(own).weights);
    CHECK(with(other).parts[2].loss.nearest != with(own).parts[2].loss.nearest);
}

TEST_CASE(
    "activations of another number of layers are refused, and codes too; so is having no image") {
    auto const networks = qtk_test::tiny_networks();
    auto model = networks[0].first;
    auto const& images = networks[0].second;
    std::vector<qtk::layer_activations> const few(2);
    CHECK_THROWS_WITH_AS(
        static_cast<void>(qtk::reconstruct_vision_model(model, images, soft(a3), {}, few)),
        "vision reconstruction: expected the activations of 11 layers, found 2", qtk::value_error);
    CHECK_THROWS_WITH_AS(qtk::set_codes(model, {}),
                         "vision model: expected codes, and activations if any, of 11 layers, "
                         "found 0 and 0",
                         qtk::value_error);
    CHECK_THROWS_AS(static_cast<void>(
                        qtk::reconstruct_vision_model(model, images.view().slice(0, 0), soft(a3))),
                    qtk::value_error);
}
