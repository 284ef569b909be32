// SPDX-License-Identifier: Apache-2.0
#include <qtk/method/awq.hpp>
// The header under test comes first, so that it is seen to need nothing else.
#include <qtk/core/random.hpp>
#include <qtk/core/spelling.hpp>
#include <qtk/quantize_any.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <string>
#include <vector>

namespace {

using qtk::matrix;

matrix random_matrix(std::size_t rows, std::size_t cols, std::uint64_t seed) {
    matrix m(rows, cols);
    auto const values = qtk::gaussian_vector(rows * cols, seed);
    std::copy(values.begin(), values.end(), m.data());
    return m;
}

/// Rows of which a few columns are large, as behind a normalization.
qtk::input_statistics some_inputs(std::size_t columns) {
    matrix x = random_matrix(96, columns, 1);
    for (std::size_t r = 0; r < x.rows(); ++r)
        for (std::size_t c = 5; c < columns; c += 17) x(r, c) *= 25.0f;
    qtk::input_statistics seen(columns, {.has_hessian = false, .kept_rows = 96});
    seen.add(x.view());
    return seen;
}

}  // namespace

TEST_CASE("the factors of an exponent, by hand") {
    std::vector<float> const inputs{1.0f, 16.0f};
    CHECK(qtk::awq_factors(inputs, {}, 0.0f) == std::vector{1.0f, 1.0f});
    // 1 and 4, over sqrt(4).
    CHECK(qtk::awq_factors(inputs, {}, 0.5f) == std::vector{0.5f, 2.0f});
    CHECK(qtk::awq_factors({}, {}, 0.5f).empty());
    // A column that is never used: at least 1e-4, over sqrt(1e-4).
    std::vector<float> const t = qtk::awq_factors(std::vector{0.0f, 1.0f}, {}, 0.5f);
    CHECK(t[0] == doctest::Approx(1e-2));
    CHECK(t[1] == doctest::Approx(1e2));
}

TEST_CASE("duo scaling divides by the mean size of the weights in their groups") {
    matrix w(2, 4);
    w(0, 0) = 1.0f, w(0, 1) = -2.0f, w(0, 2) = 0.0f, w(0, 3) = 0.0f;
    w(1, 0) = 4.0f, w(1, 1) = 1.0f, w(1, 2) = 3.0f, w(1, 3) = 6.0f;
    CHECK(qtk::relative_magnitudes(w.view(), 2) == std::vector{0.75f, 0.625f, 0.25f, 0.5f});
    CHECK(qtk::relative_magnitudes(w.view(), 0)[3] == 0.5f);
    // 4 / (0.25^0.5) = 8 and 1 / (1^0.5) = 1, over sqrt(8), but for the 1e-4.
    std::vector<float> const t =
        qtk::awq_factors(std::vector{16.0f, 1.0f}, std::vector{0.25f, 1.0f}, 0.5f);
    CHECK(t[0] == doctest::Approx(std::sqrt(8.0)).epsilon(1e-3));
    CHECK(t[1] == doctest::Approx(std::sqrt(1.0 / 8.0)).epsilon(1e-3));
}

TEST_CASE("the least error wins, the first of equals, and t = 1 is tried first") {
    std::vector<float> const inputs{1.0f, 4.0f};
    int calls = 0;
    auto const near_half = [&](std::span<float const> t) {
        ++calls;
        return std::fabs(static_cast<double>(t[1] / t[0]) - 2.0);
    };
    qtk::awq_choice const best = qtk::search_awq(inputs, {}, {.steps = 20}, near_half);
    CHECK(calls == 20);
    CHECK(best.exponent == 0.5f);
    CHECK(best.factors[1] / best.factors[0] == 2.0f);
    CHECK(best.plain_error == 1.0);
    CHECK(best.error == 0.0);
    qtk::awq_choice const none =
        qtk::search_awq(inputs, {}, {}, [](std::span<float const>) { return 1.0; });
    CHECK(none.exponent == 0.0f);
    CHECK(none.factors == std::vector{1.0f, 1.0f});
}

TEST_CASE(
    "large inputs make their columns finer: the error falls, and is never above round to nearest") {
    for (std::size_t const columns : {64u, 70u})
        for (char const* const name : {"i3/g32/asym", "i4/channel", "i2/g16/asym/f16", "nf4/g32"})
            for (bool const is_duo : {false, true}) {
                CAPTURE(std::string(name));
                CAPTURE(is_duo);
                qtk::scheme const s = qtk::parse_scheme(name);
                qtk::input_statistics const seen = some_inputs(columns);
                matrix const w = random_matrix(48, columns, 2);
                auto const [codes, choice] = qtk::awq(seen, {.is_duo = is_duo}).run(s, w.view());
                // The error that it reports is the one of its codes.
                matrix const effective = qtk::scaled_columns(qtk::dequantize(codes).view(),
                                                             qtk::reciprocals(choice.factors));
                matrix const truth = qtk::layer_output(seen.rows(), w.view());
                CHECK(choice.error ==
                      qtk::mean_square_difference(
                          truth.view(), qtk::layer_output(seen.rows(), effective.view()).view()));
                CHECK(choice.plain_error ==
                      qtk::mean_square_difference(
                          truth.view(),
                          qtk::layer_output(seen.rows(), qtk::rounded_weight(s, w.view()).view())
                              .view()));
                CHECK(choice.error < 0.9 * choice.plain_error);
                CHECK(codes.scheme() == s);
            }
}

TEST_CASE("equal inputs leave nothing to choose") {
    matrix x(4, 32);
    for (float& v : x.view().flat()) v = 1.0f;
    qtk::input_statistics seen(32, {.has_hessian = false, .kept_rows = 4});
    seen.add(x.view());
    matrix const w = random_matrix(8, 32, 2);
    qtk::scheme const s = qtk::parse_scheme("i3/g32");
    CHECK(qtk::awq(seen).run(s, w.view()).codes == qtk::quantize_any(w, s));
}

TEST_CASE("what does not fit is refused") {
    qtk::scheme const s = qtk::parse_scheme("i3/g32");
    qtk::input_statistics const seen = some_inputs(64);
    CHECK_THROWS_WITH_AS((void)qtk::awq(seen).run(s, matrix(2, 32).view()),
                         "awq: the weight has 32 columns, found 64 magnitudes and rows of 64",
                         qtk::shape_error);
    CHECK_THROWS_WITH_AS((void)qtk::awq(std::vector<float>(64, 1.0f), matrix(0, 64).view())
                             .run(s, matrix(2, 64).view()),
                         "awq: there are no rows to measure the error on", qtk::value_error);
    CHECK_THROWS_WITH_AS((void)qtk::awq(seen, {.steps = 0}).run(s, matrix(2, 64).view()),
                         "awq: expected at least 1 step, found 0", qtk::value_error);
    CHECK_THROWS_WITH_AS((void)qtk::awq_factors(std::vector{1.0f}, std::vector{1.0f, 2.0f}, 0.5f),
                         "awq: expected as many inputs as columns of the weight, found 1 and 2",
                         qtk::shape_error);
}
