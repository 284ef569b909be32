// SPDX-License-Identifier: Apache-2.0
#include <qtk/core/random.hpp>
#include <qtk/kernel/llm_int8.hpp>
#include <qtk/kernel/prepack.hpp>
#include <qtk/method/llm_int8.hpp>
#include <qtk/quantize.hpp>

#include <doctest/doctest.h>

#include <limits>
#include <vector>

namespace {

/// Column 1 is an outlier in every row, column 3 in row 0 alone.
std::vector<float> rows_with_outliers(std::size_t rows, std::size_t cols) {
    auto x = qtk::gaussian_vector(rows * cols, 3);
    for (float& v : x) v *= 0.5f;
    for (std::size_t r = 0; r < rows; ++r) x[r * cols + 1] = r % 2 == 0 ? 20.0f : -20.0f;
    x[3] = 7.0f;
    return x;
}

}  // namespace

TEST_CASE("columns are counted by the rows in which they reach the threshold") {
    auto const x = rows_with_outliers(10, 8);
    qtk::outlier_statistics seen(8);
    seen.add({x.data(), 4, 8});
    seen.add({x.data() + 4 * 8, 6, 8});
    CHECK(seen.count() == 10);
    auto const any = seen.outliers();
    CHECK(any.columns == std::vector<std::uint32_t>{1, 3});
    CHECK(any.column_fraction == 0.25);
    CHECK(any.row_fraction == 1.0);
    CHECK(any.missed == 0.0);
    auto const usual = seen.outliers(0.1);
    CHECK(usual.columns == std::vector<std::uint32_t>{1});
    CHECK(usual.missed == doctest::Approx(1.0 / 11.0));
}

TEST_CASE("a threshold can be chosen by the share of columns that reach it") {
    auto const x = rows_with_outliers(10, 8);
    qtk::outlier_statistics seen(8);
    seen.add({x.data(), 10, 8});
    for (double const share : {0.0, 0.125, 0.25, 0.5}) {
        CAPTURE(share);
        qtk::outlier_statistics again(8, seen.threshold_for(share));
        again.add({x.data(), 10, 8});
        CHECK(again.outliers().column_fraction == share);
    }
    CHECK(seen.threshold_for(0.125) == std::nextafter(7.0f, 8.0f));
}

TEST_CASE("the product with calibrated columns is the product that finds the same ones") {
    auto const x = rows_with_outliers(10, 64);
    auto const w = qtk::gaussian_vector(40 * 64, 4);
    constexpr qtk::scheme w8{.element = qtk::i8, .grain = qtk::per_channel};
    qtk::packed_matrix const packed =
        qtk::prepack(qtk::quantize<w8>(qtk::matrix_view<float const>(w.data(), 40, 64)));
    qtk::outlier_statistics seen(64);
    seen.add({x.data(), 10, 64});
    auto const any = seen.outliers(), usual = seen.outliers(0.5);
    qtk::matrix found(10, 40), given(10, 40), fewer(10, 40);
    qtk::matrix_view<float const> const rows(x.data(), 10, 64);
    CHECK(qtk::llm_int8_gemm(packed, rows, found.view()).outliers == 2);
    CHECK(qtk::llm_int8_gemm(packed, rows, given.view(), {.columns = any.columns}).outliers == 2);
    CHECK(given == found);
    // A row without values beyond the threshold elsewhere does not see the difference.
    CHECK(qtk::llm_int8_gemm(packed, rows, fewer.view(), {.columns = usual.columns}).outliers == 1);
    bool is_row_0_equal = true, is_row_1_close = true;
    for (std::size_t c = 0; c < 40; ++c) {
        is_row_0_equal = is_row_0_equal && fewer(0, c) == found(0, c);
        is_row_1_close = is_row_1_close && std::fabs(fewer(1, c) - found(1, c)) < 0.2f;
    }
    CHECK_FALSE(is_row_0_equal);
    CHECK(is_row_1_close);
}

TEST_CASE("bad input is refused") {
    CHECK_THROWS_WITH_AS(qtk::outlier_statistics(4, 0.0f),
                         "outlier statistics: expected a threshold above 0, found 0.000000",
                         qtk::value_error);
    qtk::outlier_statistics seen(4);
    CHECK_THROWS_WITH_AS((void)seen.outliers(), "outlier statistics: no row was added",
                         qtk::value_error);
    std::vector<float> x(8);
    CHECK_THROWS_AS(seen.add({x.data(), 2, 3}), qtk::shape_error);
    x[5] = std::numeric_limits<float>::infinity();
    CHECK_THROWS_AS(seen.add({x.data(), 2, 4}), qtk::nonfinite_error);
    CHECK(seen.count() == 0);
    seen.add({x.data(), 1, 4});
    CHECK_THROWS_AS((void)seen.outliers(1.0), qtk::value_error);
    CHECK_THROWS_AS((void)seen.threshold_for(-0.5), qtk::value_error);
}

TEST_CASE("given columns that are none of the input's are refused") {
    auto const w = qtk::gaussian_vector(4 * 8, 4);
    constexpr qtk::scheme w8{.element = qtk::i8, .grain = qtk::per_channel};
    qtk::packed_matrix const packed =
        qtk::prepack(qtk::quantize<w8>(qtk::matrix_view<float const>(w.data(), 4, 8)));
    std::vector<float> const x(8);
    qtk::matrix y(1, 4);
    std::vector<std::uint32_t> const beyond{2, 8}, turned{3, 3};
    qtk::matrix_view<float const> const row(x.data(), 1, 8);
    CHECK_THROWS_WITH_AS(
        qtk::llm_int8_gemm(packed, row, y.view(), {.columns = beyond}),
        "llm_int8_gemm: expected ascending outlier columns below 8, found 8 after 2",
        qtk::value_error);
    CHECK_THROWS_AS(qtk::llm_int8_gemm(packed, row, y.view(), {.columns = turned}),
                    qtk::value_error);
}
