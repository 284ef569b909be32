// SPDX-License-Identifier: Apache-2.0
#include <qtk/kernel/level_constants.hpp>

#include <doctest/doctest.h>

TEST_CASE("every format finds its own constants") {
    for (auto const& [name, f] : qtk::known_formats) {
        CAPTURE(name);
        qtk::level_constants const& c = qtk::stored_constants(f);
        auto const level = qtk::levels_of(f);
        if (f.bits > 4 && f.is_integer()) continue;  // nothing is looked up
        for (std::size_t field = 0; field < static_cast<std::size_t>(f.patterns()); ++field) {
            if (f.bits <= 4) {
                auto const middle = static_cast<float>(qtk::symmetric_zero(f));
                for (std::size_t i = field; i < 16; i += static_cast<std::size_t>(f.patterns()))
                    REQUIRE(c.low[i] == level[field] - middle);
            } else if (static_cast<int>(field % (level.size() / 2) %
                                        static_cast<std::size_t>(f.patterns() / 2)) <= c.finite) {
                bool const is_first = (static_cast<int>(field) & c.exponent_bits) == 0;
                float const low = is_first ? c.first[field % 16] : c.low[field % 16];
                REQUIRE(c.high[field / 16] * low == level[field]);
            } else {
                REQUIRE(!(c.level[field] - c.level[field] == 0.0f));  // infinity or NaN
            }
        }
    }
}

TEST_CASE("integers and tables take different instructions than minifloats of the same width") {
    CHECK(qtk::decoding_of(qtk::u7) == qtk::decoding::eight);
    CHECK(qtk::decoding_of(qtk::i6) == qtk::decoding::six);
    CHECK(qtk::decoding_of(qtk::e3m2) == qtk::decoding::minifloat6);
    CHECK(qtk::decoding_of(qtk::e4m3) == qtk::decoding::minifloat8);
    CHECK(qtk::decoding_of(qtk::nf4) == qtk::decoding::four);
    CHECK(qtk::decoding_of(qtk::e2m1) == qtk::decoding_of(qtk::i4));
}
