// SPDX-License-Identifier: Apache-2.0
//
// How do weights lie in a GGUF file? In blocks that never cross a row, each with its own scales;
// d and dmin are IEEE halves, little endian, and a block may lie at any address.
//
//   type  values  bytes  bits   value of a field q
//   q4_0      32     18  4.5    d (q - 8)
//   q8_0      32     34  8.5    d q,                  q signed
//   q4_K     256    144  4.5    d sc q - dmin mn,     sc, mn of 32 values, 6 bits each
//   q6_K     256    210  6.5625 d sc (q - 32),        sc of 16 values, signed 8 bits
//
// Fields are not neighbours: each block's picture stands at its struct. Other types of GGUF are not
// known here. Quantizers: q4_0 and q8_0, the reference ones of ggml, byte for byte.
#pragma once

#include <qtk/core/checked.hpp>
#include <qtk/core/error.hpp>
#include <qtk/format/half.hpp>
#include <qtk/format/round.hpp>

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

namespace qtk {

/// The numbers are those of the file.
enum class gguf_type : std::uint32_t { q4_0 = 2, q8_0 = 8, q4_K = 12, q6_K = 14 };

namespace detail {
[[nodiscard]] constexpr float little_endian_f16(std::array<std::uint8_t, 2> const& b) noexcept {
    return f16_to_float(static_cast<std::uint16_t>(b[0] | (b[1] << 8)));
}
[[nodiscard]] constexpr std::array<std::uint8_t, 2> f16_bytes(float value) noexcept {
    std::uint16_t const bits = float_to_f16(value);
    return {static_cast<std::uint8_t>(bits & 0xff), static_cast<std::uint8_t>(bits >> 8)};
}
/// x * y rounded once, whatever is done with it: a compiler for FMA must not fuse it with a sum.
[[nodiscard]] constexpr float rounded_product(float x, float y) noexcept {
    return static_cast<float>(static_cast<double>(x) * static_cast<double>(y));
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
        float largest = 0.0f;
        for (float const v : x)
            if ((v < 0.0f ? -v : v) > (largest < 0.0f ? -largest : largest)) largest = v;
        float const scale = largest / -8.0f, inverse = scale != 0.0f ? 1.0f / scale : 0.0f;
        auto const field = [inverse](float v) {
            int const q = static_cast<int>(detail::rounded_product(v, inverse) + 8.5f);
            return static_cast<unsigned>(q < 15 ? q : 15);
        };
        q4_0_block block{detail::f16_bytes(scale), {}};
        for (std::size_t j = 0; j < 16; ++j)
            block.nibbles[j] = static_cast<std::uint8_t>(field(x[j]) | (field(x[j + 16]) << 4));
        return block;
    }
};
static_assert(sizeof(q4_0_block) == 18 && alignof(q4_0_block) == 1, "4.5 bits a weight");

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
        for (float const v : x) {
            float const magnitude = v < 0.0f ? -v : v;
            largest = magnitude > largest ? magnitude : largest;
        }
        float const scale = largest / 127.0f, inverse = scale != 0.0f ? 1.0f / scale : 0.0f;
        q8_0_block block{detail::f16_bytes(scale), {}};
        for (std::size_t j = 0; j < values; ++j)
            block.codes[j] =
                static_cast<std::int8_t>(round_half_away(detail::rounded_product(x[j], inverse)));
        return block;
    }
};
static_assert(sizeof(q8_0_block) == 34 && alignof(q8_0_block) == 1, "8.5 bits a weight");

/// byte 0..1 d | 2..3 dmin | 4..15 scales | byte 16 + 32 c + l, c = 0..3, l = 0..31: low nibble
/// value 64 c + l, high nibble value 64 c + 32 + l
///
/// sc and mn of values 32 s .. 32 s + 31, from the bytes b of `scales`:
///   s < 4   sc = b[s] & 63                              mn = b[s + 4] & 63
///   s >= 4  sc = b[s + 4] & 15 | b[s - 4] >> 6 << 4     mn = b[s + 4] >> 4 | b[s] >> 6 << 4
struct q4_K_block {
    static constexpr gguf_type type = gguf_type::q4_K;
    static constexpr std::size_t values = 256;
    std::array<std::uint8_t, 2> d, dmin;
    std::array<std::uint8_t, 12> scales;
    std::array<std::uint8_t, 128> nibbles;

