// SPDX-License-Identifier: Apache-2.0
#include <qtk/math/transpose.hpp>
// The header under test comes first, so that it is seen to need nothing else.
#include <qtk/core/random.hpp>

#include <doctest/doctest.h>

#include <algorithm>

TEST_CASE("a transposed matrix has its rows for columns") {
    qtk::matrix m(37, 70);
    std::ranges::copy(qtk::gaussian_vector(37 * 70, 1), m.data());
    qtk::matrix const t = qtk::transposed(m.view());
    REQUIRE(t.rows() == 70);
    REQUIRE(t.cols() == 37);
    for (std::size_t r = 0; r < 37; ++r)
        for (std::size_t c = 0; c < 70; ++c) CHECK(t(c, r) == m(r, c));
    CHECK(qtk::transposed({nullptr, 0, 3}).rows() == 3);
}
