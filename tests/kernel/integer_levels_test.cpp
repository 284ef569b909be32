// SPDX-License-Identifier: Apache-2.0
#include <qtk/kernel/integer_levels.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <string>

TEST_CASE("integer formats, and those of 16 levels, have integers for their levels") {
    for (auto const& [name, f] : qtk::known_formats) {
        std::string const text(name);
        CAPTURE(text);
        bool const wide_float = f == qtk::e3m2 || f == qtk::e4m3 || f == qtk::e5m2;
        CHECK(qtk::has_integer_levels(f) == !wide_float);
    }
}

TEST_CASE("an integer times its unit is the level: exactly, or within half a unit") {
    for (auto const& [name, f] : qtk::known_formats) {
        if (!qtk::has_integer_levels(f)) continue;
        std::string const text(name);
        CAPTURE(text);
        auto const level = qtk::levels_of(f);
        auto const value = qtk::integer_levels_of(f);
        for (std::size_t field = 0; field < static_cast<std::size_t>(f.patterns()); ++field) {
            if (f.is_integer()) {
                CHECK(value[field] == static_cast<int>(field) - qtk::symmetric_zero(f));
            } else {
                qtk::integer_table const table = qtk::integer_table_of(f);
                CHECK(std::fabs(static_cast<float>(value[field]) * table.unit - level[field]) <=
                      (f == qtk::e2m1 ? 0.0f : 0.5001f / 127.0f));
                CHECK(value[field] + table.bias >= 0);
                CHECK(value[field] + table.bias <= 255);
            }
        }
    }
}
