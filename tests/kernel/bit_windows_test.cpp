// SPDX-License-Identifier: Apache-2.0
#include <qtk/kernel/bit_windows.hpp>

#include <doctest/doctest.h>

#include "cases.hpp"

TEST_CASE("moving and shifting as the tables say takes every field out of its stream") {
    for (int bits = 1; bits <= 8; ++bits) {
        CAPTURE(bits);
        qtk::splitmix64 random(static_cast<std::uint64_t>(bits));
        std::uint8_t bytes[16] = {};
        for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(random());
        qtk::bit_window const& w = qtk::window_of(bits);
        for (std::size_t i = 0; i < 16; ++i) {
            unsigned word = 0;
            for (std::size_t k = 0; k < 2; ++k)
                if (w.place[4 * i + k] < 16)
                    word |= static_cast<unsigned>(bytes[w.place[4 * i + k]]) << (8 * k);
            unsigned const moved = word * w.shift[2 * i] >> 16;
            CHECK((moved & ((1u << bits) - 1)) == qtk::field_at(bytes, i, bits));
            CHECK(w.place[4 * i + 2] == qtk::detail::no_byte);
            CHECK(w.place[4 * i + 3] == qtk::detail::no_byte);
        }
    }
}
