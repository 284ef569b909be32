// SPDX-License-Identifier: Apache-2.0
#include <qtk/core/random.hpp>
#include <qtk/method/learned.hpp>
#include <qtk/quantize.hpp>
#include <qtk/quantize_any.hpp>

#include <doctest/doctest.h>

#include <limits>
#include <vector>

namespace {

using qtk::scheme;

qtk::matrix random_matrix(std::size_t rows, std::size_t cols, std::uint64_t seed) {
    qtk::matrix m(rows, cols);
    auto const values = qtk::gaussian_vector(rows * cols, seed);
    std::copy(values.begin(), values.end(), m.data());
    return m;
}

constexpr scheme a3{.element = qtk::i3, .grain = qtk::per_group(8), .zero = qtk::origin::floating};

}  // namespace

TEST_CASE("the grid's round to nearest is that of the library, byte for byte") {
    qtk::matrix const w = random_matrix(5, 20, 1);
    for (scheme const& s :
         {a3, scheme{.element = qtk::i4, .grain = qtk::per_channel},
          scheme{.element = qtk::u2, .grain = qtk::per_group(16), .zero = qtk::origin::floating},
          scheme{.element = qtk::i4, .grain = qtk::per_group(6), .scale = qtk::scale_type::f16},
          scheme{.element = qtk::i8,
          .grain = qtk::per_group(8),
          .zero = qtk::origin::floating,
          .scale = qtk::scale_type::e8m0,
          .round = qtk::rounding::nearest_away}})
        CHECK(qtk::code_grid(s, w.view(), {}).nearest() == qtk::quantize_any(w, s));
}

TEST_CASE("an empty weight has an empty grid") {
    CHECK(qtk::code_grid(a3, {nullptr, 0, 8}, {}).nearest().size() == 0);
    CHECK(qtk::code_grid(a3, {nullptr, 3, 0}, {}).nearest().size() == 0);
}

TEST_CASE("what cannot be learned is refused, and the scheme is named") {
    qtk::matrix const w = random_matrix(2, 8, 2);
    for (scheme const& s :
         {scheme{.element = qtk::i4}, scheme{.element = qtk::i4, .grain = qtk::per_block(2, 4)},
          scheme{.element = qtk::nf4, .grain = qtk::per_group(8)}, qtk::nvfp4,
          scheme{
              .element = qtk::i4, .grain = qtk::per_group(8), .round = qtk::rounding::stochastic}})
        CHECK_THROWS_WITH_AS(qtk::code_grid(s, w.view(), {.name = "q_proj"}),
                             doctest::Contains("q_proj: learning needs integers"),
                             qtk::value_error);
    CHECK_THROWS_WITH_AS(
        qtk::code_grid({.element = qtk::i4}, w.view(), {}),
        "weight: learning needs integers, tiles of one row, scales of one level "
        "and rounding to nearest, found i4/tensor/sym/f32. Hint: for example i4/g64/asym",
        qtk::value_error);
}

TEST_CASE("weights that are not finite are refused, whatever the policy") {
    qtk::matrix w = random_matrix(2, 8, 3);
    w(1, 2) = std::numeric_limits<float>::quiet_NaN();
    CHECK_THROWS_WITH_AS(
        qtk::code_grid(a3, w.view(), {.on_nonfinite = qtk::nonfinite::zero, .name = "v_proj"}),
        "v_proj: learning needs finite weights, found 1 NaN or infinite, the first at index 10",
        qtk::nonfinite_error);
}

TEST_CASE("a sigmoid is exact where it matters") {
    CHECK(qtk::detail::sigmoid(0.0f) == 0.5f);
    CHECK(qtk::detail::sigmoid(4.0f) == doctest::Approx(0.982014f).epsilon(1e-6));
    CHECK(qtk::detail::sigmoid(100.0f) == 1.0f);
    CHECK(qtk::detail::sigmoid(-100.0f) < 1e-30f);
}
