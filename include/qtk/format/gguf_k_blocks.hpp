// SPDX-License-Identifier: Apache-2.0
//
// How do the K types of GGUF lie in memory? 256 values a block; runs of 16 or 32 values have integer
// scales (and minima) of 4 to 8 bits, and the block one or two IEEE halves that scale those.
//
//   type  bytes  bits     value of a field q     runs of
//   q2_K     84  2.625    d sc q - dmin mn            16   sc, mn 4 bits
//   q3_K    110  3.4375   d (sc - 32) (q - 4)         16   sc 6 bits
//   q4_K    144  4.5      d sc q - dmin mn            32   sc, mn 6 bits
//   q5_K    176  5.5      d sc q - dmin mn            32   sc, mn 6 bits
//   q6_K    210  6.5625   d sc (q - 32)               16   sc signed, 8 bits
//
// field(i), scale(run) and minimum(run) read the integers, put_* write them into zeros; every product
// of a decoder but the last of q6_K is exact in a float. gguf_k_search.hpp looks for good integers.
#pragma once

#include <qtk/format/gguf_type.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace qtk {
namespace detail {

constexpr void set_bits(std::uint8_t& byte, unsigned field, std::size_t shift) noexcept {
    byte = static_cast<std::uint8_t>(byte | field << shift);
}

/// sc and mn of values 32 s .. 32 s + 31, from the bytes b:
///   s < 4   sc = b[s] & 63                              mn = b[s + 4] & 63
///   s >= 4  sc = b[s + 4] & 15 | b[s - 4] >> 6 << 4     mn = b[s + 4] >> 4 | b[s] >> 6 << 4
struct six_bit_scales {
    std::array<std::uint8_t, 12> b;

    [[nodiscard]] constexpr int scale(std::size_t s) const noexcept {
        return s < 4 ? b[s] & 63 : (b[s + 4] & 15) | (b[s - 4] >> 6 << 4);
    }
    [[nodiscard]] constexpr int minimum(std::size_t s) const noexcept {
        return s < 4 ? b[s + 4] & 63 : (b[s + 4] >> 4) | (b[s] >> 6 << 4);
    }
    constexpr void put(std::size_t s, unsigned scale, unsigned minimum) noexcept {
        if (s < 4) {
            set_bits(b[s], scale, 0);
            set_bits(b[s + 4], minimum, 0);
        } else {
            set_bits(b[s + 4], (scale & 15) | (minimum & 15) << 4, 0);
            set_bits(b[s - 4], scale >> 4, 6);
            set_bits(b[s], minimum >> 4, 6);
        }
    }
};

/// Pairs of bits of q2_K and q3_K: for each half h = 0, 1 (128 values) byte 32 h + l holds value
/// 128 h + 32 t + l in bits 2 t and 2 t + 1.
using bit_pairs = std::array<std::uint8_t, 64>;
[[nodiscard]] constexpr int bit_pair(bit_pairs const& b, std::size_t i) noexcept {
    return b[i / 128 * 32 + i % 32] >> (2 * (i % 128 / 32)) & 3;
}
constexpr void put_bit_pair(bit_pairs& b, std::size_t i, unsigned field) noexcept {
    set_bits(b[i / 128 * 32 + i % 32], field, 2 * (i % 128 / 32));
}

}  // namespace detail

/// byte j = 0..15: low nibble sc, high nibble mn of values 16 j .. 16 j + 15 | 16..79 pairs of bits |
/// 80..81 d | 82..83 dmin
struct q2_K_block {
    static constexpr gguf_type type = gguf_type::q2_K;
    static constexpr std::size_t values = 256;
    std::array<std::uint8_t, 16> scales;
    detail::bit_pairs pairs;
    std::array<std::uint8_t, 2> d, dmin;

    [[nodiscard]] constexpr int scale(std::size_t s) const noexcept { return scales[s] & 15; }
    [[nodiscard]] constexpr int minimum(std::size_t s) const noexcept { return scales[s] >> 4; }
    [[nodiscard]] constexpr int field(std::size_t i) const noexcept {
        return detail::bit_pair(pairs, i);
    }
    constexpr void put_scale(std::size_t s, unsigned scale, unsigned minimum) noexcept {
        detail::set_bits(scales[s], scale | minimum << 4, 0);
    }
    constexpr void put_field(std::size_t i, unsigned field) noexcept {
        detail::put_bit_pair(pairs, i, field);
    }
    constexpr void decode(std::span<float, values> to) const noexcept {
        float const scale_of_scales = detail::little_endian_f16(d),
                    scale_of_minima = detail::little_endian_f16(dmin);
        for (std::size_t s = 0; s < 16; ++s) {
            float const step = scale_of_scales * static_cast<float>(scale(s)),
                        low = scale_of_minima * static_cast<float>(minimum(s));
            for (std::size_t i = 16 * s; i < 16 * s + 16; ++i)
                to[i] = step * static_cast<float>(field(i)) - low;
        }
    }
};
static_assert(sizeof(q2_K_block) == 84 && alignof(q2_K_block) == 1, "2.625 bits a weight");

