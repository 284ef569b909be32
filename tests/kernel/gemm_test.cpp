// SPDX-License-Identifier: Apache-2.0
#include <qtk/core/matrix.hpp>
#include <qtk/core/random.hpp>
#include <qtk/kernel/gemm.hpp>
#include <qtk/quantize_any.hpp>

#include <doctest/doctest.h>

#include <cmath>

TEST_CASE("each row of the product is the gemv of that row of X") {
    auto const values = qtk::gaussian_vector(35 * 90, 1), x = qtk::gaussian_vector(6 * 90, 2);
    qtk::matrix_view<float const> const rows(x.data(), 6, 90);
    auto const q = qtk::quantize_any(qtk::matrix_view<float const>(values.data(), 35, 90),
                                     qtk::parse_scheme("i4/g32/asym"));
    qtk::matrix y(6, 35);
    qtk::gemm(q, rows, y.view());
    std::vector<float> one(35);
    for (std::size_t m = 0; m < 6; ++m) {
        qtk::gemv(q, rows.row(m), one);
        for (std::size_t r = 0; r < 35; ++r) REQUIRE(y(m, r) == one[r]);
    }
}

TEST_CASE("the scalar twin and the float product of decoded weights agree within the bound") {
    auto const values = qtk::gaussian_vector(20 * 64, 3), x = qtk::gaussian_vector(3 * 64, 4);
    qtk::matrix_view<float const> const rows(x.data(), 3, 64);
    auto const q = qtk::quantize_any(qtk::matrix_view<float const>(values.data(), 20, 64),
                                     qtk::parse_scheme("nf4/g32"));
    qtk::matrix const decoded = qtk::dequantize(q);
    qtk::matrix fast(3, 20), exact(3, 20), floats(3, 20);
    qtk::gemm(q, rows, fast.view());
    qtk::gemm_scalar(q, rows, exact.view());
    qtk::sgemm(rows, decoded.view(), floats.view());
    CHECK(fast == floats);
    for (std::size_t m = 0; m < 3; ++m)
        for (std::size_t r = 0; r < 20; ++r) {
            double magnitudes = 0.0;
            for (std::size_t c = 0; c < 64; ++c)
                magnitudes +=
                    std::fabs(static_cast<double>(decoded(r, c)) * static_cast<double>(rows(m, c)));
            REQUIRE(std::fabs(static_cast<double>(fast(m, r)) - static_cast<double>(exact(m, r))) <=
                    65 * 0x1p-23 * magnitudes);
        }
}

TEST_CASE("shapes that do not fit are refused") {
    qtk::any_qmatrix const w({}, 2, 5);
    qtk::matrix x(3, 5), y(3, 3), z(2, 2);
    CHECK_THROWS_AS(qtk::gemm(w, x.view(), y.view()), qtk::shape_error);
    CHECK_THROWS_AS(qtk::gemm(w, x.view(), z.view()), qtk::shape_error);
    CHECK_THROWS_AS(qtk::sgemm(x.view(), qtk::matrix(2, 4).view(), y.view()), qtk::shape_error);
}
