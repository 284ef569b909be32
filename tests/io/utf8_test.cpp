// SPDX-License-Identifier: Apache-2.0
#include <qtk/io/utf8.hpp>

#include <doctest/doctest.h>

#include <string>

TEST_CASE("valid text has no fault") {
    for (std::string_view const text : {"", "plain", "\u00e4\u20ac\U0001f600", "\xf4\x8f\xbf\xbf"})
        CHECK(qtk::find_utf8_fault(text) == std::string_view::npos);
}

TEST_CASE("the place of the first fault is found") {
    CHECK(qtk::find_utf8_fault("abc\xff") == 3);
    CHECK(qtk::find_utf8_fault("12345678abcdefg\xc3") == 15);  // cut short, behind the fast path
    CHECK(qtk::find_utf8_fault("\xc0\x80") == 0);              // an overlong zero
    CHECK(qtk::find_utf8_fault("a\xed\xa0\x80") == 1);         // a surrogate
    CHECK(qtk::find_utf8_fault("ab\xf4\x90\x80\x80") == 2);    // above U+10FFFF
    CHECK(qtk::find_utf8_fault("\x80") == 0);                  // a lone continuation
}

TEST_CASE("names are shown in quotes, odd bytes as hexadecimal, long ones cut") {
    CHECK(qtk::quoted("h.0") == "\"h.0\"");
    CHECK(qtk::quoted(std::string_view("a\n\xff", 3)) == "\"a\\x0a\\xff\"");
    CHECK(qtk::quoted(std::string(200, 'x')).size() < 130);
}
