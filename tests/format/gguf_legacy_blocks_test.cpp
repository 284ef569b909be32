// SPDX-License-Identifier: Apache-2.0
#include <qtk/format/gguf_legacy_blocks.hpp>

#include <doctest/doctest.h>

#include "gguf_cases.hpp"
#include <bit>
#include <limits>

namespace {

template <typename Block>
void is_the_reference() {
    cases::ggml_golden const& golden = cases::golden_of(qtk::name_of(Block::type));
    CAPTURE(golden.type);
    std::vector<float> const x = cases::golden_input();
    std::vector<float> back(256);
    std::vector<std::uint8_t> bytes;
    for (std::size_t i = 0; i < 256; i += Block::values) {
        Block const block =
            Block::encode(std::span<float const>(x).subspan(i).template first<Block::values>());
        block.decode(std::span<float>(back).subspan(i).template first<Block::values>());
        auto const some = std::bit_cast<std::array<std::uint8_t, sizeof(Block)>>(block);
        bytes.insert(bytes.end(), some.begin(), some.end());
    }
    CHECK(cases::hex_of(std::span(bytes).first(sizeof(Block))) == golden.first);
    CHECK(cases::hash_of(bytes) == golden.hash);
    // Nine digits were printed.
    CHECK(cases::nmse(x, back) == doctest::Approx(golden.nmse).epsilon(1e-8));
}

template <typename Block>
void keeps_zeros_and_ends() {
    std::array<float, 32> x{}, back;
    back.fill(1.0f);
    Block::encode(x).decode(back);
    CHECK(back == x);
    // Values without meaning are bytes without meaning, but nothing is undefined.
    x.fill(std::numeric_limits<float>::max());
    x[3] = -std::numeric_limits<float>::max();
    static_cast<void>(Block::encode(x));
    x[3] = std::numeric_limits<float>::quiet_NaN();
    static_cast<void>(Block::encode(x));
}

}  // namespace

TEST_CASE("q4_0, q4_1, q5_0, q5_1 and q8_0 are the reference's bytes") {
    is_the_reference<qtk::q4_0_block>();
    is_the_reference<qtk::q4_1_block>();
    is_the_reference<qtk::q5_0_block>();
    is_the_reference<qtk::q5_1_block>();
    is_the_reference<qtk::q8_0_block>();
}

TEST_CASE("zeros become zeros in 32-value blocks, and no float is undefined") {
    keeps_zeros_and_ends<qtk::q4_0_block>();
    keeps_zeros_and_ends<qtk::q4_1_block>();
    keeps_zeros_and_ends<qtk::q5_0_block>();
    keeps_zeros_and_ends<qtk::q5_1_block>();
    keeps_zeros_and_ends<qtk::q8_0_block>();
}

TEST_CASE("of two values of one magnitude the first takes the lowest field") {
    std::array<float, 32> x{};
    auto const check = [&]<typename Block>(float step) {
        for (float const first : {4.0f, -4.0f}) {
            x[3] = first, x[19] = -first;
            Block const block = Block::encode(x);
            std::array<float, 32> back{};
            block.decode(back);
            CHECK(back[3] == first);
            CHECK(back[19] == -first + (first > 0.0f ? step : -step));  // the highest is one less
        }
    };
    check.template operator()<qtk::q4_0_block>(0.5f);
    check.template operator()<qtk::q5_0_block>(0.25f);
}

TEST_CASE("codes of values whose scale has no reciprocal are clamped before they become integers") {
    std::array<float, 32> x{};
    x[0] = 0x1p-149f * 100.0f, x[1] = -x[0], x[2] = 0x1p-149f;
    qtk::q8_0_block const block = qtk::q8_0_block::encode(x);
    CHECK(block.codes[0] == 127);
    CHECK(block.codes[1] == -127);
    CHECK(block.codes[2] == 127);
    CHECK(block.d == std::array<std::uint8_t, 2>{});  // no half is so small: all is zero
}

TEST_CASE("q8_0 rounds halves away from zero") {
    std::array<float, 32> x{};
    x[0] = 127.0f, x[1] = 2.5f, x[2] = -2.5f, x[3] = 2.4f;
    qtk::q8_0_block const block = qtk::q8_0_block::encode(x);
    CHECK(block.codes[1] == 3);
    CHECK(block.codes[2] == -3);
    CHECK(block.codes[3] == 2);
}
