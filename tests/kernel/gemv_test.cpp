// SPDX-License-Identifier: Apache-2.0
#include <qtk/kernel/gemv.hpp>

#include <doctest/doctest.h>

#include "cases.hpp"
#include "threads.hpp"
#include <cmath>

namespace {

/// |fast - scalar| stays within the bound that gemv states, row by row.
void check_against_twin(qtk::scheme const& s, std::size_t rows, std::size_t cols) {
    std::string const name = qtk::to_string(s);
    CAPTURE(name);
    CAPTURE(cols);
    qtk::any_qmatrix const w = cases::random_qmatrix(s, rows, cols, 21);
    std::vector<float> const x = qtk::gaussian_vector(cols, 22);
    std::vector<float> fast(rows), slow(rows), row(cols);
    qtk::gemv(w, x, fast);
    qtk::gemv_scalar(w, x, slow);
    for (std::size_t r = 0; r < rows; ++r) {
        qtk::decode_rows(w, r, 1, row.data());
        double magnitude = 0.0;
        for (std::size_t c = 0; c < cols; ++c)
            magnitude += std::fabs(static_cast<double>(row[c]) * static_cast<double>(x[c]));
        double const bound = static_cast<double>(cols + 1) * 0x1p-23 * magnitude;
        REQUIRE(std::fabs(static_cast<double>(fast[r]) - static_cast<double>(slow[r])) <= bound);
    }
}

}  // namespace

TEST_CASE("a matrix without columns gives zeros, one without rows nothing") {
    std::vector<float> y(3, 7.0f);
    qtk::gemv(qtk::any_qmatrix({.element = qtk::i4}, 3, 0), {}, y);
    CHECK(y == std::vector<float>(3, 0.0f));
    std::vector<float> const x(5, 1.0f);
    qtk::gemv(qtk::any_qmatrix({.element = qtk::i4}, 0, 5), x, {});
}

TEST_CASE("a small product by hand") {
    qtk::any_qmatrix w({.element = qtk::i4, .grain = qtk::per_channel}, 2, 3);
    w.set_params(std::vector<qtk::tile_params>{{0.5f, 8}, {2.0f, 8}});
    w.set_row(0, std::vector<std::uint8_t>{9, 8, 4});   //  0.5  0 -2
    w.set_row(1, std::vector<std::uint8_t>{15, 7, 8});  //  14  -2  0
    std::vector<float> const x{2.0f, 3.0f, -1.0f};
    std::vector<float> y(2);
    qtk::gemv(w, x, y);
    CHECK(y == std::vector<float>{3.0f, 22.0f});
    qtk::gemv_scalar(w, x, y);
    CHECK(y == std::vector<float>{3.0f, 22.0f});
}

TEST_CASE("operands of the wrong size are refused with both sizes") {
    qtk::any_qmatrix const w({.element = qtk::i8}, 2, 3);
    std::vector<float> three(3), two(2);
    CHECK_THROWS_AS(qtk::gemv(w, two, two), qtk::shape_error);
    CHECK_THROWS_AS(qtk::gemv(w, three, three), qtk::shape_error);
    CHECK_THROWS_WITH(qtk::gemv_scalar(w, two, two),
                      "gemv: W is 2 x 3, so x needs 3 values and y 2; found 2 and 2");
    CHECK_THROWS_AS(qtk::gemv(w, three, std::span<float>(three).first(2)), qtk::value_error);
}

TEST_CASE("every format is within the bound of its scalar twin") {
    for (qtk::scheme const& s : cases::schemes_of_every_format())
        for (std::size_t const cols : cases::odd_lengths) check_against_twin(s, 5, cols);
}

TEST_CASE("every way of sharing scales is within the bound of its scalar twin") {
    for (qtk::scheme const& s : cases::schemes_of_every_scale()) check_against_twin(s, 37, 130);
}

TEST_CASE("one thread and several give the same bits") {
    qtk::scheme const s{
        .element = qtk::i4, .grain = qtk::per_group(64), .zero = qtk::origin::floating};
    qtk::any_qmatrix const w = cases::random_qmatrix(s, 301, 400, 5);  // enough for a team
    std::vector<float> const x = qtk::gaussian_vector(400, 6);
    auto const product = [&] {
        std::vector<float> y(w.rows());
        qtk::gemv(w, x, y);
        return y;
    };
    std::vector<float> const alone = cases::on_threads(1, product);
    CHECK(cases::on_threads(2, product) == alone);
    CHECK(cases::on_threads(3, product) == alone);
}
