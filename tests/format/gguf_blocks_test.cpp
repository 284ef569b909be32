// SPDX-License-Identifier: Apache-2.0
#include <qtk/format/gguf_blocks.hpp>

#include <doctest/doctest.h>

#include "gguf_goldens.hpp"
#include <bit>
#include <vector>

namespace {

/// 256 floats, exact in binary.
std::vector<float> golden_input() {
    std::vector<float> x(256);
    for (std::size_t i = 0; i < 256; ++i)
        x[i] = static_cast<float>(static_cast<int>((7919 * i + 13) % 257) - 128) / 64.0f;
    return x;
}

std::uint64_t fnv1a(std::uint64_t hash, std::uint8_t byte) {
    return (hash ^ byte) * 1099511628211ull;
}
constexpr std::uint64_t start_of_bytes = 1469598103934665603ull;

/// The bytes of the golden input's blocks, hashed in the order of a file.
template <typename Block>
std::uint64_t hash_of_encoded() {
    std::vector<float> const x = golden_input();
    std::uint64_t hash = start_of_bytes;
    for (std::size_t b = 0; b < 256 / Block::values; ++b) {
        Block const block = Block::encode(
            std::span<float const>(x).subspan(b * Block::values).template first<Block::values>());
        auto const bytes = std::bit_cast<std::array<std::uint8_t, sizeof(Block)>>(block);
        for (std::uint8_t const byte : bytes) hash = fnv1a(hash, byte);
    }
    return hash;
}

}  // namespace

TEST_CASE("q4_0 and q8_0 are the reference's bytes") {
    CHECK(hash_of_encoded<qtk::q4_0_block>() == 0xb79a1342de74a1f7ull);
    CHECK(hash_of_encoded<qtk::q8_0_block>() == 0x5463fe54ce7906fbull);
}

TEST_CASE("decoded floats are an independent decoder's, bit for bit") {
    for (goldens::gguf_decoded const& golden : goldens::gguf_decoders) {
        CAPTURE(qtk::name_of(golden.type));
        // The bytes of the generator: a 32-bit linear congruence, halves patched.
        qtk::gguf_view w{golden.type, {}, 3, 512};
        std::vector<std::uint8_t> bytes(3 * w.row_blocks() * w.block_bytes());
        std::uint32_t state = 12345;
        for (std::uint8_t& b : bytes) {
            state = state * 1664525u + 1013904223u;
            b = static_cast<std::uint8_t>(state >> 24);
        }
        // The high byte of d and dmin: between 2^-11 and 2^-4, either sign.
        auto const tame = [&](std::size_t at) {
            bytes[at] = static_cast<std::uint8_t>((bytes[at] & 0x9f) | 0x10);
        };
        for (std::size_t b = 0; b < bytes.size(); b += w.block_bytes()) {
            tame(b + (golden.type == qtk::gguf_type::q6_K ? 209 : 1));
            if (golden.type == qtk::gguf_type::q4_K) tame(b + 3);
        }
        w.bytes = bytes;
        std::uint64_t hash = start_of_bytes;
        std::vector<float> row(512);
        for (std::size_t r = 0; r < 3; ++r) {
            qtk::decode_gguf_row(w, r, row);
            for (std::size_t i = 0; i < 512; ++i) {
                auto const bits = std::bit_cast<std::uint32_t>(row[i]);
                for (unsigned shift = 0; shift < 32; shift += 8)
                    hash = fnv1a(hash, static_cast<std::uint8_t>(bits >> shift & 0xff));
                if (r == 0 && i < golden.first.size()) CHECK(row[i] == golden.first[i]);
            }
        }
        CHECK(hash == golden.hash);
    }
}

TEST_CASE("zeros become zeros") {
    std::array<float, 32> const zeros{};
    std::array<float, 32> back;
    back.fill(1.0f);
    qtk::q4_0_block::encode(zeros).decode(back);
    CHECK(back == zeros);
    back.fill(1.0f);
    qtk::q8_0_block::encode(zeros).decode(back);
    CHECK(back == zeros);
}

TEST_CASE("bytes that are not those of the shape are refused with one sentence") {
    std::vector<std::uint8_t> const bytes(36);
    CHECK_NOTHROW(qtk::require_gguf({qtk::gguf_type::q4_0, bytes, 2, 32}));
    CHECK_THROWS_WITH_AS(qtk::require_gguf({qtk::gguf_type::q4_0, bytes, 1, 32}),
                         "gguf: q4_0 of 1 x 32: expected 18 bytes, found 36", qtk::shape_error);
    CHECK_THROWS_WITH_AS(
        qtk::require_gguf({qtk::gguf_type::q4_0, bytes, 2, 31}),
        "gguf: q4_0 of 2 x 31: expected columns in a multiple of 32, the values of a block",
        qtk::shape_error);
    CHECK_THROWS_WITH_AS(
        qtk::require_gguf({static_cast<qtk::gguf_type>(10), bytes, 2, 32}),
        "gguf: type 10 has no kernel; expected q4_0 (2), q8_0 (8), q4_K (12) or q6_K (14)",
        qtk::value_error);
    CHECK_THROWS_AS(qtk::require_gguf({qtk::gguf_type::q4_0, bytes, std::size_t{1} << 62, 512}),
                    qtk::value_error);
}
