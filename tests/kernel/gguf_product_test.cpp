// SPDX-License-Identifier: Apache-2.0
#include <qtk/kernel/gguf_product.hpp>

#include <doctest/doctest.h>

#include "gguf_cases.hpp"
#include "product_cases.hpp"
#include "threads.hpp"
#include <cmath>
#include <limits>

using qtk::activation_type;

TEST_CASE("float products with GGUF blocks lie within the stated bound on every instruction set") {
    for (qtk::gguf_type const type : cases::decoded_gguf_types()) {
        CAPTURE(qtk::name_of(type));
        cases::gguf_weights const w(type, 37, 768);
        std::vector<float> const x = qtk::gaussian_vector(3 * 768, 5);
        std::vector<float> decoded(37 * 768);
        for (std::size_t r = 0; r < 37; ++r)
            qtk::decode_gguf_row(w.view, r, {decoded.data() + r * 768, 768});
        for (qtk::instruction_set const isa : cases::usable_isas()) {
            std::vector<float> const y = cases::gguf_product_on(isa, w.view, x, 3, {});
            for (std::size_t m = 0; m < 3; ++m)
                for (std::size_t n = 0; n < 37; ++n) {
                    double sum = 0.0, magnitude = 0.0;
                    for (std::size_t k = 0; k < 768; ++k) {
                        double const product = static_cast<double>(x[m * 768 + k]) *
                                               static_cast<double>(decoded[n * 768 + k]);
                        sum += product;
                        magnitude += std::fabs(product);
                    }
                    REQUIRE(std::fabs(static_cast<double>(y[m * 37 + n]) - sum) <=
                            776 * 0x1p-23 * magnitude);
                }
        }
    }
}

TEST_CASE("1, 2 and 5 threads give the same bits with GGUF blocks") {
    for (qtk::gguf_type const type : cases::gguf_types) {
        cases::gguf_weights const w(type, 200, 1280);
        std::vector<float> const x = qtk::gaussian_vector(19 * 1280, 6);
        for (auto const a : {activation_type::a8_group, activation_type::f32}) {
            qtk::instruction_set const isa = cases::usable_isas().back();
            auto const work = [&] {
                return cases::gguf_product_on(isa, w.view, x, 19, {.activations = a});
            };
            std::vector<float> const alone = cases::on_threads(1, work);
            CHECK(cases::same_bits(cases::on_threads(2, work), alone));
            CHECK(cases::same_bits(cases::on_threads(5, work), alone));
        }
    }
}

TEST_CASE("bias, function, residual and bf16 follow a product with GGUF blocks") {
    cases::gguf_weights const w(qtk::gguf_type::q4_0, 45, 96);
    std::vector<float> const x = qtk::gaussian_vector(5 * 96, 3),
                             bias = qtk::gaussian_vector(45, 8),
                             residual = qtk::gaussian_vector(5 * 45, 9);
    for (qtk::instruction_set const isa : cases::usable_isas())
        for (auto const type : {activation_type::f32, activation_type::a8_row}) {
            std::vector<float> expected =
                cases::gguf_product_on(isa, w.view, x, 5, {.activations = type});
            for (std::size_t i = 0; i < expected.size(); ++i) expected[i] += bias[i % 45];
            qtk::activate(qtk::activation::relu, expected);
            for (std::size_t i = 0; i < expected.size(); ++i) expected[i] += residual[i];
            qtk::product_options options{.activations = type};
            options.end.bias = bias;
            options.end.function = qtk::activation::relu;
            options.end.residual = {residual.data(), 5, 45};
            CHECK(cases::same_bits(cases::gguf_product_on(isa, w.view, x, 5, options), expected));

            std::vector<qtk::bf16_value> in(x.size()), out(5 * 45);
            std::vector<float> rounded(x.size());
            for (std::size_t i = 0; i < x.size(); ++i) {
                in[i] = qtk::bf16_value(x[i]);
                rounded[i] = static_cast<float>(in[i]);
            }
            qtk::detail::checked_gguf_product(
                isa, w.view, qtk::matrix_view<qtk::bf16_value const>(in.data(), 5, 96),
                qtk::matrix_view<qtk::bf16_value>(out.data(), 5, 45), {.activations = type});
            std::vector<float> const plain =
                cases::gguf_product_on(isa, w.view, rounded, 5, {.activations = type});
            for (std::size_t i = 0; i < out.size(); ++i)
                REQUIRE(out[i] == qtk::bf16_value(plain[i]));
        }
}

TEST_CASE("an infinite activation makes its row of a GGUF product NaN and no other") {
    cases::gguf_weights const w(qtk::gguf_type::q8_0, 33, 256);
    std::vector<float> x = qtk::gaussian_vector(3 * 256, 3);
    x[256 + 40] = std::numeric_limits<float>::infinity();
    for (qtk::instruction_set const isa : cases::usable_isas())
        for (auto const type :
             {activation_type::a8_row, activation_type::a8_group, activation_type::a8_static}) {
            std::vector<float> const y = cases::gguf_product_on(
                isa, w.view, x, 3, {.activations = type, .static_scale = 0.1f});
            for (std::size_t i = 0; i < y.size(); ++i) REQUIRE((y[i] == y[i]) == (i / 33 != 1));
        }
}

TEST_CASE("GGUF weights and shapes that do not fit are refused with one sentence") {
    cases::gguf_weights const w(qtk::gguf_type::q4_K, 4, 512);
    std::vector<float> const x(2 * 512);
    std::vector<float> y(8);
    qtk::matrix_view<float const> const in(x.data(), 2, 512);
    qtk::matrix_view<float> const out(y.data(), 2, 4);
    qtk::gguf_view bad = w.view;
    bad.cols = 500;
    CHECK_THROWS_WITH_AS(qtk::gguf_gemm(bad, in, out),
                         "gguf: q4_K of 4 x 500: expected columns in a multiple of 256, the values "
                         "of a block",
                         qtk::shape_error);
    bad = w.view;
    bad.bytes = bad.bytes.first(1151);
    CHECK_THROWS_WITH_AS(qtk::gguf_gemm(bad, in, out),
                         "gguf: q4_K of 4 x 512: expected 1152 bytes, found 1151",
                         qtk::shape_error);
    bad = w.view;
    bad.type = static_cast<qtk::gguf_type>(4);
    CHECK_THROWS_AS(qtk::gguf_gemm(bad, in, out), qtk::value_error);
    CHECK_THROWS_AS(qtk::gguf_gemm(w.view, in, qtk::matrix_view<float>(y.data(), 1, 4)),
                    qtk::shape_error);
    std::vector<float> const bias(3);
    CHECK_THROWS_WITH_AS(qtk::gguf_gemm(w.view, in, out, {.end = {.bias = bias}}),
                         "gguf_gemm: expected 4 biases, found 3", qtk::shape_error);
    CHECK_THROWS_AS(qtk::gguf_gemm(w.view, in, out, {.activations = activation_type::a8_static}),
                    qtk::value_error);
    cases::gguf_weights const five(qtk::gguf_type::q5_K, 4, 512);
    CHECK_THROWS_WITH_AS(
        qtk::gguf_gemm(five.view, in, out, {.activations = activation_type::a8_group}),
        "gguf_gemm: q5_K is multiplied with float activations only. Hint: use "
        "activation_type::f32",
        qtk::value_error);
}
