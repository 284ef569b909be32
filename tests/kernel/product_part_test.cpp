// SPDX-License-Identifier: Apache-2.0
#include <qtk/kernel/product_part.hpp>

#include <doctest/doctest.h>

TEST_CASE("a part without bounds is empty") {
    qtk::product_part const part;
    CHECK(part.row == part.row_end);
    CHECK(part.panel == part.panel_end);
    CHECK(qtk::float_rows{}.data == nullptr);
}
