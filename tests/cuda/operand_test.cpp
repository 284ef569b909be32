// SPDX-License-Identifier: Apache-2.0
#include <qtk/cuda/operand.hpp>
#include <qtk/format/half.hpp>

#include <doctest/doctest.h>

#include <span>
#include <vector>

namespace {
using namespace qtk::cuda;

TEST_CASE("a result passes bias, function and residual as on the CPU") {
    std::vector<float> const bias{0.5f, -1.0f};
    std::vector<std::uint16_t> const residual{qtk::float_to_f16(2.0f), qtk::float_to_f16(-3.0f),
                                              qtk::float_to_f16(4.0f), qtk::float_to_f16(0.25f)};
    for (auto const kind : {qtk::activation::gelu_tanh, qtk::activation::gelu_erf,
                            qtk::activation::silu, qtk::activation::relu})
        for (float const sum : {-3.0f, -0.2f, 0.0f, 0.7f, 5.0f}) {
            std::vector<float> y(4);
            device_epilogue const end{
                {bias.data(), 0, number::f32}, {residual.data(), 2, number::f16}, kind, true};
            result_operand const to{y.data(), 2, number::f32, end};
            to.store(1, 1, sum);
            float expected = sum + bias[1];
            qtk::activate(kind, std::span(&expected, 1));
            CHECK(y[3] == doctest::Approx(expected + 0.25f).epsilon(1e-6));
            CHECK(y[0] == 0.0f);
        }
}

TEST_CASE("parts that are left out do nothing, and halves are rounded to nearest even") {
    std::vector<std::uint16_t> y(2);
    result_operand const to{y.data(), 2, number::f16, {}};
    to.store(0, 1, 2049.0f);
    CHECK(qtk::f16_to_float(y[1]) == 2048.0f);
}

TEST_CASE("scales and zeros of a lane's two rows come together") {
    std::vector<float> const scales{1.0f, 2.0f, 3.0f, 4.0f};
    std::vector<std::uint8_t> const zeros{5, 6, 7, 8};
    weight_operand w;
    w.scales = scales.data();
    w.scale_type = number::f32;
    float scale[2];
    std::uint32_t zero[2];
    w.load_scales(1, scale);
    w.load_zeros(1, zero);
    CHECK(scale[0] == 3.0f);
    CHECK(scale[1] == 4.0f);
    CHECK(zero[0] == 8);
    w.zeros = zeros.data();
    w.load_zeros(1, zero);
    CHECK(zero[0] == 7);
    CHECK(zero[1] == 8);
}
}  // namespace
