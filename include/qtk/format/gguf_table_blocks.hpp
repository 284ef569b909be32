// SPDX-License-Identifier: Apache-2.0
//
// How do the block types of GGUF lie in memory whose fields choose from a table? A nibble names one of
// 16 levels that are closer together near zero.
//
//   type    values  bytes  bits   value of a nibble q
//   iq4_nl      32     18  4.5    d T[q]               T: sixteen whole numbers, -127 .. 113
//   iq4_xs     256    136  4.25   d (ls - 32) T[q]     ls of 32 values, 6 bits
//   mxfp4       32     17  4.25   2^(e - 127) E[q]     E: the values of e2m1 (OCP Microscaling 1.0)
//
// e = 255 is NaN for OCP; here, as in ggml, it is one more power of two. Quantizers: mxfp4 and iq4_nl,
// the reference ones of ggml; iq4_xs searches, so it is in gguf_k_search.hpp.
#pragma once

#include <qtk/format/gguf_type.hpp>

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>

namespace qtk {
namespace detail {

/// T.
inline constexpr std::array<std::int8_t, 16> iq4_levels{-127, -104, -83, -65, -49, -35, -22, -10,
                                                        1,    13,   25,  38,  53,  69,  89,  113};
/// 2 E: whole numbers.
inline constexpr std::array<std::int8_t, 16> doubled_e2m1{0, 1,  2,  3,  4,  6,  8,  12,
                                                          0, -1, -2, -3, -4, -6, -8, -12};

/// The nearest level; between two, the upper one.
[[nodiscard]] constexpr unsigned nearest_iq4(float v) noexcept {
    unsigned best = 0;
    for (unsigned q = 1; q < 16; ++q)
        if (!(v - static_cast<float>(iq4_levels[q - 1]) < static_cast<float>(iq4_levels[q]) - v))
            best = q;
    return best;
}

}  // namespace detail

/// byte 0..1 d | byte 2 + j: low nibble value j, high nibble value j + 16
struct iq4_nl_block {
    static constexpr gguf_type type = gguf_type::iq4_nl;
    static constexpr std::size_t values = 32;
    std::array<std::uint8_t, 2> d;
    std::array<std::uint8_t, 16> nibbles;

    constexpr void decode(std::span<float, values> to) const noexcept {
        float const scale = detail::little_endian_f16(d);
        for (std::size_t j = 0; j < 16; ++j) {
            to[j] = scale * static_cast<float>(detail::iq4_levels[nibbles[j] & 15]);
            to[j + 16] = scale * static_cast<float>(detail::iq4_levels[nibbles[j] >> 4]);
        }
    }
    /// The first largest value takes the level -127; then d = sum w T x / sum w T^2 with the weights
    /// w = x^2, least squares for these levels. x must be finite.
    [[nodiscard]] static constexpr iq4_nl_block encode(std::span<float const, values> x) noexcept {
        iq4_nl_block block{};
        float largest = 0.0f, with_x = 0.0f, with_level = 0.0f;
        for (float const v : x)
            if (detail::magnitude_of(v) > detail::magnitude_of(largest)) largest = v;
        float const first = largest / static_cast<float>(detail::iq4_levels[0]);
        float const inverse = detail::inverse_or_zero(first);
        for (std::size_t i = 0; i < values; ++i) {
            unsigned const q = detail::nearest_iq4(detail::rounded_product(inverse, x[i]));
            float const level = static_cast<float>(detail::iq4_levels[q]), weight = x[i] * x[i];
            float const weighted = weight * level;
            with_x += detail::rounded_product(weighted, x[i]);
            with_level += detail::rounded_product(weighted, level);
            block.nibbles[i % 16] =
                static_cast<std::uint8_t>(block.nibbles[i % 16] | q << (i < 16 ? 0 : 4));
        }
        block.d = detail::f16_bytes(with_level > 0.0f ? with_x / with_level : 0.0f);
        return block;
    }
};
static_assert(sizeof(iq4_nl_block) == 18 && alignof(iq4_nl_block) == 1, "4.5 bits a weight");

/// byte 0..1 d | 2..3 high bits | 4..7 low bits | byte 8 + 16 s + j, s = 0..7: low nibble value
/// 32 s + j, high nibble value 32 s + j + 16
///
/// ls of values 32 s .. 32 s + 31: nibble s of the low bits, and bits 2 s and 2 s + 1 of the high ones,
/// little endian.
struct iq4_xs_block {
    static constexpr gguf_type type = gguf_type::iq4_xs;
    static constexpr std::size_t values = 256;
    std::array<std::uint8_t, 2> d, scales_high;
    std::array<std::uint8_t, 4> scales_low;
    std::array<std::uint8_t, 128> nibbles;

