// SPDX-License-Identifier: Apache-2.0
#include <qtk/model/gradient_layer.hpp>
#include <qtk/quantize.hpp>

#include <doctest/doctest.h>

#include "correlated.hpp"
#include "gradients.hpp"
#include <utility>
#include <vector>

namespace {

using qtk_test::random_matrix;

struct example {
    qtk::matrix x = random_matrix(6, 8, 1), d = random_matrix(6, 5, 2);
    qtk::linear layer{"layer", random_matrix(5, 8, 3)};

    [[nodiscard]] std::pair<qtk::matrix, qtk::matrix> gradients() const {
        std::pair by{qtk::matrix(5, 8), qtk::matrix(6, 8)};
        qtk::add_layer_gradient(layer, x.view(), d.view(), by.first.view(), by.second.view());
        return by;
    }
    [[nodiscard]] double loss() const {
        qtk::matrix y(6, 5);
        layer.apply(x.view(), y.view());
        return qtk_test::weighted_sum(d.view(), y.view());
    }
};

}  // namespace

TEST_CASE(
    "the gradients of a layer of floats agree with differences, with and without a transform") {
    example e;
    for (bool const has_transform : {false, true}) {
        if (has_transform)
            e.layer.set_input(std::make_shared<qtk::input_transform const>(
                8, qtk::input_transform::parts{
                       {1.0f, 2.0f, 0.5f, 1.0f, -1.0f, 1.0f, 3.0f, 1.0f}, {}, qtk::hadamard(8)}));
        auto const [by_weight, by_input] = e.gradients();
        qtk_test::check_gradient(e.x.view().flat(), by_input.view().flat(),
                                 [&] { return e.loss(); });
        qtk::matrix weight = e.layer.weight();
        qtk_test::check_gradient(weight.view().flat(), by_weight.view().flat(), [&] {
            e.layer.set_weight(weight);
            return e.loss();
        });
    }
}

TEST_CASE(
    "rounded activations are what weights are multiplied with; their gradient ends with the grid") {
    example e;
    constexpr qtk::scheme i8{.element = qtk::i8, .grain = qtk::per_channel};
    e.layer.set_weight(qtk::any_qmatrix(qtk::quantize<i8>(e.layer.weight())));
    qtk::layer_activations const how{.type = qtk::activation_type::a8_static,
                                     .grid = {.scale = 0.01f}};  // clips at 1.27
    qtk::linear packed = e.layer;
    e.layer.simulate(how);
    packed.pack(how);
    auto const [by_weight, by_input] = e.gradients();
    qtk::matrix const w = e.layer.form().floats();
    std::size_t outside = 0;
    for (std::size_t r = 0; r < 6; ++r)
        for (std::size_t c = 0; c < 8; ++c) {
            bool const is_inside = std::fabs(e.x(r, c)) <= 1.27f;
            outside += is_inside ? 0 : 1;
            double expected = 0.0;
            for (std::size_t o = 0; is_inside && o < 5; ++o)
                expected += static_cast<double>(e.d(r, o) * w(o, c));
            CHECK(static_cast<double>(by_input(r, c)) == doctest::Approx(expected).epsilon(1e-5));
        }
    CHECK(outside > 3);
    double expected = 0.0;
    for (std::size_t r = 0; r < 6; ++r)
        expected +=
            static_cast<double>(e.d(r, 2)) *
            std::clamp(std::nearbyint(static_cast<double>(e.x(r, 4)) / 0.01), -127.0, 127.0) * 0.01;
    CHECK(static_cast<double>(by_weight(2, 4)) == doctest::Approx(expected).epsilon(1e-5));
    e.layer = packed;
    CHECK(e.gradients().first == by_weight);
    CHECK(e.gradients().second == by_input);
}

TEST_CASE("scales that follow the activations stop nothing") {
    example e;
    auto const [by_weight, by_input] = e.gradients();
    e.layer.set_weight(
        qtk::any_qmatrix(qtk::quantize<qtk::scheme{.element = qtk::i8}>(e.layer.weight())));
    e.layer.simulate({.type = qtk::activation_type::a8_row});
    auto const [rounded_weight, rounded_input] = e.gradients();
    for (std::size_t k = 0; k < by_input.view().size(); ++k)
        CHECK(std::fabs(rounded_input.data()[k] - by_input.data()[k]) < 0.1f);
    CHECK(rounded_weight != by_weight);
}
