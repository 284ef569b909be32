// SPDX-License-Identifier: Apache-2.0
#include <qtk/method/smooth_quant.hpp>
// The header under test comes first, so that it is seen to need nothing else.
#include <qtk/core/random.hpp>

#include <doctest/doctest.h>

#include <array>
#include <vector>

namespace {

using qtk::matrix;

matrix random_matrix(std::size_t rows, std::size_t cols, std::uint64_t seed) {
    matrix m(rows, cols);
    auto const values = qtk::gaussian_vector(rows * cols, seed);
    std::copy(values.begin(), values.end(), m.data());
    return m;
}

std::vector<float> maxima(matrix const& m) {
    std::array<qtk::matrix_view<float const>, 1> const one{m.view()};
    return qtk::column_maxima(one);
}

}  // namespace

TEST_CASE("the factors of equation 4, by hand") {
    // The paper's figure 5: max |x| = 2, 16 ... against max |w| = 2, 1: sqrt(16 / 1) = 4.
    CHECK(qtk::smoothing_factors(std::vector{2.0f, 16.0f}, std::vector{2.0f, 1.0f}, 0.5f) ==
          std::vector{1.0f, 4.0f});
    CHECK(qtk::smoothing_factors(std::vector{3.0f}, std::vector{2.0f}, 1.0f) == std::vector{3.0f});
    CHECK(qtk::smoothing_factors(std::vector{3.0f}, std::vector{2.0f}, 0.0f) == std::vector{0.5f});
}

TEST_CASE("columns that are never used, or have no weight, get finite factors") {
    std::vector<float> const t = qtk::smoothing_factors(std::vector{0.0f, 4.0f, 1e-30f},
                                                        std::vector{1.0f, 0.0f, 1.0f}, 0.5f);
    CHECK(t[0] == 1.0f);
    CHECK(t[1] == doctest::Approx(2.0 / std::sqrt(1e-5)));
    CHECK(t[2] == 1e-5f);
}

TEST_CASE("behind the factors both sides have the same largest values at alpha 0.5") {
    matrix x = random_matrix(40, 16, 1);
    for (std::size_t r = 0; r < 40; ++r) x(r, 3) *= 60.0f;
    matrix const w = random_matrix(8, 16, 2);
    std::vector<float> const t = qtk::smoothing_factors(maxima(x), maxima(w), 0.5f);
    matrix const inputs = qtk::scaled_columns(x.view(), qtk::reciprocals(t));
    matrix const weight = qtk::scaled_columns(w.view(), t);
    std::vector<float> const a = maxima(inputs), b = maxima(weight);
    for (std::size_t c = 0; c < 16; ++c) CHECK(a[c] == doctest::Approx(b[c]));
    // The product is what it was.
    CHECK(qtk::mean_square_difference(qtk::layer_output(x.view(), w.view()).view(),
                                      qtk::layer_output(inputs.view(), weight.view()).view()) <
          1e-8);
}

TEST_CASE("outlier channels cost less when they are smoothed, and the search finds it") {
    matrix x = random_matrix(64, 32, 1);
    for (std::size_t r = 0; r < 64; ++r) x(r, 3) *= 100.0f, x(r, 20) *= 40.0f;
    matrix const w = random_matrix(24, 32, 2), v = random_matrix(8, 32, 3);
    std::array<qtk::matrix_view<float const>, 2> const weights{w.view(), v.view()};
    auto const error = [&](std::span<float const> t) {
        return qtk::smoothed_error({}, x.view(), weights, t);
    };
    std::vector<float> const ones(32, 1.0f);
    qtk::smoothing const found =
        qtk::search_smoothing(maxima(x), qtk::column_maxima(weights), 20, error);
    CHECK(found.plain_error == error(ones));
    CHECK(found.error == error(found.factors));
    CHECK(found.is_used());
    CHECK(found.error < 0.1 * found.plain_error);
    for (int i = 0; i <= 20; ++i)
        CHECK(found.error <= error(qtk::smoothing_factors(maxima(x), qtk::column_maxima(weights),
                                                          static_cast<float>(i) / 20.0f)));
}

TEST_CASE("where no alpha helps, nothing is smoothed") {
    qtk::smoothing const found = qtk::search_smoothing(
        std::vector{1.0f, 2.0f}, std::vector{1.0f, 2.0f}, 2,
        [](std::span<float const> t) { return t[0] == 1.0f && t[1] == 1.0f ? 1.0 : 2.0; });
    CHECK_FALSE(found.is_used());
    CHECK(found.factors == std::vector{1.0f, 1.0f});
    CHECK(found.error == 1.0);
}

TEST_CASE("what does not fit is refused") {
    std::vector<float> const one{1.0f}, two{1.0f, 2.0f};
    CHECK_THROWS_WITH_AS(
        (void)qtk::smoothing_factors(one, two, 0.5f),
        "smooth_quant: expected as many inputs as columns of the weight, found 1 and 2",
        qtk::shape_error);
    CHECK_THROWS_WITH_AS((void)qtk::smoothing_factors(one, one, 1.5f),
                         "smooth_quant: alpha lies in [0, 1], found 1.500000", qtk::value_error);
    CHECK_THROWS_WITH_AS(
        (void)qtk::search_smoothing(one, one, 0, [](std::span<float const>) { return 0.0; }),
        "smooth_quant: expected at least 1 step, found 0", qtk::value_error);
}
