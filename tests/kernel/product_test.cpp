// SPDX-License-Identifier: Apache-2.0
#include <qtk/kernel/prepack.hpp>
#include <qtk/kernel/product.hpp>

#include <doctest/doctest.h>

#include "product_cases.hpp"
#include "threads.hpp"
#include <cmath>
#include <limits>
#include <utility>

using cases::product;
using qtk::activation_type;

TEST_CASE("int8 products are the twin's bit for bit, on every instruction set") {
    for (qtk::scheme const& s : cases::schemes_of_products()) {
        if (!qtk::has_integer_levels(s.element)) continue;
        std::string const name = qtk::to_string(s);
        CAPTURE(name);
        for (cases::product_shape const& shape : cases::shapes_of_products()) {
            CAPTURE(shape.m);
            CAPTURE(shape.n);
            CAPTURE(shape.k);
            product const p(s, shape);
            for (auto const type :
                 {activation_type::a8_row, activation_type::a8_group, activation_type::a8_static}) {
                qtk::product_options const options{.activations = type, .static_scale = 0.02f};
                std::vector<float> const expected = p.on(qtk::instruction_set::scalar, options);
                for (qtk::instruction_set const isa : cases::usable_isas()) {
                    std::string const isa_name(qtk::name_of(isa));
                    CAPTURE(isa_name);
                    REQUIRE(cases::same_bits(p.on(isa, options), expected));
                }
            }
        }
    }
}

TEST_CASE("the int8 twin is the product of decoded weights and rounded activations") {
    for (qtk::scheme const& s : cases::schemes_of_products()) {
        if (!qtk::has_integer_levels(s.element) || s.element.table != qtk::codebook::none) continue;
        std::string const name = qtk::to_string(s);
        CAPTURE(name);
        product const p(s, {3, 35, 150});
        std::vector<float> const y =
            p.on(qtk::instruction_set::scalar, {.activations = activation_type::a8_row});
        // Rounding the activations as quantize<i8/channel> does, then multiplying decoded weights.
        for (std::size_t m = 0; m < 3; ++m) {
            float largest = 0.0f;
            for (std::size_t k = 0; k < 150; ++k)
                largest = std::max(largest, std::fabs(p.x[m * 150 + k]));
            float const scale = largest / 127.0f;
            for (std::size_t n = 0; n < 35; ++n) {
                double sum = 0.0, magnitude = 0.0;
                for (std::size_t k = 0; k < 150; ++k) {
                    double const a =
                        static_cast<double>(qtk::round_half_even(p.x[m * 150 + k] / scale) * scale);
                    double const w = static_cast<double>(p.decoded[n * 150 + k]);
                    sum += a * w;
                    magnitude += std::fabs(a) * p.weight_magnitude(n, k);
                }
                REQUIRE(std::fabs(static_cast<double>(y[m * 35 + n]) - sum) <= 0x1p-20 * magnitude);
            }
        }
    }
}

TEST_CASE("float and bf16 products lie within the stated bound of the twin, on every set") {
    for (qtk::scheme const& s : cases::schemes_of_products()) {
        std::string const name = qtk::to_string(s);
        CAPTURE(name);
        for (cases::product_shape const& shape : cases::shapes_of_products()) {
            product const p(s, shape);
            for (auto const type : {activation_type::f32, activation_type::bf16}) {
                qtk::product_options const options{.activations = type};
                std::vector<float> const expected = p.on(qtk::instruction_set::scalar, options);
                std::vector<double> const bounds = p.bounds(type);
                for (qtk::instruction_set const isa : cases::usable_isas()) {
                    std::string const isa_name(qtk::name_of(isa));
                    CAPTURE(isa_name);
                    REQUIRE(cases::within(p.on(isa, options), expected, bounds));
                }
            }
        }
    }
}

TEST_CASE("the bf16 twin multiplies rounded weights and rounded activations") {
    product const p({.element = qtk::i8, .grain = qtk::per_group(32)}, {2, 35, 70});
    std::vector<float> const y =
        p.on(qtk::instruction_set::scalar, {.activations = activation_type::bf16});
    bool differs = false;
    for (std::size_t i = 0; i < y.size(); ++i) {
        double sum = 0.0;
        for (std::size_t k = 0; k < 70; ++k)
            sum += static_cast<double>(
                       static_cast<float>(qtk::bf16_value(p.decoded[i % 35 * 70 + k]))) *
                   static_cast<double>(static_cast<float>(qtk::bf16_value(p.x[i / 35 * 70 + k])));
        REQUIRE(y[i] == static_cast<float>(sum));
    }
    std::vector<float> const as_floats = p.on(qtk::instruction_set::scalar, {});
    for (std::size_t i = 0; i < y.size(); ++i) differs = differs || y[i] != as_floats[i];
    CHECK(differs);
}

