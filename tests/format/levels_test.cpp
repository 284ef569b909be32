// SPDX-License-Identifier: Apache-2.0
#include <qtk/format/levels.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <cmath>

TEST_CASE("the levels of an integer are its fields, signed or not") {
    for (auto const& [name, f] : qtk::known_formats) {
        if (!f.is_integer()) continue;
        CAPTURE(name);
        auto const level = qtk::levels_of(f);
        for (std::size_t field = 0; field < level.size(); ++field)
            CHECK(level[field] == (field < static_cast<std::size_t>(f.patterns())
                                       ? static_cast<float>(field)
                                       : 0.0f));
    }
}

TEST_CASE("signed and unsigned integers of one width share fields, zero and range") {
    for (int bits = 2; bits <= 8; ++bits) {
        qtk::format const i{.bits = bits};
        qtk::format const u{.kind = qtk::numeral::unsigned_integer, .bits = bits};
        CHECK(qtk::symmetric_zero(i) == 1 << (bits - 1));
        CHECK(qtk::symmetric_zero(u) == qtk::symmetric_zero(i));
        CHECK(qtk::largest_level(i) == static_cast<float>((1 << (bits - 1)) - 1));
        CHECK(qtk::largest_level(u) == qtk::largest_level(i));
        CHECK(qtk::field_offset(i) == 1 << (bits - 1));
        CHECK(qtk::field_offset(u) == 0);
    }
}

TEST_CASE("minifloats and codebooks have their own values and no offset") {
    CHECK(qtk::levels_of(qtk::e2m1)[7] == 6.0f);
    CHECK(qtk::levels_of(qtk::e3m2)[0x3f] == -28.0f);
    CHECK(qtk::levels_of(qtk::e4m3)[0x38] == 1.0f);
    CHECK(std::isnan(qtk::levels_of(qtk::e4m3)[0x7f]));
    CHECK(std::isinf(qtk::levels_of(qtk::e5m2)[0x7c]));
    CHECK(std::equal(qtk::nf4_levels.begin(), qtk::nf4_levels.end(),
                     qtk::levels_of(qtk::nf4).begin()));
    CHECK(std::equal(qtk::fp4_levels.begin(), qtk::fp4_levels.end(),
                     qtk::levels_of(qtk::fp4).begin()));
    for (auto const& f : {qtk::e2m1, qtk::e3m2, qtk::e4m3, qtk::e5m2, qtk::nf4, qtk::fp4}) {
        CHECK(qtk::symmetric_zero(f) == 0);
        CHECK(qtk::field_offset(f) == 0);
    }
}

TEST_CASE("every format has a field of zero") {
    for (auto const& [name, f] : qtk::known_formats) {
        CAPTURE(name);
        float const level = qtk::levels_of(f)[qtk::zero_field(f)];
        CHECK(level == static_cast<float>(qtk::symmetric_zero(f)));
    }
}

TEST_CASE("the largest level is the largest finite magnitude of the table") {
    for (auto const& [name, f] : qtk::known_formats) {
        CAPTURE(name);
        float largest = 0.0f;
        for (float const level : qtk::levels_of(f))
            if (std::isfinite(level)) largest = std::max(largest, std::fabs(level));
        // Integers count from the zero in the middle, and the lowest code is left out.
        if (f.is_integer()) largest -= static_cast<float>(qtk::symmetric_zero(f));
        CHECK(qtk::largest_level(f) == largest);
    }
}
