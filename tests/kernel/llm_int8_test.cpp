// SPDX-License-Identifier: Apache-2.0
#include <qtk/kernel/llm_int8.hpp>
#include <qtk/kernel/prepack.hpp>

#include <doctest/doctest.h>

#include "product_cases.hpp"
#include "threads.hpp"
#include <cmath>
#include <limits>
#include <vector>

namespace {

using cases::product;

constexpr qtk::product_options a8_row{.activations = qtk::activation_type::a8_row};

struct answer {
    qtk::llm_int8_result result;
    std::vector<float> y;
};
answer run(qtk::instruction_set isa, product const& p, qtk::llm_int8_options const& options = {}) {
    answer a{{}, std::vector<float>(p.shape.m * p.shape.n, -1.0f)};
    a.result = qtk::detail::checked_llm_int8(
        isa, p.packed, qtk::matrix_view<float const>(p.x.data(), p.shape.m, p.shape.k),
        qtk::matrix_view<float>(a.y.data(), p.shape.m, p.shape.n), options);
    return a;
}

/// Every `step`th column gets one value of 6 or more.
void plant(product& p, std::size_t step, float size = 20.0f) {
    for (float& x : p.x) x = std::fmin(std::fmax(x, -5.0f), 5.0f);
    for (std::size_t k = step / 2; k < p.shape.k; k += step)
        p.x[k % p.shape.m * p.shape.k + k] = k % 2 == 0 ? size : -size;
}

/// The definition, step by step, out of parts that are tested elsewhere.
std::vector<float> by_hand(product const& p, std::size_t& outliers) {
    auto const [m, n, k] = p.shape;
    product rest = product(p.weights.scheme(), p.shape);
    rest.x = p.x;
    std::vector<std::size_t> columns;
    for (std::size_t c = 0; c < k; ++c) {
        bool is_outlier = false;
        for (std::size_t r = 0; r < m; ++r) is_outlier |= std::fabs(p.x[r * k + c]) >= 6.0f;
        if (!is_outlier) continue;
        columns.push_back(c);
        for (std::size_t r = 0; r < m; ++r) rest.x[r * k + c] = 0.0f;
    }
    std::vector<float> y = rest.on(qtk::instruction_set::scalar, a8_row);
    for (std::size_t r = 0; r < m; ++r)
        for (std::size_t i = 0; i < n; ++i)
            for (std::size_t const c : columns)
                y[r * n + i] = std::fma(p.x[r * k + c], p.decoded[i * k + c], y[r * n + i]);
    outliers = columns.size();
    return y;
}

}  // namespace

TEST_CASE("outliers are multiplied as floats, the rest as int8, on every instruction set") {
    for (qtk::scheme const& s : cases::schemes_of_products()) {
        if (!qtk::has_integer_levels(s.element)) continue;
        std::string const name = qtk::to_string(s);
        CAPTURE(name);
        for (cases::product_shape const& shape : cases::shapes_of_products()) {
            CAPTURE(shape.m);
            product p(s, shape);
            plant(p, 19);
            std::size_t outliers = 0;
            std::vector<float> const expected = by_hand(p, outliers);
            for (qtk::instruction_set const isa : cases::usable_isas()) {
                std::string const isa_name(qtk::name_of(isa));
                CAPTURE(isa_name);
                answer const found = run(isa, p);
                REQUIRE(found.result.outliers == outliers);
                REQUIRE(found.result.columns == shape.k);
                REQUIRE(cases::same_bits(found.y, expected));
            }
        }
    }
}

