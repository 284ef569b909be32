// SPDX-License-Identifier: Apache-2.0
#include <qtk/model/linear.hpp>
// The header under test comes first, so that it is seen to need nothing else.
#include <qtk/core/random.hpp>
#include <qtk/quantize.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

namespace {

using qtk::linear, qtk::matrix;

matrix random_matrix(std::size_t rows, std::size_t cols, std::uint64_t seed) {
    matrix m(rows, cols);
    auto const values = qtk::gaussian_vector(rows * cols, seed);
    std::copy(values.begin(), values.end(), m.data());
    return m;
}

matrix applied(linear const& layer, matrix const& x) {
    matrix y(x.rows(), layer.out());
    layer.apply(x.view(), y.view());
    return y;
}

// Two ways to one product may differ by the roundings of two sums of `in` terms.
void check_close(matrix const& a, matrix const& b, matrix const& x, matrix const& w) {
    REQUIRE(a.shape() == b.shape());
    for (std::size_t r = 0; r < a.rows(); ++r)
        for (std::size_t c = 0; c < a.cols(); ++c) {
            double size = 1.0;  // the bias is below 4, and added once
            for (std::size_t k = 0; k < w.cols(); ++k)
                size += std::fabs(static_cast<double>(x(r, k)) * static_cast<double>(w(c, k)));
            CHECK(std::fabs(static_cast<double>(a(r, c)) - static_cast<double>(b(r, c))) <=
                  2.0 * static_cast<double>(w.cols() + 4) * 0x1p-24 * size);
        }
}

constexpr qtk::scheme w4{
    .element = qtk::i4, .grain = qtk::per_group(16), .zero = qtk::origin::floating};
constexpr qtk::scheme normal{.element = qtk::nf4, .grain = qtk::per_group(24)};

}  // namespace

TEST_CASE("a layer without inputs gives its bias, a layer without outputs nothing") {
    linear const none("none", matrix(2, 0), {1.0f, 2.0f});
    matrix const y = applied(none, matrix(1, 0));
    CHECK(y(0, 0) == 1.0f);
    CHECK(y(0, 1) == 2.0f);
    CHECK(applied(linear("empty", matrix(0, 3)), matrix(2, 3)).cols() == 0);
}

TEST_CASE("y = x W^T + b by hand, and added to what is there") {
    matrix w(2, 2);
    w(0, 0) = 1.0f, w(0, 1) = 2.0f, w(1, 0) = 3.0f, w(1, 1) = 4.0f;
    linear const layer("l", w, {10.0f, 20.0f});
    matrix x(1, 2);
    x(0, 0) = 5.0f, x(0, 1) = 6.0f;
    matrix y = applied(layer, x);
    CHECK(y(0, 0) == 27.0f);
    CHECK(y(0, 1) == 59.0f);
    layer.apply_add(x.view(), y.view());
    CHECK(y(0, 0) == 54.0f);
    CHECK(y(0, 1) == 118.0f);
}

TEST_CASE("a layer says what it is") {
    linear layer("transformer.h.0.attn.c_attn", random_matrix(3, 5, 1));
    CHECK(layer.name() == "transformer.h.0.attn.c_attn");
    CHECK(layer.out() == 3);
    CHECK(layer.in() == 5);
    CHECK(layer.bias().empty());
    CHECK_FALSE(layer.is_quantized());
    CHECK_THROWS_WITH_AS((void)layer.quantized_weight(),
                         "transformer.h.0.attn.c_attn: the weight is not quantized",
                         qtk::value_error);
    layer.set_weight(qtk::quantize<w4>(layer.weight()));
    CHECK(layer.is_quantized());
    CHECK(layer.quantized_weight().rows() == 3);
    CHECK_THROWS_AS((void)layer.weight(), qtk::value_error);
    layer.set_weight(matrix(3, 5));
    CHECK(layer.weight() == matrix(3, 5));
}

