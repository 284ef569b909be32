// SPDX-License-Identifier: Apache-2.0
#include <qtk/model/gauss_newton_trace.hpp>
#include <qtk/model/vision_gradient.hpp>

#include <doctest/doctest.h>

#include "threads.hpp"
#include "tiny_networks.hpp"
#include <cmath>
#include <vector>

namespace {

/// The ResNet with weights so small that several classes are likely.
qtk::vision_model unsure_resnet() {
    qtk::vision_model model = qtk_test::load_folder(qtk_test::tiny_resnet(3));
    model.for_each_linear([](qtk::linear& layer) {
        qtk::matrix w = layer.weight();
        for (float& v : w.view().flat()) v *= 0.15f;
        layer.set_weight(std::move(w));
    });
    return model;
}

/// tr H of one layer by differences of gradients, one weight after the other.
double trace_by_differences(qtk::vision_model model, std::size_t layer, qtk::pixel_rows images,
                            std::vector<std::size_t> const& labels, float step) {
    std::vector<qtk::linear*> layers;
    model.for_each_linear([&](qtk::linear& l) { layers.push_back(&l); });
    qtk::matrix w = layers[layer]->weight();
    double trace = 0.0;
    for (std::size_t at = 0; at < w.view().size(); ++at) {
        float const kept = w.data()[at];
        auto const slope = [&](float v) {
            w.data()[at] = v;
            layers[layer]->set_weight(w);
            return static_cast<double>(
                qtk::vision_loss_gradients(model, images, labels).by_weights[layer].data()[at]);
        };
        trace += (slope(kept + step) - slope(kept - step)) / (2.0 * static_cast<double>(step));
        w.data()[at] = kept;
    }
    return trace;
}

}  // namespace

TEST_CASE("for a network of ReLUs it is the trace of the whole Hessian, whatever the labels") {
    qtk::vision_model const model = unsure_resnet();
    qtk::image_batch const images = qtk_test::random_images(3, {4, 4, 3}, 91);
    auto const found = qtk::gauss_newton_traces(model, images);
    std::size_t const last = found.size() - 1;
    CHECK(found[last].layer == "fc");
    CHECK(found[0].weights == 108);
    for (std::size_t const layer : {std::size_t{1}, last - 1, last})
        for (std::size_t const label : {std::size_t{0}, std::size_t{3}}) {
            CAPTURE(found[layer].layer);
            double const exact = trace_by_differences(model, layer, images,
                                                      std::vector<std::size_t>(3, label), 2e-4f);
            CHECK(exact > 0.0);
            CHECK(found[layer].trace == doctest::Approx(exact).epsilon(0.05));
        }
}

TEST_CASE("unlikely classes may be left out, and images are a sample") {
    auto const networks = qtk_test::tiny_networks();
    auto const& [model, images] = networks[2];
    auto const with = [&](float least) {
        return qtk::gauss_newton_traces(model, images, {.least_probability = least})[3].trace;
    };
    CHECK(with(0.0f) == doctest::Approx(with(1e-6f)).epsilon(1e-3));
    CHECK(with(0.6f) < with(0.0f));
    CHECK(std::isinf(qtk::gauss_newton_traces(model, images.view().slice(0, 1))[0].standard_error));
    double sum = 0.0;
    for (std::size_t n = 0; n < images.count(); ++n)
        sum += qtk::gauss_newton_traces(model, images.view().slice(n, 1))[3].trace;
    CHECK(with(1e-6f) == doctest::Approx(sum / static_cast<double>(images.count())));
    CHECK_THROWS_WITH_AS(
        static_cast<void>(qtk::gauss_newton_traces(model, images.view().slice(0, 0))),
        "Gauss-Newton trace: expected at least one image", qtk::value_error);
}

TEST_CASE("curvatures do not depend on the number of threads, nor on that of lanes") {
    auto const networks = qtk_test::tiny_networks();
    auto const& [model, images] = networks[0];
    auto const with = [&](std::size_t lanes) {
        return qtk::gauss_newton_traces(model, images, {.lanes = lanes})[2].trace;
    };
    qtk_test::same_for_any_threads([&] { return with(3); });
    CHECK(with(1) == with(4));
}
