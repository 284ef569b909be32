// SPDX-License-Identifier: Apache-2.0
#include <qtk/method/gptq.hpp>
// The header under test comes first, so that it is seen to need nothing else.
#include <qtk/core/random.hpp>
#include <qtk/method/input_statistics.hpp>
#include <qtk/quantize_any.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#if defined(_OPENMP)
#include <omp.h>
#endif

namespace {

using qtk::gptq, qtk::gptq_groups, qtk::gptq_order, qtk::matrix;

constexpr qtk::scheme w4{
    .element = qtk::i4, .grain = qtk::per_channel, .zero = qtk::origin::floating};
constexpr qtk::scheme w3_group{
    .element = qtk::i3, .grain = qtk::per_group(16), .zero = qtk::origin::floating};

matrix noise(std::size_t rows, std::size_t cols, std::uint64_t seed) {
    matrix m(rows, cols);
    auto const values = qtk::gaussian_vector(rows * cols, seed);
    std::copy(values.begin(), values.end(), m.data());
    return m;
}

/// Rows in which each column is 0.9 of the one before plus noise, as neighbours in real layers are.
matrix correlated_rows(std::size_t rows, std::size_t cols, std::uint64_t seed) {
    matrix x = noise(rows, cols, seed);
    for (std::size_t r = 0; r < rows; ++r)
        for (std::size_t c = 1; c < cols; ++c) x(r, c) = 0.9f * x(r, c - 1) + 0.43588989f * x(r, c);
    return x;
}

matrix hessian_of(matrix const& x) {
    qtk::input_statistics seen(x.cols());
    seen.add(x.view());
    return seen.hessian();
}

matrix identity(std::size_t n) {
    matrix m(n, n);
    for (std::size_t i = 0; i < n; ++i) m(i, i) = 1.0f;
    return m;
}

/// tr((W - W') H (W - W')^T)
double error_of(matrix const& w, matrix const& left, matrix const& h) {
    double sum = 0.0;
    for (std::size_t r = 0; r < w.rows(); ++r)
        for (std::size_t i = 0; i < w.cols(); ++i)
            for (std::size_t j = 0; j < w.cols(); ++j)
                sum += static_cast<double>(w(r, i) - left(r, i)) * static_cast<double>(h(i, j)) *
                       static_cast<double>(w(r, j) - left(r, j));
    return sum;
}

matrix decoded(qtk::gptq_result const& result) {
    return qtk::decode_in_order(result.weight);
}

}  // namespace

TEST_CASE("two columns by hand: the second takes over what the first lost") {
    // Codes are whole numbers: the largest weight, 127, fixes the scale at 1.
    // H = [4 3; 3 3] + 0 = R R^T with R = [1 sqrt(3); 0 sqrt(3)]: x_1 = w_1 + (w_0 - w'_0) * 1.
    matrix w(1, 3), h(3, 3);
    w(0, 0) = 0.4f, w(0, 1) = 0.3f, w(0, 2) = 127.0f;
    h(0, 0) = 4.0f, h(0, 1) = 3.0f, h(1, 0) = 3.0f, h(1, 1) = 3.0f, h(2, 2) = 1.0f;
    constexpr qtk::scheme w8{.element = qtk::i8, .grain = qtk::per_channel};
    auto const result = gptq(h, {.damping = 0.0f}).run(w8, w.view());
    CHECK(result.weight.matrix.code(0, 0) == 0);  // 0.4 -> 0, and 0.4 is left over
    CHECK(result.weight.matrix.code(0, 1) == 1);  // 0.3 + 0.4 -> 1; to nearest it were 0
    CHECK(result.weight.matrix.code(0, 2) == 127);
    // (0.4^2 * 1 + 0.3^2 * 3) / 2
    CHECK(result.loss == doctest::Approx(0.215).epsilon(1e-5));
}

TEST_CASE("if inputs do not depend on each other, GPTQ is round to nearest, bit for bit") {
    matrix const w = noise(24, 200, 1);
    matrix const h = identity(200);
    for (qtk::scheme const& s :
         {w4, w3_group, qtk::scheme{.element = qtk::i8},
          qtk::scheme{.element = qtk::nf4, .grain = qtk::per_group(64)},
          qtk::scheme{
              .element = qtk::i2, .grain = qtk::per_group(150), .scale = qtk::scale_type::f16},
          qtk::scheme{.element = qtk::i4, .grain = qtk::per_block(8, 48)}, qtk::mxfp4,
          qtk::nvfp4}) {
        CAPTURE(qtk::to_string(s));
        auto const nearest = qtk::quantize_any(w, s);
        CHECK(gptq(h).quantize(s, w.view()) == nearest);
        CHECK(gptq(h, {.groups = gptq_groups::fixed}).quantize(s, w.view()) == nearest);
        // Equal diagonals keep their order.
        CHECK(gptq(h, {.order = gptq_order::activation}).run(s, w.view()).weight.matrix == nearest);
    }
    auto const searched = gptq(h, {.range = qtk::mse_range{}}).quantize(w3_group, w.view());
    CHECK(searched == qtk::quantize_any(w, w3_group, qtk::mse_range{}));
}

