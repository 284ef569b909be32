// SPDX-License-Identifier: Apache-2.0
#include <qtk/core/matrix.hpp>

#include <doctest/doctest.h>

#include <concepts>
#include <utility>

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

TEST_CASE(
    "a matrix that is given away is kept, by copies as well, and a borrowed one is read in place") {
    qtk::matrix m(1, 2);
    qtk::kept_matrix const borrowed = m;
    m(0, 1) = 3.0f;
    CHECK(borrowed.view()(0, 1) == 3.0f);
    CHECK(borrowed.view().data == m.data());
    qtk::kept_matrix copy = borrowed;
    {
        qtk::kept_matrix const kept = std::move(m);
        copy = kept;
    }
    CHECK(copy.view()(0, 1) == 3.0f);
    CHECK(qtk::kept_matrix(std::as_const(m).view()).view().data == m.data());
    // A temporary that nobody would hold.
    struct other {
        operator qtk::matrix_view<float const>() const { return {}; }
    };
    static_assert(std::constructible_from<qtk::kept_matrix, other const&>);
    static_assert(!std::constructible_from<qtk::kept_matrix, other>);
}