    [[nodiscard]] constexpr int scale(std::size_t s) const noexcept {
        return s < 4 ? scales[s] & 63 : (scales[s + 4] & 15) | (scales[s - 4] >> 6 << 4);
    }
    [[nodiscard]] constexpr int minimum(std::size_t s) const noexcept {
        return s < 4 ? scales[s + 4] & 63 : (scales[s + 4] >> 4) | (scales[s] >> 6 << 4);
    }
    [[nodiscard]] constexpr int field(std::size_t i) const noexcept {
        std::uint8_t const both = nibbles[i / 64 * 32 + i % 32];
        return i % 64 < 32 ? both & 15 : both >> 4;
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
    constexpr void decode(std::span<float, values> to) const noexcept {
        float const scale_of_scales = detail::little_endian_f16(d);
        for (std::size_t i = 0; i < values; ++i)
            to[i] = scale_of_scales * static_cast<float>(scales[i / 16]) *
                    static_cast<float>(field(i) - 32);
    }
};
static_assert(sizeof(q6_K_block) == 210 && alignof(q6_K_block) == 1, "6.5625 bits a weight");

/// A block from anywhere in memory.
template <typename Block>
[[nodiscard]] Block read_block(std::uint8_t const* bytes) noexcept {
    Block block;
    std::memcpy(&block, bytes, sizeof block);
    return block;
}

/// f.operator()<Block>() for the block of `type`. Throws value_error for a number that is none.
template <typename F>
constexpr decltype(auto) with_gguf_block(gguf_type type, F&& f) {
    switch (type) {
        case gguf_type::q4_0:
            return f.template operator()<q4_0_block>();
        case gguf_type::q8_0:
            return f.template operator()<q8_0_block>();
        case gguf_type::q4_K:
            return f.template operator()<q4_K_block>();
        case gguf_type::q6_K:
            return f.template operator()<q6_K_block>();
    }
    throw value_error("gguf: type " + std::to_string(static_cast<std::uint32_t>(type)) +
                      " has no kernel; expected q4_0 (2), q8_0 (8), q4_K (12) or q6_K (14)");
}

/// GGUF's own name.
[[nodiscard]] constexpr std::string_view name_of(gguf_type type) noexcept {
    return type == gguf_type::q4_0   ? "q4_0"
           : type == gguf_type::q8_0 ? "q8_0"
           : type == gguf_type::q4_K ? "q4_K"
                                     : "q6_K";
}

/// Weights [rows, cols] as they lie in the file: a row is cols / values blocks. Borrows the bytes.
struct gguf_view {
    gguf_type type = gguf_type::q4_0;
    std::span<std::uint8_t const> bytes;
    std::size_t rows = 0, cols = 0;

    [[nodiscard]] constexpr std::size_t block_values() const {
        return with_gguf_block(type, []<typename B>() { return B::values; });
    }
    [[nodiscard]] constexpr std::size_t block_bytes() const {
        return with_gguf_block(type, []<typename B>() { return sizeof(B); });
    }
    [[nodiscard]] constexpr std::size_t row_blocks() const { return cols / block_values(); }
    [[nodiscard]] constexpr std::uint8_t const* row(std::size_t r) const {
        return bytes.data() + r * row_blocks() * block_bytes();
    }
};

/// Throws value_error for an unknown type, shape_error if cols is no multiple of the block or the
/// bytes are not exactly those of rows x cols.
inline void require_gguf(gguf_view const& w) {
    std::size_t const values = w.block_values();
    std::string const name = "gguf: " + std::string(name_of(w.type)) + " of " +
                             std::to_string(w.rows) + " x " + std::to_string(w.cols);
    if (w.cols % values != 0)
        throw shape_error(name + ": expected columns in a multiple of " + std::to_string(values) +
                          ", the values of a block");
    std::size_t const bytes = checked_mul(checked_mul(w.rows, w.cols / values), w.block_bytes());
    if (w.bytes.size() != bytes)
        throw shape_error(name + ": expected " + std::to_string(bytes) + " bytes, found " +
                          std::to_string(w.bytes.size()));
}

/// Row r of the weights as floats: what every decoder of GGUF gives.
inline void decode_gguf_row(gguf_view const& w, std::size_t r, std::span<float> to) {
    with_gguf_block(w.type, [&]<typename B>() {
        for (std::size_t b = 0; b < w.cols / B::values; ++b)
            read_block<B>(w.row(r) + b * sizeof(B))
                .decode(to.subspan(b * B::values).template first<B::values>());
    });
}

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
