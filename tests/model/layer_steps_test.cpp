// SPDX-License-Identifier: Apache-2.0
#include <qtk/model/layer_steps.hpp>
// The header under test comes first, so that it is seen to need nothing else.
#include <qtk/core/random.hpp>
#include <qtk/range/mse.hpp>

#include <doctest/doctest.h>

#include "tiny_vision.hpp"
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace {

using qtk::matrix;

matrix random_matrix(std::size_t rows, std::size_t cols, std::uint64_t seed) {
    matrix m(rows, cols);
    std::ranges::copy(qtk::gaussian_vector(rows * cols, seed), m.data());
    return m;
}

qtk::linear layer_of(matrix const& w) {
    return {"fc", w, std::vector<float>(w.rows(), 0.5f)};
}

matrix output(qtk::linear const& layer, matrix const& x) {
    matrix y(x.rows(), layer.out());
    layer.apply(x.view(), y.view());
    return y;
}

}  // namespace

TEST_CASE("min-max steps reach the largest values with the last symmetric code") {
    matrix w(1, 3), x(2, 3);
    w(0, 0) = -2.1f, w(0, 1) = 0.4f;
    x(0, 0) = 1.5f, x(1, 2) = -0.5f;
    auto const steps = qtk::steps_by_range(layer_of(w), x.view(), 4, qtk::activation_codes(3));
    CHECK(steps.layer == "fc");
    CHECK(steps.weight_bits == 4);
    CHECK(steps.weight_step == doctest::Approx(0.3));
    CHECK(steps.input.scale == doctest::Approx(0.5));
    CHECK(steps.input.highest == 3);
    CHECK(steps.mean_input == std::vector<float>{0.75f, 0.0f, -0.25f});
    CHECK(qtk::weight_step(matrix(2, 2).view(), 4) == 1.0f);
}

TEST_CASE("another range leaves a smaller error of the weight") {
    matrix const w = random_matrix(8, 64, 1);
    auto const error = [&](float step) {
        matrix const left = [&] {
            auto codes = qtk::codes_at_step(w.view(), {.layer = "fc",
                                                       .weight_bits = 3,
                                                       .weight_step = step,
                                                       .input = {},
                                                       .mean_input = {}});
            matrix floats(8, 64);
            qtk::decode_rows(codes, 0, 8, floats.data());
            return floats;
        }();
        double sum = 0.0;
        for (std::size_t i = 0; i < w.view().size(); ++i) {
            double const e = static_cast<double>(w.data()[i]) - static_cast<double>(left.data()[i]);
            sum += e * e;
        }
        return sum;
    };
    float const whole = qtk::weight_step(w.view(), 3),
                tight = qtk::weight_step(w.view(), 3, qtk::mse_range{});
    CHECK(tight < whole);
    CHECK(error(tight) < 0.8 * error(whole));
}

TEST_CASE(
    "a layer on its steps computes with rounded weights and inputs, packed and simulated alike") {
    matrix const w = random_matrix(5, 32, 2), x = random_matrix(7, 32, 3);
    for (bool const is_symmetric : {true, false})
        for (int const bits : {2, 3, 4, 8}) {
            auto steps = qtk::steps_by_range(layer_of(w), x.view(), bits,
                                             qtk::activation_codes(bits, is_symmetric));
            steps.mean_input.clear();
            qtk::linear packed = layer_of(w), simulated = layer_of(w);
            qtk::set_steps(packed, steps);
            qtk::set_steps(simulated, steps, qtk::step_run::simulated);
            CHECK(packed.is_packed());
            matrix const found = output(packed, x), same = output(simulated, x);
            auto const levels = qtk::lsq_levels_of(qtk::format{.bits = bits});
            for (std::size_t r = 0; r < 7; ++r)
                for (std::size_t o = 0; o < 5; ++o) {
                    double sum = 0.5;
                    for (std::size_t i = 0; i < 32; ++i)
                        sum +=
                            static_cast<double>(steps.input.round_trip(x(r, i))) *
                            static_cast<double>(qtk::lsq_value(w(o, i), steps.weight_step, levels));
                    CHECK(static_cast<double>(found(r, o)) == doctest::Approx(sum).epsilon(1e-5));
                    CHECK(static_cast<double>(same(r, o)) == doctest::Approx(sum).epsilon(1e-5));
                }
        }
}

TEST_CASE("the corrected bias takes back what the weight does to the mean") {
    matrix const w = random_matrix(6, 16, 4);
    matrix x = random_matrix(200, 16, 5);
    for (float& v : x.view().flat()) v += 2.0f;
    auto steps = qtk::steps_by_range(layer_of(w), x.view(), 3, qtk::activation_codes(8));
    matrix const exact = output(layer_of(w), x);
    auto const shift = [&](qtk::layer_steps const& at) {
        qtk::linear layer = layer_of(w);
        qtk::set_steps(layer, at);
        matrix const y = output(layer, x);
        double largest = 0.0;
        for (std::size_t o = 0; o < 6; ++o) {
            double sum = 0.0;
            for (std::size_t r = 0; r < 200; ++r)
                sum += static_cast<double>(y(r, o)) - static_cast<double>(exact(r, o));
            largest = std::max(largest, std::fabs(sum / 200.0));
        }
        return largest;
    };
    double const corrected = shift(steps);
    steps.mean_input.clear();
    CHECK(corrected < 0.05 * shift(steps));
}

TEST_CASE("steps go to layers by name, and others stay floats") {
    qtk_test::temporary_folder const folder;
    qtk_test::tiny_vit().write(folder.path());
    auto model = qtk::load_vision_model(folder.path(), {.heads = 2});
    std::vector<qtk::layer_steps> steps;
    model.for_each_linear([&](qtk::linear const& layer) {
        if (layer.name() == "blocks.1.mlp.fc1")
            steps.push_back(qtk::steps_by_range(layer, random_matrix(9, layer.in(), 1).view(), 4,
                                                qtk::activation_codes(4)));
    });
    qtk::set_steps(model, steps);
    model.for_each_linear([](qtk::linear const& layer) {
        CHECK(layer.is_packed() == (layer.name() == "blocks.1.mlp.fc1"));
    });
    steps.front().layer = "blocks.9.mlp.fc1";
    CHECK_THROWS_AS(qtk::set_steps(model, steps), qtk::value_error);
}

TEST_CASE("bits, steps and weights that are none are refused") {
    matrix w = random_matrix(2, 4, 1);
    auto steps = qtk::steps_by_range(layer_of(w), w.view(), 4, qtk::activation_codes(4));
    qtk::linear layer = layer_of(w);
    for (int const bits : {1, 9}) {
        CHECK_THROWS_AS((void)qtk::weight_step(w.view(), bits), qtk::value_error);
        steps.weight_bits = bits;
        CHECK_THROWS_AS(qtk::set_steps(layer, steps), qtk::value_error);
    }
    steps.weight_bits = 4;
    steps.weight_step = 0.0f;
    CHECK_THROWS_AS(qtk::set_steps(layer, steps), qtk::value_error);
    w(0, 0) = std::numeric_limits<float>::infinity();
    CHECK_THROWS_AS((void)qtk::weight_step(w.view(), 4), qtk::nonfinite_error);
}