TEST_CASE("without outliers the product is a8_row, with nothing else all floats") {
    product p({.element = qtk::i8, .grain = qtk::per_channel}, {5, 70, 300});
    plant(p, 11);
    for (qtk::instruction_set const isa : cases::usable_isas()) {
        answer const none = run(isa, p, {.threshold = std::numeric_limits<float>::infinity()});
        CHECK(none.result.outliers == 0);
        CHECK(cases::same_bits(none.y, p.on(isa, a8_row)));
        // More columns than are decoded at a time.
        answer const all = run(isa, p, {.threshold = std::numeric_limits<float>::denorm_min()});
        CHECK(all.result.fraction() == 1.0);
        for (std::size_t i = 0; i < all.y.size(); ++i) {
            float y = 0.0f;
            for (std::size_t k = 0; k < 300; ++k)
                y = std::fma(p.x[i / 70 * 300 + k], p.decoded[i % 70 * 300 + k], y);
            REQUIRE(all.y[i] == y);
        }
    }
}

TEST_CASE("outliers no longer round the others away") {
    constexpr float size = 60.0f, threshold = 6.0f;
    product p({.element = qtk::i8, .grain = qtk::per_channel}, {16, 96, 512});
    for (float& x : p.x) x = std::fmin(std::fmax(x, -5.0f), 5.0f);
    for (std::size_t m = 0; m < 16; ++m)
        for (std::size_t const k : {std::size_t{9}, std::size_t{200}, std::size_t{511}})
            p.x[m * 512 + k] = k == 200 ? -size : size;
    std::vector<float> const plain = p.on(qtk::instruction_set::scalar, a8_row);
    answer const found = run(qtk::instruction_set::scalar, p);
    CHECK(found.result.outliers == 3);
    double plain_error = 0.0, error = 0.0;
    for (std::size_t i = 0; i < plain.size(); ++i) {
        double exact = 0.0, weights = 0.0, magnitude = 0.0;
        for (std::size_t k = 0; k < 512; ++k) {
            double const w = static_cast<double>(p.decoded[i % 96 * 512 + k]);
            double const x = static_cast<double>(p.x[i / 96 * 512 + k]);
            exact += w * x;
            weights += std::fabs(w);
            magnitude += std::fabs(w * x);
        }
        double const away = static_cast<double>(found.y[i]) - exact;
        // Half a step of the scale for each weight, and the roundings of the sum.
        REQUIRE(std::fabs(away) <=
                static_cast<double>(threshold) / 254.0 * weights + 0x1p-20 * magnitude);
        error += away * away;
        plain_error += std::pow(static_cast<double>(plain[i]) - exact, 2);
    }
    // Rounding errors grow with the step: size / 127 against at most threshold / 127. Half of that
    // leaves room for chance.
    CHECK(std::sqrt(plain_error / error) > static_cast<double>(size / threshold) / 2.0);
}

TEST_CASE("bias, function, residual in place and bf16 come after the outliers") {
    product p({.element = qtk::i8, .grain = qtk::per_channel}, {130, 45, 64});
    plant(p, 10);
    std::vector<float> const bias = qtk::gaussian_vector(45, 8),
                             residual = qtk::gaussian_vector(130 * 45, 9);
    for (qtk::instruction_set const isa : cases::usable_isas()) {
        std::vector<float> expected = run(isa, p).y;
        for (std::size_t i = 0; i < expected.size(); ++i) expected[i] += bias[i % 45];
        for (std::size_t m = 0; m < 130; ++m)
            qtk::activate(qtk::activation::silu, {expected.data() + m * 45, 45});
        for (std::size_t i = 0; i < expected.size(); ++i) expected[i] += residual[i];
        std::vector<float> y = residual;
        qtk::llm_int8_options options;
        options.end.bias = bias;
        options.end.function = qtk::activation::silu;
        options.end.residual = {y.data(), 130, 45};
        qtk::detail::checked_llm_int8(isa, p.packed,
                                      qtk::matrix_view<float const>(p.x.data(), 130, 64),
                                      qtk::matrix_view<float>(y.data(), 130, 45), options);
        for (std::size_t i = 0; i < y.size(); ++i)
            REQUIRE(static_cast<double>(y[i]) ==
                    doctest::Approx(static_cast<double>(expected[i])).epsilon(1e-5));

        std::vector<qtk::bf16_value> x(p.x.size()), short_y(y.size());
        product rounded = product(p.weights.scheme(), p.shape);
        for (std::size_t i = 0; i < x.size(); ++i) {
            x[i] = qtk::bf16_value(p.x[i]);
            rounded.x[i] = static_cast<float>(x[i]);
        }
        qtk::detail::checked_llm_int8(
            isa, p.packed, qtk::matrix_view<qtk::bf16_value const>(x.data(), 130, 64),
            qtk::matrix_view<qtk::bf16_value>(short_y.data(), 130, 45), {});
        std::vector<float> const plain = run(isa, rounded).y;
        for (std::size_t i = 0; i < plain.size(); ++i)
            REQUIRE(short_y[i] == qtk::bf16_value(plain[i]));
    }
}

