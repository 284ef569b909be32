// SPDX-License-Identifier: Apache-2.0
#include <qtk/cuda/layout.hpp>

#include <doctest/doctest.h>

#include <set>
#include <vector>

namespace {
using qtk::cuda::bit_place;
using qtk::cuda::weight_layout;

TEST_CASE("every field of a packed weight has bits of its own, and all bits belong to a field") {
    for (int const bits : {4, 8})
        for (weight_layout const w : {weight_layout{1, 1, 1, bits}, weight_layout{16, 64, 32, bits},
                                      weight_layout{33, 130, 64, bits}}) {
            CAPTURE(bits);
            std::vector<std::uint32_t> taken(w.words());
            std::uint32_t const mask = (1u << bits) - 1;
            for (std::size_t n = 0; n < w.tiles() * 16; ++n)
                for (std::size_t k = 0; k < w.chunks() * 64; ++k) {
                    bit_place const at = w.field(n, k);
                    REQUIRE(at.word < taken.size());
                    REQUIRE(at.shift % static_cast<std::uint32_t>(bits) == 0);
                    REQUIRE((taken[at.word] >> at.shift & mask) == 0);
                    taken[at.word] |= mask << at.shift;
                }
            for (std::uint32_t const word : taken) REQUIRE(word == ~0u);
        }
}

TEST_CASE("every scale has a place of its own") {
    weight_layout const w{33, 130, 64, 4};
    std::set<std::size_t> places;
    for (std::size_t n = 0; n < w.tiles() * 16; ++n)
        for (std::size_t q = 0; q < w.groups(); ++q) places.insert(w.param(n, q));
    CHECK(places.size() == w.params());
    CHECK(*places.rbegin() + 1 == w.params());
}

TEST_CASE("a lane's word holds the columns of four that its activations hold") {
    weight_layout const w{16, 128, 64, 4};
    for (std::size_t n = 0; n < 16; ++n)
        for (std::size_t k = 0; k < 128; ++k) {
            bit_place const at = w.field(n, k);
            std::size_t const lane = at.word / 4 % 32, j = at.word % 4;
            CHECK(lane / 4 == n % 8);
            CHECK(at.shift % 8 == 4 * (n / 8));
            // int8 activations: byte of (t, j, slot)
            CHECK(qtk::cuda::int8_place(k) == k / 64 * 64 + lane % 4 * 16 + j * 4 + at.shift / 8);
            // int4 activations: the word of a pair of words, even nibbles from the first
            bit_place const four = qtk::cuda::int4_place(k);
            CHECK(four.word == k / 64 * 8 + lane % 4 * 2 + j / 2);
            CHECK(four.shift == 8 * (at.shift / 8) + 4 * (j % 2));
        }
}
}  // namespace