/// bit i / 32 of byte i % 32: high bit of value i | 32..95 pairs of bits, the low ones | 96..107
/// scales | 108..109 d
///
/// sc of values 16 s .. 16 s + 15, from the bytes b of `scales`: the low four bits are a nibble of
/// b[s % 8], low for s < 8; the high two are bits 2 (s / 4) and 2 (s / 4) + 1 of b[8 + s % 4].
struct q3_K_block {
    static constexpr gguf_type type = gguf_type::q3_K;
    static constexpr std::size_t values = 256;
    std::array<std::uint8_t, 32> high;
    detail::bit_pairs pairs;
    std::array<std::uint8_t, 12> scales;
    std::array<std::uint8_t, 2> d;

    /// 0 .. 63; 32 stands for zero.
    [[nodiscard]] constexpr int scale(std::size_t s) const noexcept {
        return (scales[s % 8] >> (s < 8 ? 0 : 4) & 15) |
               ((scales[8 + s % 4] >> (2 * (s / 4)) & 3) << 4);
    }
    [[nodiscard]] constexpr int field(std::size_t i) const noexcept {
        return detail::bit_pair(pairs, i) | ((high[i % 32] >> (i / 32) & 1) << 2);
    }
    constexpr void put_scale(std::size_t s, unsigned scale) noexcept {
        detail::set_bits(scales[s % 8], scale & 15, s < 8 ? 0 : 4);
        detail::set_bits(scales[8 + s % 4], scale >> 4, 2 * (s / 4));
    }
    constexpr void put_field(std::size_t i, unsigned field) noexcept {
        detail::put_bit_pair(pairs, i, field & 3);
        detail::set_bits(high[i % 32], field >> 2, i / 32);
    }
    constexpr void decode(std::span<float, values> to) const noexcept {
        float const scale_of_scales = detail::little_endian_f16(d);
        for (std::size_t s = 0; s < 16; ++s) {
            float const step = scale_of_scales * static_cast<float>(scale(s) - 32);
            for (std::size_t i = 16 * s; i < 16 * s + 16; ++i)
                to[i] = step * static_cast<float>(field(i) - 4);
        }
    }
};
static_assert(sizeof(q3_K_block) == 110 && alignof(q3_K_block) == 1, "3.4375 bits a weight");

/// byte 0..1 d | 2..3 dmin | 4..15 scales | byte 16 + 32 c + l, c = 0..3, l = 0..31: low nibble
/// value 64 c + l, high nibble value 64 c + 32 + l
struct q4_K_block {
    static constexpr gguf_type type = gguf_type::q4_K;
    static constexpr std::size_t values = 256;
    std::array<std::uint8_t, 2> d, dmin;
    detail::six_bit_scales scales;
    std::array<std::uint8_t, 128> nibbles;

    [[nodiscard]] constexpr int scale(std::size_t s) const noexcept { return scales.scale(s); }
    [[nodiscard]] constexpr int minimum(std::size_t s) const noexcept { return scales.minimum(s); }
    [[nodiscard]] constexpr int field(std::size_t i) const noexcept {
        std::uint8_t const both = nibbles[i / 64 * 32 + i % 32];
        return i % 64 < 32 ? both & 15 : both >> 4;
    }
    constexpr void put_scale(std::size_t s, unsigned scale, unsigned minimum) noexcept {
        scales.put(s, scale, minimum);
    }
    constexpr void put_field(std::size_t i, unsigned field) noexcept {
        detail::set_bits(nibbles[i / 64 * 32 + i % 32], field, i % 64 < 32 ? 0 : 4);
    }
    constexpr void decode(std::span<float, values> to) const noexcept {
        float const scale_of_scales = detail::little_endian_f16(d),
                    scale_of_minima = detail::little_endian_f16(dmin);
        for (std::size_t s = 0; s < 8; ++s) {
            float const step = scale_of_scales * static_cast<float>(scale(s)),
                        low = scale_of_minima * static_cast<float>(minimum(s));
            for (std::size_t i = 32 * s; i < 32 * s + 32; ++i)
                to[i] = step * static_cast<float>(field(i)) - low;
        }
    }
};
static_assert(sizeof(q4_K_block) == 144 && alignof(q4_K_block) == 1, "4.5 bits a weight");

/// byte 0..15 as q4_K | bit i / 32 of byte 16 + i % 32: fifth bit of value i | byte 48 + 32 c + l:
/// low four bits, as byte 16 + 32 c + l of q4_K
struct q5_K_block {
    static constexpr gguf_type type = gguf_type::q5_K;
    static constexpr std::size_t values = 256;
    std::array<std::uint8_t, 2> d, dmin;
    detail::six_bit_scales scales;
    std::array<std::uint8_t, 32> high;
    std::array<std::uint8_t, 128> nibbles;

