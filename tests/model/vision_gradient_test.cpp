// SPDX-License-Identifier: Apache-2.0
#include <qtk/model/vision_gradient.hpp>

#include <doctest/doctest.h>

#include "gradients.hpp"
#include "threads.hpp"
#include "tiny_networks.hpp"
#include <cmath>
#include <string>
#include <vector>

namespace {

std::vector<std::size_t> const labels{0, 4, 2, 2, 1};

/// Mean of -ln p(label), from the logits.
double loss_of(qtk::vision_model const& model, qtk::pixel_rows images) {
    qtk::matrix const logits = model.logits(images);
    double loss = 0.0;
    for (std::size_t n = 0; n < logits.rows(); ++n) {
        double sum = 0.0;
        for (float const v : logits.view().row(n)) sum += std::exp(static_cast<double>(v));
        loss += std::log(sum) - static_cast<double>(logits(n, labels[n]));
    }
    return loss / static_cast<double>(logits.rows());
}

/// The same network with weights small enough for differences to say something.
qtk::vision_model shrunk(qtk::vision_model model) {
    model.for_each_linear([](qtk::linear& layer) {
        qtk::matrix w = layer.weight();
        for (float& v : w.view().flat()) v *= 0.4f;
        layer.set_weight(std::move(w));
    });
    return model;
}

}  // namespace

TEST_CASE(
    "the gradients of the loss by the first weights, the last ones and the images agree with "
    "differences") {
    for (auto& [wide, some] : qtk_test::tiny_networks()) {
        qtk::vision_model model = shrunk(wide);
        qtk::image_batch images = some;
        auto const by = qtk::vision_loss_gradients(model, images, labels);
        CHECK(by.loss == doctest::Approx(loss_of(model, images)).epsilon(1e-5));
        CHECK(by.by_outputs.empty());
        auto const loss = [&] { return loss_of(model, images); };
        // Steps cross few kinks of ReLUs; where there are none, they are long enough for floats.
        float const step = std::holds_alternative<qtk::resnet>(model.what()) ? 5e-4f : 8e-3f;
        qtk_test::check_gradient(images.pixels().flat(), by.by_images.view().flat(), loss, 6e-2,
                                 step);
        std::vector<qtk::linear*> layers;
        model.for_each_linear([&](qtk::linear& layer) { layers.push_back(&layer); });
        REQUIRE(by.by_weights.size() == layers.size());
        for (std::size_t const i : {std::size_t{0}, std::size_t{1}, layers.size() - 1}) {
            CAPTURE(layers[i]->name());
            qtk::matrix w = layers[i]->weight();
            qtk_test::check_gradient(
                w.view().flat(), by.by_weights[i].view().flat(),
                [&] {
                    layers[i]->set_weight(w);
                    return loss();
                },
                6e-2, step);
        }
    }
}

TEST_CASE("the gradients by outputs are those by what the next part is given") {
    for (auto const& [model, images] : qtk_test::tiny_networks()) {
        auto const by = qtk::vision_loss_gradients(model, images, labels,
                                                   {.has_weights = false, .has_outputs = true});
        CHECK(by.by_weights.empty());
        REQUIRE(by.by_outputs.size() == qtk::part_count(model));
        qtk::image_batch x = images;
        for (std::size_t i = 0; i < by.by_outputs.size(); ++i) {
            qtk::part_tape const tape(model, i, x);
            qtk::matrix const before = tape.backward(by.by_outputs[i].view(), {});
            qtk::matrix const& expected = i == 0 ? by.by_images : by.by_outputs[i - 1];
            REQUIRE(before.shape() == expected.shape());
            float largest = 0.0f, worst = 0.0f;
            for (std::size_t k = 0; k < before.view().size(); ++k) {
                largest = std::max(largest, std::fabs(expected.data()[k]));
                worst = std::max(worst, std::fabs(expected.data()[k] - before.data()[k]));
            }
            CHECK(worst <= 1e-4f * largest);
            x = tape.output();
        }
        // p - 1 at the label, p elsewhere: rows of the logits' gradient have no sum.
        for (std::size_t n = 0; n < labels.size(); ++n) {
            double sum = 0.0;
            for (float const v : by.by_outputs.back().view().row(n)) sum += static_cast<double>(v);
            CHECK(std::fabs(sum) < 1e-6);
            CHECK(by.by_outputs.back()(n, labels[n]) <= 0.0f);
        }
    }
}

TEST_CASE("gradients do not depend on the number of threads, and hardly on that of lanes") {
    auto const networks = qtk_test::tiny_networks();
    auto const& [model, images] = networks[0];
    auto const first = [&](std::size_t lanes) {
        return qtk::vision_loss_gradients(model, images, labels, {.lanes = lanes}).by_weights[0];
    };
    qtk_test::same_for_any_threads([&] { return first(3); });
    for (std::size_t k = 0; k < first(1).view().size(); ++k)
        CHECK(first(1).data()[k] == doctest::Approx(first(5).data()[k]).epsilon(1e-3));
}

TEST_CASE("labels that the network does not know are refused, and images without one") {
    auto const networks = qtk_test::tiny_networks();
    auto const& [model, images] = networks[0];
    std::vector<std::size_t> const unknown{0, 1, 5, 0, 0};
    CHECK_THROWS_WITH_AS(static_cast<void>(qtk::vision_loss_gradients(model, images, unknown)),
                         "loss gradients: label 2 is 5, but the network knows 5 classes",
                         qtk::value_error);
    CHECK_THROWS_WITH_AS(
        static_cast<void>(qtk::vision_loss_gradients(model, images, std::span(unknown).first(2))),
        "loss gradients: expected a label for each of 5 images, and at least one, found 2",
        qtk::value_error);
}
