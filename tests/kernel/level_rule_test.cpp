// SPDX-License-Identifier: Apache-2.0
#include <qtk/kernel/level_rule.hpp>

#include <doctest/doctest.h>

TEST_CASE("formats of up to four bits have a table that repeats, the others arithmetic") {
    for (auto const& [name, f] : qtk::known_formats) {
        CAPTURE(name);
        qtk::level_rule const rule(f);
        CHECK((rule.kind == qtk::level_kind::table) == (f.bits <= 4));
        CHECK(rule.has_zero == f.is_integer());
        if (f.bits <= 4)
            for (std::size_t i = 0; i < 16; ++i)
                CHECK(rule.table[i] == rule.level[i % static_cast<std::size_t>(f.patterns())]);
    }
}

TEST_CASE("the unit of a minifloat is its smallest positive value") {
    for (qtk::format const& f : {qtk::e3m2, qtk::e4m3, qtk::e5m2}) {
        qtk::level_rule const rule(f);
        CHECK(rule.numbers.unit == rule.level[1]);
        CHECK(rule.level[static_cast<std::size_t>(rule.numbers.top)] == qtk::minifloat_max(f));
        CHECK(rule.level[static_cast<std::size_t>(rule.numbers.sign | 1)] == -rule.numbers.unit);
    }
}