    [[nodiscard]] constexpr int scale(std::size_t s) const noexcept { return scales.scale(s); }
    [[nodiscard]] constexpr int minimum(std::size_t s) const noexcept { return scales.minimum(s); }
    [[nodiscard]] constexpr int field(std::size_t i) const noexcept {
        std::uint8_t const both = nibbles[i / 64 * 32 + i % 32];
        return (i % 64 < 32 ? both & 15 : both >> 4) | ((high[i % 32] >> (i / 32) & 1) << 4);
    }
    constexpr void put_scale(std::size_t s, unsigned scale, unsigned minimum) noexcept {
        scales.put(s, scale, minimum);
    }
    constexpr void put_field(std::size_t i, unsigned field) noexcept {
        detail::set_bits(nibbles[i / 64 * 32 + i % 32], field & 15, i % 64 < 32 ? 0 : 4);
        detail::set_bits(high[i % 32], field >> 4, i / 32);
    }
    constexpr void decode(std::span<float, values> to) const noexcept {
        float const scale_of_scales = detail::little_endian_f16(d),
                    scale_of_minima = detail::little_endian_f16(dmin);
        for (std::size_t s = 0; s < 8; ++s) {
            float const step = scale_of_scales * static_cast<float>(scale(s)),
                        low = scale_of_minima * static_cast<float>(minimum(s));
            for (std::size_t i = 32 * s; i < 32 * s + 32; ++i)
                to[i] = step * static_cast<float>(field(i)) - low;
        }
    }
};
static_assert(sizeof(q5_K_block) == 176 && alignof(q5_K_block) == 1, "5.5 bits a weight");

/// For each half h = 0, 1 (128 values), l = 0..31, value 128 h + 32 t + l for t = 0..3:
///   byte 64 h + l            low nibble: low 4 bits of t = 0, high nibble: of t = 2
///   byte 64 h + 32 + l       low nibble: low 4 bits of t = 1, high nibble: of t = 3
///   byte 128 + 32 h + l      bits 2 t and 2 t + 1: high 2 bits of t
/// byte 192 + i: scale of values 16 i .. 16 i + 15, signed | byte 208..209 d
struct q6_K_block {
    static constexpr gguf_type type = gguf_type::q6_K;
    static constexpr std::size_t values = 256;
    std::array<std::uint8_t, 128> low;
    std::array<std::uint8_t, 64> high;
    std::array<std::int8_t, 16> scales;
    std::array<std::uint8_t, 2> d;

    [[nodiscard]] constexpr int field(std::size_t i) const noexcept {
        std::size_t const h = i / 128, t = i % 128 / 32, l = i % 32;
        int const nibbles = low[64 * h + 32 * (t % 2) + l];
        return (t < 2 ? nibbles & 15 : nibbles >> 4) | ((high[32 * h + l] >> (2 * t) & 3) << 4);
    }
    constexpr void put_field(std::size_t i, unsigned field) noexcept {
        std::size_t const h = i / 128, t = i % 128 / 32, l = i % 32;
        detail::set_bits(low[64 * h + 32 * (t % 2) + l], field & 15, t < 2 ? 0 : 4);
        detail::set_bits(high[32 * h + l], field >> 4, 2 * t);
    }
    constexpr void decode(std::span<float, values> to) const noexcept {
        float const scale_of_scales = detail::little_endian_f16(d);
        for (std::size_t i = 0; i < values; ++i)
            to[i] = scale_of_scales * static_cast<float>(scales[i / 16]) *
                    static_cast<float>(field(i) - 32);
    }
};
static_assert(sizeof(q6_K_block) == 210 && alignof(q6_K_block) == 1, "6.5625 bits a weight");

static_assert(
    [] {
        // Every integer comes back from where it was put.
        q5_K_block five{};
        q6_K_block six{};
        q3_K_block three{};
        for (unsigned i = 0; i < 256; ++i) {
            five.put_field(i, i % 31);
            six.put_field(i, i % 61);
            three.put_field(i, i % 7);
        }
        for (std::size_t s = 0; s < 8; ++s)
            five.put_scale(s, static_cast<unsigned>(63 - s), static_cast<unsigned>(33 + s));
        for (std::size_t s = 0; s < 16; ++s) three.put_scale(s, static_cast<unsigned>(63 - 3 * s));
        for (std::size_t i = 0; i < 256; ++i) {
            int const n = static_cast<int>(i);
            if (five.field(i) != n % 31 || six.field(i) != n % 61 || three.field(i) != n % 7)
                return false;
        }
        for (std::size_t s = 0; s < 8; ++s) {
            int const n = static_cast<int>(s);
            if (five.scale(s) != 63 - n || five.minimum(s) != 33 + n) return false;
        }
        for (std::size_t s = 0; s < 16; ++s)
            if (three.scale(s) != 63 - 3 * static_cast<int>(s)) return false;
        return true;
    }(),
    "the pictures above");

}  // namespace qtk