TEST_CASE("on correlated inputs the output error is a fraction of that of round to nearest") {
    matrix const w = noise(64, 64, 1), x = correlated_rows(256, 64, 2);
    matrix const h = hessian_of(x);
    double const nearest = error_of(w, qtk::dequantize(qtk::quantize<w4>(w)), h);
    double const moved = error_of(w, qtk::dequantize(qtk::quantize<w4>(w, gptq{h})), h);
    CHECK(moved < 0.4 * nearest);
}

TEST_CASE("the reported loss is half of the error that the codes make") {
    matrix const w = noise(5, 300, 3), x = correlated_rows(900, 300, 4);
    matrix h = hessian_of(x);
    for (gptq_order const order : {gptq_order::natural, gptq_order::activation})
        for (gptq_groups const groups : {gptq_groups::running, gptq_groups::fixed}) {
            auto const result = gptq(h, {.damping = 0.0f, .order = order, .groups = groups})
                                    .run(w3_group, w.view());
            CHECK(2.0 * result.loss ==
                  doctest::Approx(error_of(w, decoded(result), h)).epsilon(1e-3));
        }
}

TEST_CASE("every way of grouping beats round to nearest in its own objective") {
    matrix const w = noise(16, 320, 5), x = correlated_rows(640, 320, 6);
    matrix const h = hessian_of(x);
    for (int const group : {16, 48, 128, 160, 320}) {
        qtk::scheme const s{
            .element = qtk::i3, .grain = {.rows = 1, .cols = group}, .zero = qtk::origin::floating};
        double const nearest = error_of(w, qtk::dequantize(qtk::quantize_any(w, s)), h);
        for (gptq_order const order : {gptq_order::natural, gptq_order::activation})
            for (gptq_groups const groups : {gptq_groups::running, gptq_groups::fixed}) {
                CAPTURE(group);
                auto const result = gptq(h, {.order = order, .groups = groups}).run(s, w.view());
                CHECK(error_of(w, decoded(result), h) < 0.5 * nearest);
            }
    }
}

TEST_CASE("blocks do not show: one group of 300 columns is computed as if column by column") {
    // The same formula without blocks, in double precision.
    matrix const w = noise(3, 300, 7), x = correlated_rows(700, 300, 8);
    matrix h = hessian_of(x);
    auto const [factor, damping] = qtk::damped_factor(h.view(), 0.01f);
    auto const result = gptq(h).run(w4, w.view());
    qtk::any_quantizer const q(w4);
    std::size_t different = 0;
    for (std::size_t r = 0; r < 3; ++r) {
        qtk::tile_params const p = q.fit(qtk::minmax_range{}.estimate(w.view().row(r)));
        std::vector<double> moved(w.view().row(r).begin(), w.view().row(r).end());
        for (std::size_t j = 0; j < 300; ++j) {
            std::uint8_t const field = q.encode(static_cast<float>(moved[j]), p);
            different += field != result.weight.matrix.field(r, j) ? 1u : 0u;
            double const error = static_cast<double>(w(r, j) - q.decode(field, p));
            for (std::size_t k = j + 1; k < 300; ++k)
                moved[k] +=
                    error * static_cast<double>(factor(j, k)) / static_cast<double>(factor(k, k));
        }
    }
    CHECK(different <= 3);  // values so near to a border that floats round to the other side
}

