// SPDX-License-Identifier: Apache-2.0
#include <qtk/eval/bit_sensitivity.hpp>
// The header under test comes first, so that it is seen to need nothing else.
#include <qtk/model/layer_format.hpp>

#include <doctest/doctest.h>

#include "three_choices.hpp"
#include <cmath>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace {

using qtk::candidate_network, qtk::linear, qtk::matrix, qtk::vision_model;
using qtk_test::random_images, qtk_test::with_three_choices;

constexpr qtk::image_shape shape{8, 8, 3};

}  // namespace

TEST_CASE("sensitivities are what they are defined to be") {
    auto network = with_three_choices();
    auto const images = random_images(6, shape, 2);
    std::vector<std::uint16_t> const labels{0, 1, 2, 3, 4, 0};
    std::map<std::string, matrix> rows;
    qtk_test::load_folder(qtk_test::tiny_resnet()).for_each_linear([&](linear const& layer) {
        matrix x(5, layer.in());
        auto const values = qtk::gaussian_vector(x.view().size(), 3);
        std::ranges::copy(values, x.data());
        rows.insert({layer.name(), std::move(x)});
    });
    std::vector<double> traces(network.size(), 0.0);
    traces[2] = 7.0;
    traces[1] = -3.0;
    auto const found = qtk::measure_sensitivity(
        network, {.images = images,
                  .labels = labels,
                  .rows = [&](std::string const& name) { return rows.at(name).view(); },
                  .mean_traces = traces});
    REQUIRE(found.size() == network.size());
    auto const& layer = found[2];
    auto const& two = layer.candidates[0];
    CHECK(layer.name == network.original(2).name());
    CHECK(two.bits == 2);
    CHECK(two.format == "i2/channel");

    matrix const floats = network.floats().logits(images),
                 other = network.with_only(2, 0).logits(images);
    auto const loss = [&](matrix const& logits) {
        double sum = 0.0;
        for (std::size_t i = 0; i < 6; ++i)
            sum += qtk::cross_entropy(logits.view().row(i), labels[i]);
        return sum / 6.0;
    };
    CHECK(two.loss == doctest::Approx(loss(other) - loss(floats)).epsilon(1e-9));
    CHECK(two.divergence == qtk::mean_divergence(floats.view(), other.view()));

    matrix const w = network.original(2).form().floats(),
                 left = network.of(2)[0].layer.form().floats();
    double error = 0.0, signal = 0.0;
    for (std::size_t i = 0; i < w.view().size(); ++i) {
        double const a = static_cast<double>(w.data()[i]), b = static_cast<double>(left.data()[i]);
        error += (a - b) * (a - b);
        signal += a * a;
    }
    CHECK(two.squared_error == doctest::Approx(error).epsilon(1e-9));
    CHECK(two.weight == doctest::Approx(error / signal).epsilon(1e-9));
    CHECK(two.hessian == doctest::Approx(0.5 * 7.0 * error).epsilon(1e-9));
    CHECK(found[3].candidates[0].hessian == 0.0);
    CHECK(found[1].mean_trace == -3.0);
    CHECK(found[1].candidates[0].hessian == 0.0);

    // Outputs see activations too: 4 bits with int8 inputs, against the floats' product.
    matrix const& x = rows.at(layer.name);
    matrix y(5, w.rows()), z(5, w.rows());
    network.original(2).apply(x.view(), y.view());
    network.of(2)[1].layer.apply(x.view(), z.view());
    error = signal = 0.0;
    for (std::size_t i = 0; i < y.view().size(); ++i) {
        double const a = static_cast<double>(y.data()[i]), b = static_cast<double>(z.data()[i]);
        error += (a - b) * (a - b);
        signal += a * a;
    }
    CHECK(layer.candidates[1].output == doctest::Approx(error / signal).epsilon(1e-9));
    CHECK(qtk::sqnr_db(0.001) == doctest::Approx(30.0));

    // More bits, less noise.
    for (auto const& one : found) {
        CHECK(one.candidates[0].weight > one.candidates[1].weight);
        CHECK(one.candidates[1].weight > one.candidates[2].weight);
        CHECK(one.candidates[0].output > one.candidates[2].output);
        CHECK(one.candidates[0].divergence > one.candidates[2].divergence);
    }

    auto const choices = qtk::choices_of(
        found, qtk::sensitivity::divergence,
        [](std::size_t l, std::size_t c) { return static_cast<double>(10 * l + c); });
    CHECK(choices[2][1].cost == 21.0);
    CHECK(choices[2][1].bits == 4);
    CHECK(choices[2][0].loss == two.divergence);

    CHECK_THROWS_AS(
        (void)qtk::measure_sensitivity(
            network, {.images = images,
                      .labels = labels,
                      .rows = [&](std::string const& name) { return rows.at(name).view(); },
                      .mean_traces = std::span<double const>(traces).first(2)}),
        qtk::shape_error);
}

TEST_CASE("the divergence of classes by its definition") {
    auto const logits = [](std::uint64_t seed) {
        matrix m(6, 5);
        std::ranges::copy(qtk::gaussian_vector(30, seed), m.data());
        return m;
    };
    matrix const floats = logits(1), other = logits(2);
    double kl = 0.0;
    for (std::size_t i = 0; i < 6; ++i) {
        double p_sum = 0.0, q_sum = 0.0;
        for (std::size_t c = 0; c < 5; ++c) {
            p_sum += std::exp(static_cast<double>(floats(i, c)));
            q_sum += std::exp(static_cast<double>(other(i, c)));
        }
        for (std::size_t c = 0; c < 5; ++c) {
            double const p = std::exp(static_cast<double>(floats(i, c))) / p_sum,
                         q = std::exp(static_cast<double>(other(i, c))) / q_sum;
            kl += p * std::log(p / q) / 6.0;
        }
    }
    CHECK(qtk::mean_divergence(floats.view(), other.view()) == doctest::Approx(kl).epsilon(1e-9));
    CHECK(qtk::mean_divergence(floats.view(), floats.view()) == 0.0);
    CHECK_THROWS_AS((void)qtk::mean_divergence(floats.view(), matrix(6, 4).view()),
                    qtk::shape_error);
}

TEST_CASE("sensitivities have names") {
    CHECK(qtk::parse_sensitivity("loss") == qtk::sensitivity::loss);
    CHECK(qtk::parse_sensitivity("sqnr") == qtk::sensitivity::output);
    CHECK(qtk::parse_sensitivity("hessian") == qtk::sensitivity::hessian);
    CHECK_THROWS_AS((void)qtk::parse_sensitivity("hawq"), qtk::value_error);
}
