// SPDX-License-Identifier: Apache-2.0
#include <qtk/io/byte_alphabet.hpp>

#include <doctest/doctest.h>

#include <set>
#include <string>

TEST_CASE("the empty text spells no bytes") {
    CHECK(qtk::to_byte_alphabet("").empty());
    CHECK(qtk::from_byte_alphabet("") == std::string());
}

TEST_CASE("every byte has its own character") {
    std::set<char16_t> const letters(qtk::byte_alphabet.begin(), qtk::byte_alphabet.end());
    CHECK(letters.size() == 256);
    CHECK(*letters.begin() == u'!');
    CHECK(*letters.rbegin() == 0x143);
}

TEST_CASE("the first and last bytes of each range have the published characters") {
    // Bytes 0..32 are U+0100.., 127..160 are U+0121.., 173 is U+0143.
    CHECK(qtk::to_byte_alphabet(std::string(1, '\0')) == "\u0100");
    CHECK(qtk::to_byte_alphabet(" ") == "\u0120");
    CHECK(qtk::to_byte_alphabet("\n") == "\u010a");
    CHECK(qtk::to_byte_alphabet("\x7f") == "\u0121");
    CHECK(qtk::to_byte_alphabet("\xa0") == "\u0142");
    CHECK(qtk::to_byte_alphabet("\xad") == "\u0143");
    CHECK(qtk::to_byte_alphabet("~\xa1\xac\xae\xff") == "~\u00a1\u00ac\u00ae\u00ff");
}

TEST_CASE("all 256 bytes survive the way there and back") {
    std::string bytes;
    for (int byte = 0; byte < 256; ++byte) bytes += static_cast<char>(byte);
    CHECK(qtk::from_byte_alphabet(qtk::to_byte_alphabet(bytes)) == bytes);
}

TEST_CASE("text outside the alphabet spells nothing") {
    for (char const* text : {" ", "a b", "\n", "\u00ad", "\u0144", "\u2581the", "\u4f60"})
        CHECK_FALSE(qtk::from_byte_alphabet(text).has_value());
}

TEST_CASE("broken UTF-8 spells nothing") {
    for (char const* text : {"\xc4", "a\xc4", "\xc4!", "\x80", "\xc0\xa1", "\xff"})
        CHECK_FALSE(qtk::from_byte_alphabet(text).has_value());
}