TEST_CASE(
    "act-order with running groups says which column is where; quantize() refuses to lose it") {
    matrix const w = noise(4, 64, 9);
    matrix h = identity(64);
    for (std::size_t i = 0; i < 64; ++i) h(i, i) = static_cast<float>(1 + (i * 37) % 64);
    gptq const method(h, {.order = gptq_order::activation});
    auto const result = method.run(w3_group, w.view());
    REQUIRE(result.weight.order.size() == 64);
    qtk::require_order(result.weight);
    for (std::size_t k = 1; k < 64; ++k)
        CHECK(h(result.weight.order[k - 1], result.weight.order[k - 1]) >
              h(result.weight.order[k], result.weight.order[k]));
    // A diagonal Hessian moves no errors: the groups are those of the sorted matrix.
    matrix sorted(4, 64);
    for (std::size_t r = 0; r < 4; ++r)
        for (std::size_t k = 0; k < 64; ++k) sorted(r, k) = w(r, result.weight.order[k]);
    CHECK(result.weight.matrix == qtk::quantize_any(sorted, w3_group));
    CHECK_THROWS_WITH_AS(
        static_cast<void>(method.quantize(w3_group, w.view(), {.name = "layer"})),
        "layer: act-order with running groups moves columns. Hint: gptq::run(), or "
        "gptq_groups::fixed",
        qtk::value_error);
    // With one group there is nothing that the order has to be known for.
    CHECK(gptq(h, {.order = gptq_order::activation}).quantize(w4, w.view()) ==
          qtk::quantize_any(w, w4));
}

TEST_CASE("a column that was always zero is rounded and disturbs nobody") {
    matrix const w = noise(4, 32, 10);
    matrix x = correlated_rows(100, 32, 11);
    for (std::size_t r = 0; r < 100; ++r) x(r, 7) = 0.0f;
    matrix const h = hessian_of(x);
    auto const result = gptq(h).run(w4, w.view());
    CHECK(result.damping.dead_columns == 1);
    auto const nearest = qtk::quantize<w4>(w);
    for (std::size_t r = 0; r < 4; ++r)
        CHECK(result.weight.matrix.field(r, 7) == nearest.field(r, 7));
}

TEST_CASE(
    "a singular Hessian is damped step by step; one that nothing helps is an error or round to "
    "nearest") {
    matrix const w = noise(4, 40, 12);
    matrix const few = noise(3, 40, 13);  // three rows: rank 3 of 40
    auto const result = gptq(hessian_of(few), {.damping = 0.0f}).run(w4, w.view());
    CHECK(result.damping.succeeded);
    CHECK(result.damping.tried.size() > 1);
    CHECK(result.damping.tried.front() == 0.0f);
    matrix hopeless = identity(40);
    hopeless(0, 1) = hopeless(1, 0) = 50.0f;
    CHECK_THROWS_WITH_AS(
        static_cast<void>(gptq(hopeless).run(w4, w.view(), {.name = "h.0.mlp"})),
        "h.0.mlp: the Hessian is not positive definite with a damping of 0.01, 0.0316228, 0.1, "
        "0.316228, 1. Hint: more calibration text, or gptq_failure::round_to_nearest",
        qtk::value_error);
    auto const fallback =
        gptq(hopeless, {.on_failure = qtk::gptq_failure::round_to_nearest}).run(w4, w.view());
    CHECK(fallback.is_fallback);
    CHECK(fallback.weight.matrix == qtk::quantize<w4>(w));
}

TEST_CASE("what makes no sense is refused in one sentence") {
    matrix const w = noise(4, 8, 14);
    matrix h = identity(8);
    auto const run = [&](matrix const& hessian, qtk::gptq_options const& options = {}) {
        static_cast<void>(gptq(hessian, options).run(w4, w.view()));
    };
    CHECK_THROWS_WITH_AS(run(identity(7)), "hessian: expected [8, 8], found [7, 7]",
                         qtk::shape_error);
    CHECK_THROWS_WITH_AS(run(h, {.damping = -1.0f}),
                         "gptq: expected a damping of 0 or more, found -1.000000",
                         qtk::value_error);
    h(3, 3) = -2.0f;
    CHECK_THROWS_AS(run(h), qtk::value_error);
    h(3, 3) = std::numeric_limits<float>::infinity();
    CHECK_THROWS_AS(run(h), qtk::nonfinite_error);
    matrix bad = w;
    bad(1, 1) = std::numeric_limits<float>::quiet_NaN();
    CHECK_THROWS_AS(static_cast<void>(gptq(identity(8)).run(w4, bad.view())), qtk::nonfinite_error);
    CHECK_THROWS_AS(
        static_cast<void>(
            gptq(identity(8)).run({.element = qtk::nf4, .zero = qtk::origin::floating}, w.view())),
        qtk::value_error);
}

#if defined(_OPENMP)
TEST_CASE("codes are the same for any number of threads") {
    matrix const w = noise(200, 260, 15), x = correlated_rows(400, 260, 16);
    matrix const h = hessian_of(x);
    int const before = omp_get_max_threads();
    omp_set_num_threads(1);
    auto const one = gptq(h).run(w3_group, w.view());
    omp_set_num_threads(4);
    auto const four = gptq(h).run(w3_group, w.view());
    omp_set_num_threads(before);
    CHECK(one.weight == four.weight);
    CHECK(one.loss == four.loss);
}
#endif