    /// 0 .. 63; 32 stands for zero.
    [[nodiscard]] constexpr int scale(std::size_t s) const noexcept {
        return (scales_low[s / 2] >> (s % 2 * 4) & 15) |
               ((scales_high[s / 4] >> (s % 4 * 2) & 3) << 4);
    }
    constexpr void put_scale(std::size_t s, unsigned scale) noexcept {
        scales_low[s / 2] =
            static_cast<std::uint8_t>(scales_low[s / 2] | (scale & 15) << (s % 2 * 4));
        scales_high[s / 4] =
            static_cast<std::uint8_t>(scales_high[s / 4] | (scale >> 4) << (s % 4 * 2));
    }
    constexpr void put_field(std::size_t i, unsigned field) noexcept {
        std::uint8_t& byte = nibbles[i / 32 * 16 + i % 16];
        byte = static_cast<std::uint8_t>(byte | field << (i % 32 < 16 ? 0 : 4));
    }
    constexpr void decode(std::span<float, values> to) const noexcept {
        float const scale_of_scales = detail::little_endian_f16(d);
        for (std::size_t s = 0; s < 8; ++s) {
            float const step = scale_of_scales * static_cast<float>(scale(s) - 32);
            for (std::size_t j = 0; j < 16; ++j) {
                std::uint8_t const both = nibbles[16 * s + j];
                to[32 * s + j] = step * static_cast<float>(detail::iq4_levels[both & 15]);
                to[32 * s + j + 16] = step * static_cast<float>(detail::iq4_levels[both >> 4]);
            }
        }
    }
};
static_assert(sizeof(iq4_xs_block) == 136 && alignof(iq4_xs_block) == 1, "4.25 bits a weight");

/// byte 0 e | byte 1 + j: low nibble value j, high nibble value j + 16
struct mxfp4_block {
    static constexpr gguf_type type = gguf_type::mxfp4;
    static constexpr std::size_t values = 32;
    std::uint8_t e;
    std::array<std::uint8_t, 16> nibbles;

    /// 2^(e - 128): of the doubled values.
    [[nodiscard]] static constexpr float half_scale(std::uint8_t e) noexcept {
        std::uint32_t const subnormal = e == 0 ? 0x00200000u : 0x00400000u;
        return bit_cast<float>(e < 2 ? subnormal : (std::uint32_t{e} - 1u) << 23);
    }
    constexpr void decode(std::span<float, values> to) const noexcept {
        float const scale = half_scale(e);
        for (std::size_t j = 0; j < 16; ++j) {
            to[j] = scale * static_cast<float>(detail::doubled_e2m1[nibbles[j] & 15]);
            to[j + 16] = scale * static_cast<float>(detail::doubled_e2m1[nibbles[j] >> 4]);
        }
    }
    /// e = floor(log2 max|x|) - 2 + 127 of the rounded logarithm; the nearest level, between two the
    /// one of the lower nibble. x must be finite.
    [[nodiscard]] static mxfp4_block encode(std::span<float const, values> x) noexcept {
        float largest = 0.0f;
        for (float const v : x)
            largest = detail::magnitude_of(v) > largest ? detail::magnitude_of(v) : largest;
        mxfp4_block block{};
        if (largest > 0.0f) {
            float const e = std::floor(std::log2(largest)) + 125.0f;
            block.e = static_cast<std::uint8_t>(detail::field_of(e, 255.0f));
        }
        float const scale = half_scale(block.e);
        auto const nearest = [scale](float v) {
            unsigned best = 0;
            float least = detail::magnitude_of(v);
            for (unsigned q = 1; q < 16; ++q) {
                float const off =
                    detail::magnitude_of(scale * static_cast<float>(detail::doubled_e2m1[q]) - v);
                if (off < least) best = q, least = off;
            }
            return best;
        };
        for (std::size_t j = 0; j < 16; ++j)
            block.nibbles[j] = static_cast<std::uint8_t>(nearest(x[j]) | nearest(x[j + 16]) << 4);
        return block;
    }
};
static_assert(sizeof(mxfp4_block) == 17 && alignof(mxfp4_block) == 1, "4.25 bits a weight");
static_assert(mxfp4_block::half_scale(0) == 0x1p-128f && mxfp4_block::half_scale(1) == 0x1p-127f &&
              mxfp4_block::half_scale(128) == 1.0f && mxfp4_block::half_scale(255) == 0x1p127f);
static_assert(detail::nearest_iq4(-1e9f) == 0 && detail::nearest_iq4(1e9f) == 15 &&
              detail::nearest_iq4(7.0f) == 9 && detail::nearest_iq4(6.75f) == 8);

}  // namespace qtk
