// SPDX-License-Identifier: Apache-2.0
#include <qtk/format/gguf_table_blocks.hpp>

#include <doctest/doctest.h>

#include "gguf_cases.hpp"
#include <bit>
#include <cmath>

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
    CHECK(cases::nmse(x, back) == doctest::Approx(golden.nmse).epsilon(1e-8));
}

}  // namespace

TEST_CASE("iq4_nl and mxfp4 are the reference's bytes") {
    is_the_reference<qtk::iq4_nl_block>();
    is_the_reference<qtk::mxfp4_block>();
}

TEST_CASE("zeros become zeros in blocks with a table") {
    std::array<float, 32> const x{};
    std::array<float, 32> back;
    back.fill(1.0f);
    qtk::mxfp4_block::encode(x).decode(back);
    CHECK(back == x);
    back.fill(1.0f);
    qtk::iq4_nl_block::encode(x).decode(back);
    CHECK(back == x);
}

TEST_CASE("the exponent of mxfp4 holds at both ends of the floats") {
    std::array<float, 32> x{}, back{};
    x[7] = 0x1p-149f;
    CHECK(qtk::mxfp4_block::encode(x).e == 0);
    x[7] = 0x1.8p127f;
    qtk::mxfp4_block const block = qtk::mxfp4_block::encode(x);
    CHECK(block.e == 252);
    block.decode(back);
    CHECK(back == x);
}

TEST_CASE("ggml's iq4_xs block decodes to its NMSE") {
    cases::ggml_golden const& golden = cases::golden_of("iq4_xs");
    auto const bytes = cases::bytes_of(golden.first);
    qtk::iq4_xs_block block;
    REQUIRE(bytes.size() == sizeof block);
    std::copy(bytes.begin(), bytes.end(), reinterpret_cast<std::uint8_t*>(&block));
    std::vector<float> back(256);
    block.decode(std::span<float>(back).first<256>());
    CHECK(cases::nmse(cases::golden_input(), back) == doctest::Approx(golden.nmse).epsilon(1e-8));
}
