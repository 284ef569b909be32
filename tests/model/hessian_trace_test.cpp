// SPDX-License-Identifier: Apache-2.0
#include <qtk/model/hessian_trace.hpp>

#include <doctest/doctest.h>

#include "threads.hpp"
#include "tiny_networks.hpp"
#include <cmath>
#include <vector>

namespace {

std::vector<std::size_t> const labels{0, 4, 2, 2, 1};

/// tr H of one layer by differences of gradients, one weight after the other.
double trace_by_differences(qtk::vision_model model, std::size_t layer, qtk::pixel_rows images,
                            float step) {
    std::vector<qtk::linear*> layers;
    model.for_each_linear([&](qtk::linear& l) { layers.push_back(&l); });
    qtk::matrix w = layers[layer]->weight();
    double trace = 0.0;
    for (float& v : w.view().flat()) {
        float const kept = v;
        auto const at = static_cast<std::size_t>(&v - w.data());
        auto const slope = [&] {
            layers[layer]->set_weight(w);
            return static_cast<double>(
                qtk::vision_loss_gradients(model, images, labels).by_weights[layer].data()[at]);
        };
        v = kept + step;
        double const above = slope(), up = static_cast<double>(v);
        v = kept - step;
        double const below = slope(), down = static_cast<double>(v);
        v = kept;
        trace += (above - below) / (up - down);
    }
    return trace;
}

}  // namespace

TEST_CASE("the last layer's trace is known: sum over images of p (1 - p) |x|^2") {
    auto const networks = qtk_test::tiny_networks();
    auto const& [model, images] = networks[2];
    double exact = 0.0;
    qtk::matrix const logits =
        model.logits(images, [&](qtk::linear const& layer, qtk::matrix_view<float const> x) {
            if (layer.name() != "head") return;
            qtk::matrix scores(x.rows, layer.out());
            layer.apply(x, scores.view());
            for (std::size_t n = 0; n < x.rows; ++n) {
                double square = 0.0, total = 0.0, squares = 0.0;
                for (float const v : x.row(n))
                    square += static_cast<double>(v) * static_cast<double>(v);
                for (float const s : scores.view().row(n))
                    total += std::exp(static_cast<double>(s));
                for (float const s : scores.view().row(n))
                    squares += std::pow(std::exp(static_cast<double>(s)) / total, 2.0);
                exact += (1.0 - squares) * square / static_cast<double>(x.rows);
            }
        });
    auto const found = qtk::hessian_traces(model, images, labels, {.probes = 200});
    CHECK(found.back().layer == "head");
    CHECK(found.back().weights == 40);
    CHECK(found.back().trace > 0.0);
    CHECK(std::fabs(found.back().trace - exact) < 4.0 * found.back().standard_error);
    CHECK(found.back().standard_error < 0.25 * exact);
}

TEST_CASE("traces of inner layers agree with differences of gradients, within their errors") {
    auto const networks = qtk_test::tiny_networks();
    auto const& [model, images] = networks[2];  // no kinks
    auto const found = qtk::hessian_traces(model, images, labels, {.probes = 300, .seed = 5});
    for (std::size_t const layer : {std::size_t{0}, std::size_t{2}, std::size_t{8}}) {
        double const exact = trace_by_differences(model, layer, images, 1e-2f);
        CAPTURE(found[layer].layer);
        CHECK(std::fabs(found[layer].trace - exact) < 4.0 * found[layer].standard_error);
        CHECK(found[layer].standard_error < 0.5 * std::fabs(exact));
    }
}

TEST_CASE("more probes have less error, one has none to tell, and signs are seeded") {
    auto const networks = qtk_test::tiny_networks();
    auto const& [model, images] = networks[2];
    auto const with = [&](std::size_t probes, std::uint64_t seed) {
        return qtk::hessian_traces(model, images, labels, {.probes = probes, .seed = seed}).back();
    };
    CHECK(std::isinf(with(1, 0).standard_error));
    CHECK(with(64, 0).standard_error < 0.6 * with(8, 0).standard_error);
    CHECK(with(4, 1).trace == with(4, 1).trace);
    CHECK(with(4, 1).trace != with(4, 2).trace);
    qtk_test::same_for_any_threads([&] { return with(2, 3).trace; });
}

TEST_CASE("the expected rise is half the mean curvature times the squared change") {
    qtk::hessian_trace const trace{"layer", 2, 6.0, 0.0};
    float const w[] = {1.0f, 2.0f}, left[] = {1.5f, 1.0f};
    qtk::matrix_view<float const> const a(w, 1, 2), b(left, 1, 2);
    CHECK(trace.expected_rise(a, b) == doctest::Approx(0.5 * 3.0 * 1.25));
    CHECK_THROWS_AS(static_cast<void>(trace.expected_rise(a, {left, 2, 1})), qtk::shape_error);
}

TEST_CASE("no probes and steps of nothing are refused") {
    auto const networks = qtk_test::tiny_networks();
    auto const& [model, images] = networks[0];
    CHECK_THROWS_WITH_AS(
        static_cast<void>(qtk::hessian_traces(model, images, labels, {.probes = 0})),
        "hessian trace: expected at least one probe", qtk::value_error);
    CHECK_THROWS_AS(
        static_cast<void>(qtk::hessian_traces(model, images, labels, {.relative_step = 0.0f})),
        qtk::value_error);
}
