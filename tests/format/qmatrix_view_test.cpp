// SPDX-License-Identifier: Apache-2.0
#include <qtk/format/qmatrix_view.hpp>

#include <doctest/doctest.h>

#include <vector>

TEST_CASE("a view of a matrix shows the same parts") {
    qtk::scheme const s{.element = qtk::i3,
                        .grain = qtk::per_group(4),
                        .zero = qtk::origin::floating,
                        .scale = qtk::scale_type::f16};
    qtk::any_qmatrix q(s, 2, 6);
    q.set_row(1, std::vector<std::uint8_t>{1, 2, 3, 4, 5, 6});
    q.set_params(std::vector<qtk::tile_params>{{1.0f, 0}, {0.5f, 1}, {2.0f, 2}, {0.25f, 7}});
    qtk::qmatrix_view const v(q);
    CHECK(v.rows() == 2);
    CHECK(v.cols() == 6);
    CHECK(v.scheme() == s);
    CHECK(qtk::field_at(v.row_codes(1).data(), 4, 3) == 5);
    CHECK(v.scale_pattern(1, 1) == qtk::float_to_f16(0.25f));
    CHECK(v.zero_field(1, 1) == 7);
    CHECK(v.zero_field(0, 1) == 1);
}

TEST_CASE("parts of the wrong size and schemes without sense are refused") {
    std::vector<std::uint8_t> const bytes(100);
    auto const some = [&](std::size_t n) { return std::span(bytes).first(n); };
    qtk::scheme const s{.element = qtk::i8};
    CHECK_NOTHROW(qtk::qmatrix_view(s, 3, 5, some(15), some(4), {}));
    CHECK_THROWS_WITH_AS(
        qtk::qmatrix_view(s, 3, 5, some(14), some(4), {}),
        "qmatrix_view i8/tensor/sym/f32 [3, 5]: expected 15 bytes of codes, found 14",
        qtk::shape_error);
    CHECK_THROWS_AS(qtk::qmatrix_view(s, 3, 5, some(15), some(5), {}), qtk::shape_error);
    CHECK_THROWS_AS(qtk::qmatrix_view(s, 3, 5, some(15), some(4), some(1)), qtk::shape_error);
    CHECK_THROWS_AS(qtk::qmatrix_view({.element = qtk::format{.bits = 9}}, 0, 0, {}, {}, {}),
                    qtk::value_error);
}
