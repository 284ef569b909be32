// SPDX-License-Identifier: Apache-2.0
#include <qtk/format/ordered_qmatrix.hpp>

#include <doctest/doctest.h>

#include <vector>

namespace {

/// Two rows of four codes, two a group: values 1 2 | 30 40 and -1 -2 | 50 60.
qtk::any_qmatrix small_matrix() {
    qtk::any_qmatrix q(
        {.element = qtk::u4, .grain = qtk::per_group(2), .zero = qtk::origin::floating}, 2, 4);
    q.set_row(0, std::vector<std::uint8_t>{1, 2, 4, 5});
    q.set_row(1, std::vector<std::uint8_t>{2, 1, 5, 6});
    q.set_params(std::vector<qtk::tile_params>{{1.0f, 0}, {10.0f, 1}, {1.0f, 3}, {10.0f, 0}});
    return q;
}

std::vector<float> row(qtk::matrix const& m, std::size_t r) {
    auto const values = m.view().row(r);
    return {values.begin(), values.end()};
}

}  // namespace

TEST_CASE("without an order columns are where they were") {
    qtk::ordered_qmatrix const q{small_matrix(), {}};
    CHECK_NOTHROW(qtk::require_order(q));
    CHECK(row(qtk::decode_in_order(q), 0) == std::vector<float>{1, 2, 30, 40});
    CHECK(row(qtk::decode_in_order(q), 1) == std::vector<float>{-1, -2, 50, 60});
    CHECK(qtk::columns_by_input(q) == std::vector<std::uint32_t>{0, 1, 2, 3});
}

TEST_CASE("column k goes back to the input order[k]") {
    qtk::ordered_qmatrix const q{small_matrix(), {2, 0, 3, 1}};
    CHECK_NOTHROW(qtk::require_order(q));
    CHECK(row(qtk::decode_in_order(q), 0) == std::vector<float>{2, 40, 1, 30});
    CHECK(row(qtk::decode_in_order(q), 1) == std::vector<float>{-2, 60, -1, 50});
    CHECK(qtk::columns_by_input(q) == std::vector<std::uint32_t>{1, 3, 0, 2});
    CHECK(qtk::input_of(q, 2) == 3);
}

TEST_CASE("a last group may be short, and formats without a zero are looked up") {
    qtk::ordered_qmatrix q{
        qtk::any_qmatrix({.element = qtk::nf4, .grain = qtk::per_group(2)}, 1, 3), {1, 2, 0}};
    q.matrix.set_row(0, std::vector<std::uint8_t>{15, 0, 15});
    q.matrix.set_params(std::vector<qtk::tile_params>{{2.0f, 0}, {3.0f, 0}});
    CHECK(row(qtk::decode_in_order(q), 0) == std::vector<float>{3, 2, -2});
}

TEST_CASE("an order that is no permutation is refused") {
    CHECK_THROWS_WITH_AS(qtk::require_order({small_matrix(), {0, 1, 2}}),
                         "ordered matrix: expected an order of 4 columns, found 3",
                         qtk::shape_error);
    CHECK_THROWS_WITH_AS(qtk::require_order({small_matrix(), {0, 1, 2, 4}}),
                         "ordered matrix: expected each input below 4 once, found 4 at column 3",
                         qtk::value_error);
    CHECK_THROWS_WITH_AS(
        qtk::require_order({small_matrix(), {0, 1, 1, 3}}),
        "ordered matrix: expected each input below 4 once, found 1 again at column 2",
        qtk::value_error);
}