TEST_CASE("an infinity or NaN makes its row NaN and no other, in an outlier column too") {
    product p({.element = qtk::i8, .grain = qtk::per_channel}, {4, 40, 64});
    plant(p, 16);  // columns 8, 24, 40, 56
    product const healthy = [&] {
        product same({.element = qtk::i8, .grain = qtk::per_channel}, {4, 40, 64});
        same.x = p.x;
        return same;
    }();
    p.x[1 * 64 + 24] = std::numeric_limits<float>::infinity();
    p.x[3 * 64 + 5] = std::numeric_limits<float>::quiet_NaN();
    for (qtk::instruction_set const isa : cases::usable_isas()) {
        std::vector<float> const y = run(isa, p).y, before = run(isa, healthy).y;
        for (std::size_t i = 0; i < y.size(); ++i) {
            if (i / 40 % 2 == 1)
                REQUIRE(y[i] != y[i]);
            else
                REQUIRE(y[i] == before[i]);
        }
    }
}

TEST_CASE("1, 2 and 5 threads give the same bits with outliers") {
    product p({.element = qtk::i8, .grain = qtk::per_channel}, {140, 200, 320});
    plant(p, 50);
    for (qtk::instruction_set const isa : cases::usable_isas()) {
        auto const work = [&] { return run(isa, p).y; };
        std::vector<float> const alone = cases::on_threads(1, work);
        CHECK(cases::same_bits(cases::on_threads(2, work), alone));
        CHECK(cases::same_bits(cases::on_threads(5, work), alone));
    }
}

TEST_CASE("a threshold that is not positive, and levels that are no integers, are refused") {
    product const p({.element = qtk::i8, .grain = qtk::per_channel}, {2, 40, 64});
    std::vector<float> y(80);
    qtk::matrix_view<float const> const x(p.x.data(), 2, 64);
    qtk::matrix_view<float> const out(y.data(), 2, 40);
    CHECK_THROWS_WITH_AS(qtk::llm_int8_gemm(p.packed, x, out, {.threshold = 0.0f}),
                         "llm_int8_gemm: expected a threshold above 0, found 0.000000. Hint: 6, "
                         "or infinity for no outliers",
                         qtk::value_error);
    CHECK_THROWS_AS(qtk::llm_int8_gemm(p.packed, x, out,
                                       {.threshold = std::numeric_limits<float>::quiet_NaN()}),
                    qtk::value_error);
    CHECK_THROWS_AS(qtk::llm_int8_gemm(p.packed, x, qtk::matrix_view<float>(y.data(), 1, 40)),
                    qtk::shape_error);
    product const q({.element = qtk::e4m3, .grain = qtk::per_group(32)}, {2, 40, 64});
    CHECK_THROWS_AS(qtk::llm_int8_gemm(q.packed, x, out), qtk::value_error);
    qtk::packed_matrix const empty = qtk::prepack(qtk::any_qmatrix({.element = qtk::i8}, 0, 64));
    CHECK(qtk::llm_int8_gemm(empty, x, qtk::matrix_view<float>(y.data(), 2, 0)).outliers == 0);
}
