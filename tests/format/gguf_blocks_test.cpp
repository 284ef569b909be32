// SPDX-License-Identifier: Apache-2.0
#include <qtk/format/gguf_blocks.hpp>

#include <doctest/doctest.h>

#include "gguf_cases.hpp"
#include "gguf_goldens.hpp"
#include <bit>
#include <vector>

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
        for (std::size_t b = 0; b < bytes.size(); b += w.block_bytes())
            for (std::size_t const half : golden.halves) tame(b + half);
        w.bytes = bytes;
        std::vector<std::uint8_t> all;
        std::vector<float> row(512);
        for (std::size_t r = 0; r < 3; ++r) {
            qtk::decode_gguf_row(w, r, row);
            for (std::size_t i = 0; i < 512; ++i) {
                auto const bits = std::bit_cast<std::uint32_t>(row[i]);
                for (unsigned shift = 0; shift < 32; shift += 8)
                    all.push_back(static_cast<std::uint8_t>(bits >> shift & 0xff));
                if (r == 0 && i < golden.first.size()) CHECK(row[i] == golden.first[i]);
            }
        }
        CHECK(cases::hash_of(all) == golden.hash);
    }
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
        qtk::require_gguf({qtk::gguf_type::iq2_xs, bytes, 2, 32}),
        "gguf: type 17 (iq2_xs) has no decoder here; expected f32, f16, bf16, q4_0, q4_1, q5_0, "
        "q5_1, q8_0, q2_K, q3_K, q4_K, q5_K, q6_K, iq4_nl, iq4_xs or mxfp4",
        qtk::value_error);
    CHECK_THROWS_WITH_AS(qtk::require_gguf({static_cast<qtk::gguf_type>(4), bytes, 2, 32}),
                         doctest::Contains("gguf: type 4 (?) has no decoder here"),
                         qtk::value_error);
    CHECK_THROWS_AS(qtk::require_gguf({qtk::gguf_type::q4_0, bytes, std::size_t{1} << 62, 512}),
                    qtk::value_error);
}
