// SPDX-License-Identifier: Apache-2.0
#include <qtk/io/byte_reader.hpp>

#include <doctest/doctest.h>

TEST_CASE("numbers are little endian at any alignment, and come in order") {
    std::array<std::byte, 11> bytes{};
    qtk::store_little_endian(std::uint8_t{7}, bytes.data());
    qtk::store_little_endian(std::uint64_t{0x0102030405060708}, bytes.data() + 1);
    qtk::store_little_endian(std::uint16_t{0xbeef}, bytes.data() + 9);
    CHECK(bytes[1] == std::byte{8});
    qtk::byte_reader reader(bytes, "x.bin", 100);
    CHECK(reader.take<std::uint8_t>("a") == 7);
    CHECK(reader.take<std::uint64_t>("b") == 0x0102030405060708);
    CHECK(reader.offset() == 109);
    CHECK(reader.take<std::uint16_t>("c") == 0xbeef);
    CHECK(reader.remaining() == 0);
}

TEST_CASE("a short read names file, byte, what was wanted and what is left") {
    std::array<std::byte, 3> const bytes{};
    qtk::byte_reader reader(bytes, "x.bin");
    CHECK_THROWS_WITH_AS(reader.take<std::uint32_t>("the count"),
                         doctest::Contains("the count needs 4 bytes but only 3"), qtk::io_error);
    CHECK_THROWS_AS(reader.take_bytes(~std::uint64_t{0}, "everything"), qtk::io_error);
    CHECK(reader.remaining() == 3);
}

TEST_CASE("a number whose first byte is the highest is read, and missing bytes are named") {
    std::array<std::byte, 5> const bytes{std::byte{0}, std::byte{0}, std::byte{8}, std::byte{3},
                                         std::byte{255}};
    qtk::byte_reader reader(bytes, "a.idx");
    CHECK(reader.take_big_endian<std::uint32_t>("the number") == 0x803u);
    CHECK_THROWS_WITH_AS((void)reader.take_big_endian<std::uint32_t>("a length"),
                         doctest::Contains("a.idx: byte 4: a length needs 4 bytes"), qtk::io_error);
    CHECK(reader.take_big_endian<std::uint8_t>("the last") == 255);
}
