// SPDX-License-Identifier: Apache-2.0
//
// How do the older block types of GGUF lie in memory, and how are floats put into them? 32 values with
// one scale d, and a lowest value m where the fields have no middle; d and m are IEEE halves.
//
//   type  bytes  bits   value of a field q       d and fields of the reference quantizers
//   q4_0     18  4.5    d (q - 8)                d = first largest / -8,  q = x / d + 8.5
//   q4_1     20  5      d q + m                  d = (max - min) / 15,    q = (x - m) / d + 0.5
//   q5_0     22  5.5    d (q - 16)               d = first largest / -16, q = x / d + 16.5
//   q5_1     24  6      d q + m                  d = (max - min) / 31,    q = (x - m) / d + 0.5
//   q8_0     34  8.5    d q, q signed            d = max |x| / 127,       q = round half away
//
// The quantizers are the reference ones of ggml, byte for byte: x / d is x times 1 / d of the unrounded
// d, fields are cut off, not rounded. x must be finite; other values give bytes without meaning.
#pragma once

#include <qtk/format/gguf_type.hpp>
#include <qtk/format/round.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace qtk {
namespace detail {

/// The value of the largest magnitude with its sign, the first of equals.
[[nodiscard]] constexpr float first_largest(std::span<float const> x) noexcept {
    float largest = 0.0f;
    for (float const v : x)
        if (magnitude_of(v) > magnitude_of(largest)) largest = v;
    return largest;
}
/// Fields 0 .. top from the lowest value to the highest.
struct affine_fields {
    float scale = 0.0f, low = 0.0f, inverse = 0.0f, top = 0.0f;

    constexpr affine_fields(std::span<float const> x, float top_field) noexcept
        : low(x[0]), top(top_field) {
        float high = x[0];
        for (float const v : x) {
            low = v < low ? v : low;
            high = v > high ? v : high;
        }
        scale = (high - low) / top;
        inverse = inverse_or_zero(scale);
    }
    [[nodiscard]] constexpr unsigned of(float v) const noexcept {
        return field_of(rounded_product(v - low, inverse) + 0.5f, top);
    }
};

/// Fields of five bits: value j and j + 16 share byte j of `nibbles`, the fifth bit of value i is
/// bit i of `high`.
[[nodiscard]] constexpr int five_bits(std::array<std::uint8_t, 4> const& high,
                                      std::array<std::uint8_t, 16> const& nibbles,
                                      std::size_t i) noexcept {
    int const low = i < 16 ? nibbles[i] & 15 : nibbles[i - 16] >> 4;
    return low | ((high[i / 8] >> (i % 8) & 1) << 4);
}
constexpr void put_five_bits(std::array<std::uint8_t, 4>& high,
                             std::array<std::uint8_t, 16>& nibbles, std::size_t i,
                             unsigned field) noexcept {
    nibbles[i % 16] = static_cast<std::uint8_t>(nibbles[i % 16] | (field & 15) << (i < 16 ? 0 : 4));
    high[i / 8] = static_cast<std::uint8_t>(high[i / 8] | (field >> 4) << (i % 8));
}

}  // namespace detail

/// byte 0..1 d | byte 2 + j: low nibble value j, high nibble value j + 16
struct q4_0_block {
    static constexpr gguf_type type = gguf_type::q4_0;
    static constexpr std::size_t values = 32;
    std::array<std::uint8_t, 2> d;
    std::array<std::uint8_t, 16> nibbles;

    constexpr void decode(std::span<float, values> to) const noexcept {
        float const scale = detail::little_endian_f16(d);
        for (std::size_t j = 0; j < 16; ++j) {
            to[j] = scale * static_cast<float>((nibbles[j] & 15) - 8);
            to[j + 16] = scale * static_cast<float>((nibbles[j] >> 4) - 8);
        }
    }
    /// d = m / -8 for the value m of the largest magnitude, the first of equals; fields of the
    /// unrounded d. x must be finite.
    [[nodiscard]] static constexpr q4_0_block encode(std::span<float const, values> x) noexcept {
        float const scale = detail::first_largest(x) / -8.0f;
        float const inverse = detail::inverse_or_zero(scale);
        auto const field = [inverse](float v) {
            return detail::field_of(detail::rounded_product(v, inverse) + 8.5f, 15.0f);
        };
        q4_0_block block{detail::f16_bytes(scale), {}};
        for (std::size_t j = 0; j < 16; ++j)
            block.nibbles[j] = static_cast<std::uint8_t>(field(x[j]) | (field(x[j + 16]) << 4));
        return block;
    }
};
static_assert(sizeof(q4_0_block) == 18 && alignof(q4_0_block) == 1, "4.5 bits a weight");

/// byte 0..1 d | 2..3 m | byte 4 + j: low nibble value j, high nibble value j + 16
struct q4_1_block {
    static constexpr gguf_type type = gguf_type::q4_1;
    static constexpr std::size_t values = 32;
    std::array<std::uint8_t, 2> d, m;
    std::array<std::uint8_t, 16> nibbles;