TEST_CASE("1, 2 and 5 threads give the same bits") {
    product const p({.element = qtk::i4, .grain = qtk::per_group(64)}, {130, 200, 320});
    for (auto const type : {activation_type::f32, activation_type::bf16, activation_type::a8_row,
                            activation_type::a8_group})
        for (qtk::instruction_set const isa : cases::usable_isas()) {
            auto const work = [&] { return p.on(isa, {.activations = type}); };
            std::vector<float> const alone = cases::on_threads(1, work);
            CHECK(cases::same_bits(cases::on_threads(2, work), alone));
            CHECK(cases::same_bits(cases::on_threads(5, work), alone));
        }
}

TEST_CASE("row m of a product does not depend on the other rows with int8 activations") {
    product const p({.element = qtk::i3, .grain = qtk::per_group(32)}, {21, 70, 96});
    for (qtk::instruction_set const isa : cases::usable_isas()) {
        qtk::product_options const options{.activations = activation_type::a8_group};
        std::vector<float> const all = p.on(isa, options);
        for (std::size_t m = 0; m < 21; ++m) {
            std::vector<float> one(70);
            qtk::detail::checked_product(isa, p.packed,
                                         qtk::matrix_view<float const>(p.x.data() + m * 96, 1, 96),
                                         qtk::matrix_view<float>(one.data(), 1, 70), options);
            REQUIRE(
                cases::same_bits(one, {all.begin() + static_cast<std::ptrdiff_t>(m * 70),
                                       all.begin() + static_cast<std::ptrdiff_t>(m * 70 + 70)}));
        }
    }
}

TEST_CASE("bias, function, residual and bf16 are applied to the plain result") {
    product const p({.element = qtk::i4, .grain = qtk::per_group(32)}, {5, 45, 64});
    std::vector<float> const bias = qtk::gaussian_vector(45, 8),
                             residual = qtk::gaussian_vector(5 * 45, 9);
    for (qtk::instruction_set const isa : cases::usable_isas())
        for (auto const type :
             {activation_type::f32, activation_type::bf16, activation_type::a8_group}) {
            std::vector<float> expected = p.on(isa, {.activations = type});
            for (std::size_t i = 0; i < expected.size(); ++i) expected[i] += bias[i % 45];
            for (std::size_t m = 0; m < 5; ++m)
                qtk::activate(qtk::activation::silu, {expected.data() + m * 45, 45});
            for (std::size_t i = 0; i < expected.size(); ++i) expected[i] += residual[i];
            qtk::product_options options{.activations = type};
            options.end.bias = bias;
            options.end.function = qtk::activation::silu;
            options.end.residual = {residual.data(), 5, 45};
            std::vector<float> const found = p.on(isa, options);
            for (std::size_t i = 0; i < expected.size(); ++i)
                REQUIRE(found[i] == doctest::Approx(expected[i]).epsilon(1e-5));

            std::vector<qtk::bf16_value> x(p.x.size()), y(found.size());
            std::vector<float> rounded(p.x.size()), plain(found.size());
            for (std::size_t i = 0; i < x.size(); ++i) {
                x[i] = qtk::bf16_value(p.x[i]);
                rounded[i] = static_cast<float>(x[i]);
            }
            qtk::detail::checked_product(
                isa, p.packed, qtk::matrix_view<qtk::bf16_value const>(x.data(), 5, 64),
                qtk::matrix_view<qtk::bf16_value>(y.data(), 5, 45), {.activations = type});
            qtk::detail::checked_product(
                isa, p.packed, qtk::matrix_view<float const>(rounded.data(), 5, 64),
                qtk::matrix_view<float>(plain.data(), 5, 45), {.activations = type});
            for (std::size_t i = 0; i < y.size(); ++i) REQUIRE(y[i] == qtk::bf16_value(plain[i]));
        }
}

TEST_CASE("views with gaps and results at odd addresses stay inside their rows") {
    product const p({.element = qtk::i5, .grain = qtk::per_group(32)}, {3, 50, 70});
    for (qtk::instruction_set const isa : cases::usable_isas())
        for (auto const type :
             {activation_type::f32, activation_type::bf16, activation_type::a8_row}) {
            std::vector<float> const expected = p.on(isa, {.activations = type});
            std::vector<float> x(3 * 73 + 1, 1e30f), y(3 * 57 + 1, 7.0f);
            for (std::size_t m = 0; m < 3; ++m)
                std::copy_n(p.x.data() + m * 70, 70, x.data() + 1 + m * 73);
            qtk::detail::checked_product(
                isa, p.packed, qtk::matrix_view<float const>(x.data() + 1, 3, 70, 73),
                qtk::matrix_view<float>(y.data() + 1, 3, 50, 57), {.activations = type});
            for (std::size_t i = 0; i < 3 * 57; ++i)
                REQUIRE(y[1 + i] == (i % 57 < 50 ? expected[i / 57 * 50 + i % 57] : 7.0f));
            REQUIRE(y[0] == 7.0f);
        }
}

