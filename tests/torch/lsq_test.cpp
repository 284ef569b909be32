// SPDX-License-Identifier: Apache-2.0
#include <qtk/torch/lsq.hpp>
// LibTorch has assertions of doctest's names.
#undef CHECK
#undef CHECK_EQ
#undef CHECK_NE
#undef CHECK_LE
#undef CHECK_LT
#undef CHECK_GE
#undef CHECK_GT
#include <qtk/core/random.hpp>

#include <doctest/doctest.h>

#include "message_of.hpp"
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace {

constexpr qtk::lsq_levels three_bits{4.0f, 3.0f};

torch::Tensor leaf(std::vector<float> const& values, std::vector<std::int64_t> const& shape) {
    return torch::tensor(values).reshape(shape).detach().requires_grad_();
}
std::vector<float> floats(torch::Tensor const& t) {
    auto const flat = t.contiguous();
    return {flat.data_ptr<float>(), flat.data_ptr<float>() + flat.numel()};
}
qtk::matrix matrix_of(std::vector<float> const& values, std::size_t rows) {
    qtk::matrix m(rows, values.size() / rows);
    std::copy(values.begin(), values.end(), m.data());
    return m;
}

}  // namespace

TEST_CASE("autograd gives the slopes of the table for s = 0.5, Qn = 4, Qp = 3") {
    std::vector<float> const v{0.3f, -0.9f, 5.0f, -5.0f}, expected{0.4f, -0.2f, 3.0f, -4.0f};
    for (std::size_t i = 0; i < v.size(); ++i) {
        auto const value = leaf({v[i]}, {1}), step = leaf({0.5f}, {1});
        qtk::lsq_fake_quantize(value, step, three_bits).sum().backward();
        float const unscaled = floats(step.grad())[0] / qtk::lsq_gradient_scale(1, three_bits);
        CHECK(unscaled == doctest::Approx(expected[i]).epsilon(1e-5));
        CHECK(floats(value.grad())[0] == (i < 2 ? 1.0f : 0.0f));
    }
}

TEST_CASE(
    "values and gradients are those of the plain functions, for one step and for a step a row") {
    constexpr std::size_t rows = 6, cols = 35;
    std::vector<float> v = qtk::gaussian_vector(rows * cols, 3),
                       g = qtk::gaussian_vector(rows * cols, 4);
    // The corners: on levels, between two, at the outermost ones, beyond.
    std::vector<float> const corners{0.0f,  0.25f, 0.5f,   0.75f, 1.5f,
                                     -2.0f, 1.75f, -2.25f, 9.0f,  -9.0f};
    std::copy(corners.begin(), corners.end(), v.begin());
    for (qtk::lsq_levels const q :
         {three_bits, qtk::lsq_levels{0.0f, 15.0f}, qtk::lsq_levels{2.0f, 1.0f}})
        for (std::vector<float> const& steps :
             {std::vector{0.5f}, std::vector{0.5f, 0.1f, 0.3f, 1.0f, 2.0f, 0.25f}}) {
            CAPTURE(q.above);
            CAPTURE(steps.size());
            auto const value = leaf(v, {6, 5, 7}),
                       step = leaf(steps, {static_cast<std::int64_t>(steps.size())});
            auto const out = qtk::lsq_fake_quantize(value, step, q);
            out.backward(torch::tensor(g).reshape({6, 5, 7}));
            qtk::matrix const m = matrix_of(v, rows), by = matrix_of(g, rows);
            qtk::matrix plain(rows, cols);
            qtk::lsq_forward(m.view(), steps, q, plain.view());
            auto const gradients = qtk::lsq_backward(m.view(), steps, q, by.view());
            CHECK(matrix_of(floats(out), rows) == plain);
            CHECK(matrix_of(floats(value.grad()), rows) == gradients.values);
            auto const by_step = floats(step.grad());
            REQUIRE(by_step.size() == gradients.steps.size());
            for (std::size_t i = 0; i < by_step.size(); ++i)
                CHECK(by_step[i] == doctest::Approx(gradients.steps[i]).epsilon(1e-4));
        }
}

TEST_CASE("the scale of the step's gradient follows the number of values that is stated") {
    auto const gradient = [](std::size_t sharing) {
        auto const v = leaf({0.3f, 5.0f, -0.9f, -5.0f}, {2, 2}), step = leaf({0.5f}, {1});
        qtk::lsq_fake_quantize(v, step, three_bits, sharing).sum().backward();
        return floats(step.grad())[0];
    };
    CHECK(gradient(0) == gradient(4));
    CHECK(gradient(1) == doctest::Approx(2.0f * gradient(4)));
}

TEST_CASE("the plain estimator rounds alike, passes every gradient, and its steps learn nothing") {
    std::vector<float> const v{0.3f, 5.0f, -0.9f, -5.0f};
    auto const value = leaf(v, {2, 2}), step = leaf({0.5f, 0.25f}, {2});
    auto const out = qtk::ste_fake_quantize(value, step, three_bits);
    CHECK(floats(out) == floats(qtk::lsq_fake_quantize(value, step, three_bits)));
    out.backward(torch::tensor({1.0f, 2.0f, 3.0f, 4.0f}).reshape({2, 2}));
    CHECK(floats(value.grad()) == std::vector{1.0f, 2.0f, 3.0f, 4.0f});
    CHECK(!step.grad().defined());
}

TEST_CASE(
    "steps are found by gradient descent: the error of quantization falls below that of the "
    "start") {
    auto const v = torch::tensor(qtk::gaussian_vector(4096, 5));
    qtk::matrix const m = matrix_of(floats(v), 1);
    auto const step = leaf(qtk::lsq_start(m.view(), 1, three_bits), {1});
    auto const error = [&] {
        return (qtk::lsq_fake_quantize(v, step, three_bits) - v).square().mean();
    };
    auto const start = error().item<float>();
    for (int i = 0; i < 300; ++i) {
        step.mutable_grad() = torch::Tensor();
        error().backward();
        torch::NoGradGuard const no_gradient;
        step.sub_(step.grad() * 20.0);
    }
    CHECK(error().item<float>() < 0.8f * start);
    // The best step of eight levels for a normal distribution is near 0.60 (two's complement).
    CHECK(step.item<float>() == doctest::Approx(0.60).epsilon(0.05));
}

TEST_CASE("steps that do not fit are refused with a sentence") {
    auto const v = leaf({1.0f, 2.0f, 3.0f, 4.0f}, {2, 2});
    auto const with = [&](std::vector<float> const& steps) {
        return qtk_test::message_of(
            [&] { (void)qtk::lsq_fake_quantize(v, torch::tensor(steps), three_bits); });
    };
    CHECK(with({0.5f, 0.5f, 0.5f}).find("3 steps for a first axis of 2") != std::string::npos);
    CHECK(with({0.0f}).find("above zero") != std::string::npos);
    CHECK(with({0.5f, -1.0f}).find("above zero") != std::string::npos);
    CHECK(qtk_test::message_of([&] {
              (void)qtk::ste_fake_quantize(v, torch::tensor({1.0}, torch::kDouble), three_bits);
          }).find("float") != std::string::npos);
}