    constexpr void decode(std::span<float, values> to) const noexcept {
        float const scale = detail::little_endian_f16(d), low = detail::little_endian_f16(m);
        for (std::size_t j = 0; j < 16; ++j) {
            to[j] = scale * static_cast<float>(nibbles[j] & 15) + low;
            to[j + 16] = scale * static_cast<float>(nibbles[j] >> 4) + low;
        }
    }
    [[nodiscard]] static constexpr q4_1_block encode(std::span<float const, values> x) noexcept {
        detail::affine_fields const field(x, 15.0f);
        q4_1_block block{detail::f16_bytes(field.scale), detail::f16_bytes(field.low), {}};
        for (std::size_t j = 0; j < 16; ++j)
            block.nibbles[j] = static_cast<std::uint8_t>(field.of(x[j]) | field.of(x[j + 16]) << 4);
        return block;
    }
};
static_assert(sizeof(q4_1_block) == 20 && alignof(q4_1_block) == 1, "5 bits a weight");

/// byte 0..1 d | bit i of bytes 2..5: fifth bit of value i | byte 6 + j: low four bits of value j,
/// then of value j + 16
struct q5_0_block {
    static constexpr gguf_type type = gguf_type::q5_0;
    static constexpr std::size_t values = 32;
    std::array<std::uint8_t, 2> d;
    std::array<std::uint8_t, 4> high;
    std::array<std::uint8_t, 16> nibbles;

    constexpr void decode(std::span<float, values> to) const noexcept {
        float const scale = detail::little_endian_f16(d);
        for (std::size_t i = 0; i < values; ++i)
            to[i] = scale * static_cast<float>(detail::five_bits(high, nibbles, i) - 16);
    }
    [[nodiscard]] static constexpr q5_0_block encode(std::span<float const, values> x) noexcept {
        float const scale = detail::first_largest(x) / -16.0f;
        float const inverse = detail::inverse_or_zero(scale);
        q5_0_block block{detail::f16_bytes(scale), {}, {}};
        for (std::size_t i = 0; i < values; ++i)
            detail::put_five_bits(
                block.high, block.nibbles, i,
                detail::field_of(detail::rounded_product(x[i], inverse) + 16.5f, 31.0f));
        return block;
    }
};
static_assert(sizeof(q5_0_block) == 22 && alignof(q5_0_block) == 1, "5.5 bits a weight");

/// byte 0..1 d | 2..3 m | bytes 4..7 and 8..23 as bytes 2..5 and 6..21 of q5_0
struct q5_1_block {
    static constexpr gguf_type type = gguf_type::q5_1;
    static constexpr std::size_t values = 32;
    std::array<std::uint8_t, 2> d, m;
    std::array<std::uint8_t, 4> high;
    std::array<std::uint8_t, 16> nibbles;

    constexpr void decode(std::span<float, values> to) const noexcept {
        float const scale = detail::little_endian_f16(d), low = detail::little_endian_f16(m);
        for (std::size_t i = 0; i < values; ++i)
            to[i] = scale * static_cast<float>(detail::five_bits(high, nibbles, i)) + low;
    }
    [[nodiscard]] static constexpr q5_1_block encode(std::span<float const, values> x) noexcept {
        detail::affine_fields const field(x, 31.0f);
        q5_1_block block{detail::f16_bytes(field.scale), detail::f16_bytes(field.low), {}, {}};
        for (std::size_t i = 0; i < values; ++i)
            detail::put_five_bits(block.high, block.nibbles, i, field.of(x[i]));
        return block;
    }
};
static_assert(sizeof(q5_1_block) == 24 && alignof(q5_1_block) == 1, "6 bits a weight");

/// byte 0..1 d | byte 2 + j: value j
struct q8_0_block {
    static constexpr gguf_type type = gguf_type::q8_0;
    static constexpr std::size_t values = 32;
    std::array<std::uint8_t, 2> d;
    std::array<std::int8_t, 32> codes;

    constexpr void decode(std::span<float, values> to) const noexcept {
        float const scale = detail::little_endian_f16(d);
        for (std::size_t j = 0; j < values; ++j) to[j] = scale * static_cast<float>(codes[j]);
    }
    /// d = max|x| / 127, halves away from zero; codes of the unrounded d. x must be finite.
    [[nodiscard]] static constexpr q8_0_block encode(std::span<float const, values> x) noexcept {
        float largest = 0.0f;
        for (float const v : x)
            largest = detail::magnitude_of(v) > largest ? detail::magnitude_of(v) : largest;
        float const scale = largest / 127.0f, inverse = detail::inverse_or_zero(scale);
        q8_0_block block{detail::f16_bytes(scale), {}};
        for (std::size_t j = 0; j < values; ++j) {
            // 1 / d of a subnormal d is infinite: clamped before it becomes an integer.
            float v = detail::rounded_product(x[j], inverse);
            v = v < 127.0f ? v : 127.0f;
            v = v > -127.0f ? v : -127.0f;
            block.codes[j] = static_cast<std::int8_t>(round_half_away(v));
        }
        return block;
    }
};
static_assert(sizeof(q8_0_block) == 34 && alignof(q8_0_block) == 1, "8.5 bits a weight");

static_assert(q4_0_block{{0x00, 0xbc}, {0x2f}}.nibbles[0] == 0x2f);
static_assert(
    [] {
        std::array<float, 32> x{};
        x[3] = 4.0f;
        x[19] = -1.0f;
        q4_0_block const block = q4_0_block::encode(x);
        std::array<float, 32> back{};
        block.decode(back);
        return block.d[1] == 0xb8 && block.nibbles[3] == (0 | 10 << 4) && back == x;
    }(),
    "the value of the largest magnitude has field 0");

}  // namespace qtk