TEST_CASE("weights, biases and activations of another shape are refused") {
    CHECK_THROWS_WITH_AS(linear("l", matrix(2, 3), {1.0f}), "l: expected 2 biases, found 1",
                         qtk::shape_error);
    linear layer("l", matrix(2, 3));
    CHECK_THROWS_WITH_AS(layer.set_weight(matrix(3, 2)),
                         "l: expected a weight [2, 3], found [3, 2]", qtk::shape_error);
    CHECK_THROWS_AS(layer.set_weight(qtk::quantize<w4>(matrix(2, 4))), qtk::shape_error);
    matrix x(1, 3), y(1, 2), wrong(1, 4), tall(2, 2);
    CHECK_THROWS_AS(layer.apply(wrong.view(), y.view()), qtk::shape_error);
    CHECK_THROWS_AS(layer.apply(x.view(), wrong.view()), qtk::shape_error);
    CHECK_THROWS_AS(layer.apply(x.view(), tall.view()), qtk::shape_error);
}

TEST_CASE_TEMPLATE("simulated and real quantization agree, for one row and for many", S,
                   qtk::scheme_constant<w4>, qtk::scheme_constant<normal>) {
    // 2500 columns make panels of 16 rows, so that 70 rows end in a partial one.
    for (std::size_t const cols : {37u, 2500u}) {
        matrix const w = random_matrix(70, cols, 1);
        auto const q = qtk::quantize<S::value>(w);
        matrix const decoded = qtk::dequantize(q);
        linear fake("l", decoded, qtk::gaussian_vector(70, 2)), real = fake;
        real.set_weight(q);
        for (std::size_t const rows : {1u, 2u, 9u}) {
            CAPTURE(rows);
            matrix const x = random_matrix(rows, cols, 3 + rows);
            check_close(applied(fake, x), applied(real, x), x, decoded);
            matrix a = random_matrix(rows, 70, 9), b = a;
            fake.apply_add(x.view(), a.view());
            real.apply_add(x.view(), b.view());
            check_close(a, b, x, decoded);
        }
    }
}
TYPE_TO_STRING_AS("i4/g16/asym", qtk::scheme_constant<w4>);
TYPE_TO_STRING_AS("nf4/g24", qtk::scheme_constant<normal>);

TEST_CASE("a packed layer gives what its codes give, with bias and added to what is there") {
    matrix const w = random_matrix(70, 96, 1);
    linear codes("l", w, qtk::gaussian_vector(70, 2));
    codes.set_weight(qtk::quantize<w4>(w));
    linear packed = codes;
    packed.pack();
    CHECK(packed.is_quantized());
    CHECK(packed.is_packed());
    CHECK(qtk::unpack(packed.packed()) == codes.quantized_weight());
    CHECK(packed.weight_bytes() >= codes.weight_bytes());
    matrix const decoded = qtk::dequantize(codes.quantized_weight());
    for (std::size_t const rows : {1u, 9u}) {
        matrix const x = random_matrix(rows, 96, 3 + rows);
        check_close(applied(codes, x), applied(packed, x), x, decoded);
        matrix a = random_matrix(rows, 70, 9), b = a;
        codes.apply_add(x.view(), a.view());
        packed.apply_add(x.view(), b.view());
        check_close(a, b, x, decoded);
    }
}

TEST_CASE("a packed layer rounds its activations as it was told") {
    matrix const w = random_matrix(70, 96, 1);
    matrix x = random_matrix(5, 96, 4);
    x(2, 7) = 50.0f;
    auto const bias = qtk::gaussian_vector(70, 2);
    auto const q = qtk::quantize<w4>(w);
    auto const layer = [&](qtk::layer_activations const& activations) {
        linear made("l", w, bias);
        made.set_weight(q);
        made.pack(activations);
        return made;
    };
    auto const weight = qtk::prepack(q);
    for (auto const type : {qtk::activation_type::bf16, qtk::activation_type::a8_row,
                            qtk::activation_type::a8_group}) {
        matrix expected(5, 70);
        qtk::gemm(weight, x.view(), expected.view(), {.activations = type, .end = {.bias = bias}});
        CHECK(applied(layer({.type = type}), x) == expected);
    }
    matrix expected(5, 70);
    qtk::llm_int8_gemm(weight, x.view(), expected.view(), {.end = {.bias = bias}});
    qtk::layer_activations const outliers{.type = qtk::activation_type::a8_row,
                                          .has_outliers = true};
    CHECK(applied(layer(outliers), x) == expected);
    CHECK(applied(layer({.type = qtk::activation_type::a8_row}), x) != expected);
}

