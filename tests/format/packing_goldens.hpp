// SPDX-License-Identifier: Apache-2.0
//
// Which words must checkpoint layouts give? Codes c[o][i] = (3o + 5i + 1) mod 16 of 8 outputs by 8
// inputs and zero points 7 + o of one group; the words follow by hand from each layout's picture.
#pragma once

#include <qtk/core/random.hpp>
#include <qtk/format/checkpoint_packing.hpp>

#include <array>
#include <cstdint>
#include <vector>

[[nodiscard]] inline qtk::row_major<std::uint8_t> golden_codes() {
    qtk::row_major<std::uint8_t> codes{.rows = 8, .cols = 8};
    for (std::size_t o = 0; o < 8; ++o)
        for (std::size_t i = 0; i < 8; ++i)
            codes(o, i) = static_cast<std::uint8_t>((3 * o + 5 * i + 1) % 16);
    return codes;
}
[[nodiscard]] inline qtk::row_major<std::uint8_t> golden_zeros() {
    return {.rows = 8, .cols = 1, .values = {7, 8, 9, 10, 11, 12, 13, 14}};
}

/// One word an output: GPTQ and compressed-tensors.
inline constexpr std::array<std::uint32_t, 8> words_by_output{
    0x4fa50b61, 0x72d83e94, 0xa50b61c7, 0xd83e94fa, 0x0b61c72d, 0x3e94fa50, 0x61c72d83, 0x94fa50b6};
/// One word an input: AWQ.
inline constexpr std::array<std::uint32_t, 8> words_by_input{
    0x60a43d71, 0xb5f982c6, 0x0a4ed71b, 0x5f932c60, 0xa4e871b5, 0xf93dc60a, 0x4e821b5f, 0x93d760a4};
/// 32 codes i mod 8 of 3 bits as a stream.
inline constexpr std::array<std::uint32_t, 3> three_bit_words{0x88fac688, 0xc688fac6, 0xfac688fa};

[[nodiscard]] inline std::vector<std::uint32_t> as_vector(
    std::array<std::uint32_t, 8> const& words) {
    return {words.begin(), words.end()};
}

/// Fields below 2^bits that depend on the seed alone.
[[nodiscard]] inline qtk::row_major<std::uint8_t> random_fields(std::size_t rows, std::size_t cols,
                                                                int bits, std::uint64_t seed) {
    qtk::row_major<std::uint8_t> fields{.rows = rows, .cols = cols};
    qtk::splitmix64 random(seed);
    for (auto& field : fields.values)
        field = static_cast<std::uint8_t>(random() & ((1u << bits) - 1u));
    return fields;
}
