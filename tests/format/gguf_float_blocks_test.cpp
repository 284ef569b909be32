// SPDX-License-Identifier: Apache-2.0
#include <qtk/format/gguf_float_blocks.hpp>

#include <doctest/doctest.h>

#include <bit>

TEST_CASE("every half and every bfloat16 comes back from its float") {
    for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
        std::array<std::uint8_t, 2> const bytes{static_cast<std::uint8_t>(bits & 0xff),
                                                static_cast<std::uint8_t>(bits >> 8)};
        std::array<float, 1> x{}, y{};
        qtk::f16_block{bytes}.decode(x);
        qtk::bf16_block{bytes}.decode(y);
        REQUIRE(std::bit_cast<std::uint32_t>(y[0]) == bits << 16);
        if (x[0] == x[0]) REQUIRE(qtk::f16_block::encode(x).bits == bytes);
        if (y[0] == y[0]) REQUIRE(qtk::bf16_block::encode(y).bits == bytes);
    }
}

TEST_CASE("a float is its own four bytes, little endian") {
    std::array<float, 1> const x{std::bit_cast<float>(0x3f123456u)};
    std::array<float, 1> back{};
    qtk::f32_block const block = qtk::f32_block::encode(x);
    CHECK(block.bits == std::array<std::uint8_t, 4>{0x56, 0x34, 0x12, 0x3f});
    block.decode(back);
    CHECK(back == x);
}
