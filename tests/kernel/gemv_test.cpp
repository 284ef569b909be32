// SPDX-License-Identifier: Apache-2.0
#include <qtk/core/random.hpp>
#include <qtk/kernel/gemv.hpp>
#include <qtk/quantize_any.hpp>

#include <doctest/doctest.h>

#include <cmath>

#if defined(_OPENMP)
#include <omp.h>
#endif

TEST_CASE("an empty matrix gives zeros and nothing") {
    qtk::any_qmatrix const none({}, 3, 0);
    std::vector<float> y(3, 7.0f);
    qtk::gemv(none, {}, y);
    CHECK(y == std::vector<float>(3, 0.0f));
    qtk::gemv(qtk::any_qmatrix{}, {}, {});
}

TEST_CASE("shapes that do not fit are refused with both") {
    qtk::any_qmatrix const w({}, 2, 5);
    std::vector<float> x(5), y(3);
    CHECK_THROWS_WITH_AS(qtk::gemv(w, x, y),
                         "gemv: W is 2 x 5, so x needs 5 values and y 2; found 5 and 3",
                         qtk::shape_error);
}

TEST_CASE("the product is within its bound of the scalar twin, for every kind of scheme") {
    auto const values = qtk::gaussian_vector(37 * 203, 4), x = qtk::gaussian_vector(203, 5);
    qtk::matrix_view<float const> const w(values.data(), 37, 203);
    for (char const* const spelling :
         {"i2/g32/asym", "i3/g64", "i4/g128/sym/f16", "i5/channel", "i6/tensor/asym", "i7/b8x16",
          "u8/g20/asym/bf16", "nf4/g64", "fp4/g64", "mxfp4", "nvfp4", "e5m2/channel"}) {
        CAPTURE(spelling);
        auto const q = qtk::quantize_any(w, qtk::parse_scheme(spelling));
        std::vector<float> fast(37), exact(37), row(203);
        qtk::gemv(q, x, fast);
        qtk::gemv_scalar(q, x, exact);
        for (std::size_t r = 0; r < 37; ++r) {
            qtk::decode_rows(q, r, 1, row.data());
            double magnitudes = 0.0;
            for (std::size_t c = 0; c < 203; ++c)
                magnitudes += std::fabs(static_cast<double>(row[c]) * static_cast<double>(x[c]));
            REQUIRE(std::fabs(static_cast<double>(fast[r]) - static_cast<double>(exact[r])) <=
                    204 * 0x1p-23 * magnitudes);
        }
    }
}

#if defined(_OPENMP)
TEST_CASE("one thread and two give the same bits") {
    auto const values = qtk::gaussian_vector(400 * 600, 6), x = qtk::gaussian_vector(600, 7);
    auto const q = qtk::quantize_any(qtk::matrix_view<float const>(values.data(), 400, 600),
                                     qtk::parse_scheme("i4/g32"));
    std::vector<float> one(400), two(400);
    omp_set_num_threads(1);
    qtk::gemv(q, x, one);
    omp_set_num_threads(2);
    qtk::gemv(q, x, two);
    CHECK(one == two);
}
#endif
