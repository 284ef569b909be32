// SPDX-License-Identifier: Apache-2.0
#include <qtk/io/netpbm.hpp>

#include <doctest/doctest.h>

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace {

qtk::image decoded(std::string const& file) {
    return qtk::decode_netpbm(std::as_bytes(std::span(file)), "a.ppm");
}
std::string refusal(std::string const& file) {
    try {
        (void)decoded(file);
    } catch (qtk::io_error const& fault) {
        return fault.what();
    }
    return "accepted";
}
bool refuses(std::string const& file, char const* reason) {
    std::string const text = refusal(file);
    CAPTURE(text);
    return text.starts_with("a.ppm: byte ") && text.find(reason) != std::string::npos;
}

}  // namespace

TEST_CASE("a grey and a coloured image are read as they lie") {
    qtk::image const grey{1, 2, 1, {65, 255}}, colour{2, 1, 3, {97, 98, 99, 100, 101, 102}};
    CHECK(decoded("P5 2 1 255\nA\xff") == grey);
    CHECK(decoded("P6\n1\n2\n255\nabcdef") == colour);
    CHECK(qtk::is_netpbm("P6"));
    CHECK_FALSE(qtk::is_netpbm("P3"));
}

TEST_CASE("comments and any white space may stand in the header") {
    CHECK(decoded("P5# by hand\n\t2 # wide\r\n#\n1\v\f255 #A").bytes ==
          std::vector<std::uint8_t>{'#', 'A'});
}

TEST_CASE("bytes that look like white space belong to the pixels") {
    CHECK(decoded("P5 2 1 255\n\n ").bytes == std::vector<std::uint8_t>{'\n', ' '});
}

TEST_CASE("a smaller largest value is stretched to 255") {
    CHECK(decoded(std::string("P5 4 1 3\n\x00\x01\x02\x03", 13)).bytes ==
          std::vector<std::uint8_t>{0, 85, 170, 255});
    CHECK(decoded(std::string("P5 3 1 16\n\x01\x08\x10", 13)).bytes ==
          std::vector<std::uint8_t>{16, 128, 255});  // 15.94, 127.5, 255
    CHECK(refuses("P5 1 1 3\n\x04", "byte 9: expected values up to 3, found 4"));
}

TEST_CASE("every cut of a file is refused, and so is what follows it") {
    std::string const file = "P6 1 2 255\nabcdef";
    for (std::size_t size = 0; size < file.size(); ++size) {
        CAPTURE(size);
        CHECK(refusal(file.substr(0, size)) != "accepted");
    }
    CHECK(refuses(file + file, "promises 6 bytes of pixels, 23 follow"));
}

TEST_CASE("other kinds of files and broken headers are refused by what is wrong") {
    CHECK(refuses("", "expected P5 or P6"));
    CHECK(refuses("P3 1 1 255 0 0 0", "expected P5 or P6"));
    CHECK(refuses("P5x1 1 255\na", "white space before the width"));
    CHECK(refuses("P5 1x1 255\na", "white space before the height"));
    CHECK(refuses("P5 -1 1 255\na", "expected the width"));
    CHECK(refuses("P5 1 1 65535\naa", "from 1 to 255, found 65535"));
    CHECK(refuses("P5 1 1 0\na", "from 1 to 255, found 0"));
    CHECK(refuses("P5 1 1 255a", "one white space"));
    CHECK(refuses("P5 0 1 255\n", "an image of 1 x 0 pixels"));
}

TEST_CASE("sizes that overflow are refused before memory is taken") {
    CHECK(refuses("P5 9999999999 1 255\n", "more than 9 digits"));
    CHECK(refuses("P6 999999999 999999999 255\n", "an image of 999999999 x 999999999"));
    CHECK(refuses("P6 32768 2048 255\n", "promises 201326592 bytes of pixels, 0 follow"));
    CHECK(refuses("P6 32768 2049 255\n", "at most 67108864 in all"));
}