TEST_CASE("infinities and NaN pass through products of floats") {
    constexpr float infinity = std::numeric_limits<float>::infinity();
    for (auto const& [f, field] :
         {std::pair{qtk::e5m2, 0x7cu}, std::pair{qtk::e5m2, 0x7eu}, std::pair{qtk::e4m3, 0xffu}}) {
        qtk::any_qmatrix q({.element = f, .grain = qtk::per_group(32)}, 40, 64);
        std::vector<std::uint8_t> fields(64);
        for (std::size_t k = 0; k < 64; ++k) fields[k] = static_cast<std::uint8_t>(k % 100);
        for (std::size_t r = 0; r < 40; ++r) q.set_row(r, fields);
        fields[37] = static_cast<std::uint8_t>(field);
        q.set_row(17, fields);
        qtk::packed_matrix const w = qtk::prepack(q);
        std::vector<float> const x(3 * 64, 1.0f);
        for (qtk::instruction_set const isa : cases::usable_isas())
            for (std::size_t const m : {1u, 3u})
                for (auto const type : {activation_type::f32, activation_type::bf16}) {
                    std::vector<float> y(m * 40);
                    qtk::detail::checked_product(
                        isa, w, qtk::matrix_view<float const>(x.data(), m, 64),
                        qtk::matrix_view<float>(y.data(), m, 40), {.activations = type});
                    for (std::size_t i = 0; i < y.size(); ++i) {
                        bool const is_hit = i % 40 == 17;
                        REQUIRE(std::isfinite(y[i]) == !is_hit);
                        if (is_hit && field == 0x7c) REQUIRE(y[i] == infinity);
                    }
                }
    }
}

TEST_CASE("an infinite activation makes its row NaN and no other") {
    product p({.element = qtk::i4, .grain = qtk::per_group(32)}, {3, 40, 64});
    p.x[64 + 40] = std::numeric_limits<float>::infinity();
    for (qtk::instruction_set const isa : cases::usable_isas())
        for (auto const type : {activation_type::a8_row, activation_type::a8_group}) {
            std::vector<float> const y = p.on(isa, {.activations = type});
            for (std::size_t i = 0; i < y.size(); ++i) REQUIRE((y[i] == y[i]) == (i / 40 != 1));
        }
}

TEST_CASE("wrong shapes and options are refused with one sentence") {
    product const p({.element = qtk::e4m3, .grain = qtk::per_group(32)}, {2, 40, 64});
    std::vector<float> y(80);
    qtk::matrix_view<float const> const x(p.x.data(), 2, 64);
    qtk::matrix_view<float> const out(y.data(), 2, 40);
    CHECK_THROWS_WITH_AS(
        qtk::gemm(p.packed, qtk::matrix_view<float const>(p.x.data(), 2, 60), out),
        "gemm: W is 40 x 64, X 2 x 60, so X needs 64 columns and Y is 2 x 40; found 2 x 40",
        qtk::shape_error);
    CHECK_THROWS_AS(qtk::gemm(p.packed, x, qtk::matrix_view<float>(y.data(), 1, 40)),
                    qtk::shape_error);
    CHECK_THROWS_AS(qtk::gemm(p.packed, x, out, {.activations = activation_type::a8_row}),
                    qtk::value_error);
    std::vector<float> const bias(39);
    CHECK_THROWS_WITH_AS(qtk::gemm(p.packed, x, out, {.end = {.bias = bias}}),
                         "gemm: expected 40 biases, found 39", qtk::shape_error);
    // The result over X or a part of the residual; the residual itself may be the result.
    std::vector<float> both(2 * 64 + 40);
    qtk::matrix_view<float const> const from(both.data(), 2, 64);
    CHECK_THROWS_WITH_AS(
        qtk::gemm(p.packed, from, qtk::matrix_view<float>(both.data() + 88, 2, 40)),
        "gemm: the result lies over X, which is still read while it is written. Hint: give it "
        "memory "
        "of its own",
        qtk::value_error);
    CHECK_THROWS_AS(
        qtk::gemm(p.packed, x, qtk::matrix_view<float>(both.data(), 2, 40),
                  {.end = {.residual = qtk::matrix_view<float const>(both.data() + 1, 2, 40)}}),
        qtk::value_error);
    product const q({.element = qtk::i4}, {2, 40, 64});
    CHECK_THROWS_WITH_AS(qtk::gemm(q.packed, x, out, {.activations = activation_type::a8_static}),
                         "gemm: a8_static needs a positive finite static_scale, found 0.000000",
                         qtk::value_error);
}
