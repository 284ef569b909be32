// SPDX-License-Identifier: Apache-2.0
#include <qtk/model/rounded_activations.hpp>
// The header under test comes first, so that it is seen to need nothing else.
#include <qtk/core/random.hpp>
#include <qtk/core/spelling.hpp>
#include <qtk/quantize.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <limits>

namespace {

using qtk::activation_type, qtk::layer_activations, qtk::matrix;

matrix some_rows(std::size_t rows, std::size_t cols) {
    matrix x(rows, cols);
    auto const values = qtk::gaussian_vector(rows * cols, 5);
    std::ranges::copy(values, x.data());
    return x;
}
matrix rounded(matrix const& x, char const* weights, layer_activations const& how) {
    return qtk::rounded_activations(x.view(), qtk::parse_scheme(weights), how);
}

}  // namespace

TEST_CASE("floats stay as they are, bf16 keeps eight bits") {
    matrix x = some_rows(2, 3);
    CHECK(rounded(x, "i4/g128", {}) == x);
    x(0, 0) = 1.0f + 0x1p-8f, x(0, 1) = 1.0f + 0x1p-7f;
    matrix const y = rounded(x, "i4/g128", {.type = activation_type::bf16});
    CHECK(y(0, 0) == 1.0f);
    CHECK(y(0, 1) == 1.0f + 0x1p-7f);
}

TEST_CASE("one scale a row is quantize<i8/channel>, one a group quantize<i8/group>") {
    matrix const x = some_rows(3, 100);
    constexpr qtk::scheme row{.element = qtk::i8, .grain = qtk::per_channel};
    constexpr qtk::scheme group{.element = qtk::i8, .grain = qtk::per_group(32)};
    CHECK(rounded(x, "i4/g32", {.type = activation_type::a8_row}) == qtk::fake_quantize<row>(x));
    CHECK(rounded(x, "i4/g32", {.type = activation_type::a8_group}) ==
          qtk::fake_quantize<group>(x));
    // A group as wide as the row is cut where the kernels cut it.
    matrix const wide = some_rows(2, 600);
    constexpr qtk::scheme piece{.element = qtk::i8, .grain = qtk::per_group(128)};
    CHECK(rounded(wide, "i4/channel", {.type = activation_type::a8_group}) ==
          qtk::fake_quantize<piece>(wide));
}

TEST_CASE("outlier columns stay floats and do not widen the scale of the others") {
    matrix x = some_rows(3, 40);
    x(1, 7) = 6.0f;
    matrix const y =
        rounded(x, "i8/channel", {.type = activation_type::a8_row, .has_outliers = true});
    for (std::size_t r = 0; r < 3; ++r) CHECK(y(r, 7) == x(r, 7));
    matrix without = x;
    for (std::size_t r = 0; r < 3; ++r) without(r, 7) = 0.0f;
    matrix const rest = rounded(without, "i8/channel", {.type = activation_type::a8_row});
    for (std::size_t r = 0; r < 3; ++r)
        for (std::size_t c = 0; c < 40; ++c)
            if (c != 7) CHECK(y(r, c) == rest(r, c));
}

TEST_CASE("a static scale is the same for every row, and clips what lies beyond") {
    matrix x(2, 3);
    x(0, 0) = 1.0f, x(0, 1) = 0.3f, x(0, 2) = -0.26f;
    x(1, 0) = 1000.0f, x(1, 1) = -1000.0f, x(1, 2) = 0.2f;
    matrix y =
        rounded(x, "i8/channel", {.type = activation_type::a8_static, .grid = {.scale = 0.5f}});
    CHECK(y(0, 0) == 1.0f);
    CHECK(y(0, 1) == 0.5f);
    CHECK(y(0, 2) == -0.5f);
    CHECK(y(1, 0) == 63.5f);
    CHECK(y(1, 1) == -63.5f);
    CHECK(y(1, 2) == 0.0f);
    x(1, 2) = std::numeric_limits<float>::quiet_NaN();
    y = rounded(x, "i8/channel", {.type = activation_type::a8_static, .grid = {.scale = 0.5f}});
    CHECK(y(1, 0) != y(1, 0));
    CHECK(y(0, 0) == 1.0f);
}

TEST_CASE("an infinity makes its row NaN, as the kernels do, and leaves the others alone") {
    matrix x = some_rows(2, 8);
    x(1, 3) = std::numeric_limits<float>::infinity();
    matrix const y = rounded(x, "i8/channel", {.type = activation_type::a8_row});
    CHECK(y(1, 0) != y(1, 0));
    CHECK(y(0, 0) == y(0, 0));
}