TEST_CASE(
    "grids of any width run packed as they are simulated, with a center paid back by the layer") {
    matrix const w = random_matrix(40, 96, 21);
    matrix x = random_matrix(6, 96, 22);
    for (float& v : x.view().flat()) v = std::fabs(v) - 0.3f;  // as a GELU leaves them
    std::vector<float> bias(40, 0.25f);
    for (int const bits : {2, 4, 8})
        for (bool const is_symmetric : {true, false}) {
            auto const grid =
                qtk::fit_activation_grid({-0.3f, 2.0f}, qtk::activation_codes(bits, is_symmetric));
            qtk::layer_activations const how{.type = qtk::activation_type::a8_static, .grid = grid};
            linear packed("l", w, bias), simulated = packed;
            packed.set_weight(qtk::any_qmatrix(qtk::quantize<w4>(w.view())));
            simulated.set_weight(qtk::any_qmatrix(qtk::quantize<w4>(w.view())));
            packed.pack(how);
            simulated.simulate(how);
            CHECK((packed.form().packed()->center_share.empty()) == (bits < 8 || is_symmetric));
            check_close(applied(packed, x), applied(simulated, x), x, w);
            // By the definition of a grid, value by value.
            matrix rounded = x;
            for (float& v : rounded.view().flat()) v = grid.round_trip(v);
            linear plain("l", simulated.form().floats(), bias);
            check_close(applied(simulated, x), applied(plain, rounded), x, w);
            matrix y(6, 40), z(6, 40);
            packed.apply_add(x.view(), y.view());
            CHECK(y == applied(packed, x));
            linear without("l", w);
            without.set_weight(qtk::any_qmatrix(qtk::quantize<w4>(w.view())));
            without.pack(how);
            without.apply(x.view(), z.view());
            CHECK(std::fabs(z(0, 0) + 0.25f - y(0, 0)) < 1e-5f);
        }
}

TEST_CASE("what cannot be packed is refused, and nothing is lost") {
    linear floats("l", random_matrix(4, 32, 1));
    CHECK_THROWS_WITH_AS(floats.pack(), "l: there are no codes to pack", qtk::value_error);
    CHECK_THROWS_AS((void)floats.packed(), qtk::value_error);
    linear levels = floats;
    levels.set_weight(qtk::quantize<normal>(levels.weight()));
    linear four = floats;
    four.set_weight(qtk::quantize<w4>(four.weight()));
    CHECK_THROWS_AS(four.pack({.type = qtk::activation_type::bf16, .has_outliers = true}),
                    qtk::value_error);
    CHECK(four.quantized_weight().rows() == 4);
    four.pack();
    CHECK_THROWS_WITH_AS((void)four.quantized_weight(), "l: the weight is packed. Hint: unpack it",
                         qtk::value_error);
}

TEST_CASE("codes can be taken away, and put back") {
    matrix const w = random_matrix(3, 4, 1);
    qtk::any_qmatrix const codes =
        qtk::quantize<qtk::scheme{.element = qtk::i4, .grain = qtk::per_channel}>(w);
    linear layer("l", w);
    CHECK_THROWS_AS(static_cast<void>(layer.take_codes()), qtk::value_error);
    layer.set_weight(codes);
    CHECK(layer.take_codes() == codes);
    CHECK(layer.out() == 3);
    CHECK(layer.in() == 4);
    layer.set_weight(codes);
    CHECK(layer.quantized_weight() == codes);
}
