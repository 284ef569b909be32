// SPDX-License-Identifier: Apache-2.0
#include <qtk/core/matrix.hpp>

#include <doctest/doctest.h>

TEST_CASE("a matrix without a shape is empty") {
    qtk::matrix const nothing;
    CHECK(nothing.rows() == 0);
    CHECK(nothing.cols() == 0);
    CHECK(nothing.view().size() == 0);
}

TEST_CASE("a matrix starts as zeros and is row-major") {
    qtk::matrix m(2, 3);
    CHECK(m(1, 2) == 0.0f);
    m(1, 0) = 5.0f;
    CHECK(m.data()[3] == 5.0f);
    CHECK(m.shape()[0] == 2);
    CHECK(qtk::view_of(m).row(1)[0] == 5.0f);
}

TEST_CASE("a shape whose size overflows is refused") {
    auto const huge = ~std::size_t{0} / 2;
    CHECK_THROWS_AS(qtk::matrix(huge, 3), qtk::value_error);
}

TEST_CASE("equal matrices have equal shapes and values") {
    CHECK(qtk::matrix(2, 3) == qtk::matrix::from_shape({2, 3}));
    CHECK_FALSE(qtk::matrix(2, 3) == qtk::matrix(3, 2));
}
