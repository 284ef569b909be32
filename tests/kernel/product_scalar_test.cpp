// SPDX-License-Identifier: Apache-2.0
#include <qtk/kernel/prepack.hpp>
#include <qtk/kernel/product.hpp>
#include <qtk/kernel/product_scalar.hpp>

#include <doctest/doctest.h>

#include "product_cases.hpp"
#include <cmath>

TEST_CASE("a product by hand: two groups, a zero point, one row of int8") {
    qtk::scheme const s{
        .element = qtk::u4, .grain = qtk::per_group(2), .zero = qtk::origin::floating};
    qtk::any_qmatrix q(s, 1, 4);
    q.set_row(0, std::vector<std::uint8_t>{3, 15, 0, 8});
    q.set_params(std::vector<qtk::tile_params>{{0.5f, 4}, {2.0f, 7}});
    qtk::packed_matrix const w = qtk::prepack(q);
    float const x[] = {127.0f, -1.0f, 2.0f, 4.0f};
    float y = 0.0f;
    qtk::detail::checked_product(
        qtk::instruction_set::scalar, w, qtk::matrix_view<float const>(x, 1, 4),
        qtk::matrix_view<float>(&y, 1, 1), {.activations = qtk::activation_type::a8_row});
    // Scale 1: codes 127 -1 2 4. 0.5 (-1 * 127 + 11 * -1) + 2 (-7 * 2 + 1 * 4) = -69 - 20
    CHECK(y == -89.0f);
    qtk::detail::checked_product(qtk::instruction_set::scalar, w,
                                 qtk::matrix_view<float const>(x, 1, 4),
                                 qtk::matrix_view<float>(&y, 1, 1), {});
    CHECK(y == -89.0f);
}
