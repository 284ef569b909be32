// SPDX-License-Identifier: Apache-2.0
#include <qtk/io/encoded_layer.hpp>

#include <doctest/doctest.h>

#include "random_layer.hpp"
#include <limits>
#include <vector>

namespace {
namespace detail = qtk::detail;
constexpr qtk::scheme pairs{
    .element = qtk::i4, .grain = qtk::per_group(2), .zero = qtk::origin::floating};
}  // namespace

TEST_CASE("codes go to their inputs, and groups are named by input") {
    qtk::ordered_qmatrix q{qtk::any_qmatrix(pairs, 1, 4), {2, 0, 3, 1}};
    q.matrix.set_row(0, std::vector<std::uint8_t>{5, 6, 7, 8});
    CHECK(detail::fields_by_input(q).values == std::vector<std::uint8_t>{6, 8, 5, 7});
    CHECK(detail::groups_by_input(q) == std::vector<std::int32_t>{0, 1, 0, 1});
    CHECK_FALSE(detail::has_runs(q));
    q.order = {1, 0, 3, 2};
    CHECK(detail::has_runs(q));
    q.order.clear();
    CHECK(detail::has_runs(q));
}

TEST_CASE("scales and zero points of tiles of several rows are repeated") {
    auto s = pairs;
    s.grain = {.rows = 2, .cols = 2};
    qtk::any_qmatrix q(s, 3, 4);
    q.set_params(std::vector<qtk::tile_params>{{1, 1}, {2, 2}, {3, 3}, {4, 4}});
    CHECK(detail::zeros_by_group(q).values == std::vector<std::uint8_t>{1, 2, 1, 2, 3, 4});
    auto const floats = [](std::vector<std::byte> const& bytes) {
        std::vector<float> values(bytes.size() / 4);
        std::memcpy(values.data(), bytes.data(), bytes.size());
        return values;
    };
    CHECK(floats(detail::write_scales(q, qtk::scale_type::f32, true).take()) ==
          std::vector<float>{1, 2, 1, 2, 3, 4});
    CHECK(floats(detail::write_scales(q, qtk::scale_type::f32, false).take()) ==
          std::vector<float>{1, 1, 3, 2, 2, 4});
}

TEST_CASE("a writer of scales keeps the largest change, and takes zero for zero") {
    detail::scale_writer writer(qtk::scale_type::f16);
    qtk::encoded_layer layer;
    writer.add(1.0f, 0, 0);
    writer.add(0.0f, 0, 1);
    writer.add(-2.0f, 0, 2);
    writer.report(layer);
    CHECK(layer.is_exact);
    CHECK(layer.largest_scale_change == 0.0);
    writer.add(1.0f + 0x1p-13f, 0, 3);
    writer.add(1.0f + 0x1p-12f, 0, 4);
    writer.report(layer);
    CHECK_FALSE(layer.is_exact);
    CHECK(layer.largest_scale_change == doctest::Approx(0x1p-12).epsilon(1e-3));
    CHECK_THROWS_WITH_AS(
        writer.add(std::numeric_limits<float>::infinity(), 3, 4),
        "the scale of row 3, group 4 is inf, expected a finite number that f16 can hold",
        qtk::value_error);
    CHECK_THROWS_AS(writer.add(std::numeric_limits<float>::quiet_NaN(), 0, 0), qtk::value_error);
    CHECK(writer.take() == std::vector<std::byte>{std::byte{0x00}, std::byte{0x3c}, std::byte{0},
                                                  std::byte{0}, std::byte{0}, std::byte{0xc0},
                                                  std::byte{0x00}, std::byte{0x3c}, std::byte{0x00},
                                                  std::byte{0x3c}});
}

TEST_CASE("grids are compared by format, columns and symmetry") {
    auto const q = test::random_layer(pairs, 2, 4);
    CHECK_NOTHROW(detail::require_grid("x", q, qtk::i4, 2, false));
    CHECK_NOTHROW(detail::require_grid("x", q, qtk::u4, 2, false));
    CHECK_THROWS_WITH_AS(detail::require_grid("x", q, qtk::i4, 0, false),
                         "x: expected one scale for 4 columns, found i4/g2/asym/f32",
                         qtk::value_error);
    CHECK_THROWS_WITH_AS(
        detail::require_grid("x", q, qtk::i4, 2, true),
        "x: expected symmetric codes, as the configuration says, found i4/g2/asym/f32",
        qtk::value_error);
    CHECK_THROWS_AS(detail::require_grid("x", q, qtk::nf4, 2, false), qtk::value_error);
    CHECK_THROWS_WITH_AS(
        detail::require_grid("x", qtk::any_qmatrix(pairs, 0, 4), qtk::i4, 2, false),
        "x: expected rows and columns, found an empty matrix", qtk::value_error);
    // A group that is wider than the row is the row.
    auto wide = pairs;
    wide.grain = qtk::per_group(64);
    CHECK_NOTHROW(detail::require_grid("x", test::random_layer(wide, 2, 4), qtk::i4, 0, false));
}
