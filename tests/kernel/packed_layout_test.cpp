// SPDX-License-Identifier: Apache-2.0
#include <qtk/kernel/packed_layout.hpp>

#include <doctest/doctest.h>

#include <set>
#include <vector>

TEST_CASE("the fields of a unit fill its bits, each bit once") {
    for (int const bits : {2, 3, 4, 5, 6, 8}) {
        CAPTURE(bits);
        qtk::bit_planes const p = qtk::planes_of(bits);
        std::set<std::size_t> taken;
        for (std::size_t c = 0; c < qtk::panel_columns; ++c)
            for (std::size_t k = 0; k < qtk::unit_depth; ++k) {
                qtk::field_place const at = qtk::place_in_unit(p, c, k);
                for (int b = 0; b < p.low; ++b)
                    taken.insert(8 * at.low_byte + static_cast<std::size_t>(at.low_bit + b));
                for (int b = 0; b < p.high; ++b)
                    taken.insert(8 * at.high_byte + static_cast<std::size_t>(at.high_bit + b));
            }
        CHECK(taken.size() == 32u * 32u * static_cast<std::size_t>(bits));
        CHECK(*taken.rbegin() + 1 == 32u * 32u * static_cast<std::size_t>(bits));
    }
}

TEST_CASE("a field comes back from its place, whatever the others are") {
    for (int const bits : {2, 3, 4, 5, 6, 8}) {
        CAPTURE(bits);
        qtk::bit_planes const p = qtk::planes_of(bits);
        std::vector<std::uint8_t> unit(128u * static_cast<unsigned>(bits));
        auto const field = [&](std::size_t c, std::size_t k) {
            return static_cast<std::uint8_t>((7 * c + 3 * k + 1) & ((1u << bits) - 1u));
        };
        for (std::size_t c = 0; c < qtk::panel_columns; ++c)
            for (std::size_t k = 0; k < qtk::unit_depth; ++k)
                qtk::set_unit_field(unit.data(), p, c, k, field(c, k));
        for (std::size_t c = 0; c < qtk::panel_columns; ++c)
            for (std::size_t k = 0; k < qtk::unit_depth; ++k)
                REQUIRE(qtk::unit_field(unit.data(), p, c, k) == field(c, k));
    }
}

TEST_CASE("sizes of the stream") {
    using qtk::packed_layout;
    packed_layout const w({.element = qtk::i4, .grain = qtk::per_group(100)}, 40, 250);
    CHECK(w.groups == 3);
    CHECK(w.group_units == 4);
    CHECK(w.last_units == 2);
    CHECK(w.panels == 2);
    CHECK(w.depth() == 320);
    CHECK(w.depth_of(199) == 227);
    CHECK(!w.is_dense());
    CHECK(w.panel_bytes == 2 * (128 + 4 * 512) + 128 + 2 * 512);
    CHECK(packed_layout({.element = qtk::i8}, 3, 64).is_dense());
    CHECK(packed_layout({.element = qtk::i8}, 0, 64).bytes == 0);
    CHECK(packed_layout({.element = qtk::i8}, 64, 0).bytes == 0);
    CHECK_THROWS_AS(packed_layout({.element = qtk::i8}, ~std::size_t{0} / 2, 1000),
                    qtk::value_error);
}
