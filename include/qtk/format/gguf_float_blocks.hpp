// SPDX-License-Identifier: Apache-2.0
//
// How do plain floats of a GGUF file lie in memory? As blocks of one value each, little endian, so
// that whatever walks over blocks walks over them too: embeddings, norms and unquantized layers.
//
//   type  bytes  value
//   f32       4  itself
//   f16       2  IEEE half
//   bf16      2  bfloat16
//
// Encoding rounds to nearest even. kernel/half_rows.hpp converts whole rows fast.
#pragma once

#include <qtk/format/gguf_type.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace qtk {

/// byte 0..3 the float
struct f32_block {
    static constexpr gguf_type type = gguf_type::f32;
    static constexpr std::size_t values = 1;
    std::array<std::uint8_t, 4> bits;

    constexpr void decode(std::span<float, values> to) const noexcept {
        to[0] = bit_cast<float>(std::uint32_t{bits[0]} | std::uint32_t{bits[1]} << 8 |
                                std::uint32_t{bits[2]} << 16 | std::uint32_t{bits[3]} << 24);
    }
    [[nodiscard]] static constexpr f32_block encode(std::span<float const, values> x) noexcept {
        auto const word = bit_cast<std::uint32_t>(x[0]);
        return {
            {static_cast<std::uint8_t>(word & 0xff), static_cast<std::uint8_t>(word >> 8 & 0xff),
             static_cast<std::uint8_t>(word >> 16 & 0xff), static_cast<std::uint8_t>(word >> 24)}};
    }
};
static_assert(sizeof(f32_block) == 4 && alignof(f32_block) == 1);

/// byte 0..1 the half
struct f16_block {
    static constexpr gguf_type type = gguf_type::f16;
    static constexpr std::size_t values = 1;
    std::array<std::uint8_t, 2> bits;

    constexpr void decode(std::span<float, values> to) const noexcept {
        to[0] = detail::little_endian_f16(bits);
    }
    [[nodiscard]] static constexpr f16_block encode(std::span<float const, values> x) noexcept {
        return {detail::f16_bytes(x[0])};
    }
};
static_assert(sizeof(f16_block) == 2 && alignof(f16_block) == 1);

/// byte 0..1 the upper half of the float
struct bf16_block {
    static constexpr gguf_type type = gguf_type::bf16;
    static constexpr std::size_t values = 1;
    std::array<std::uint8_t, 2> bits;

    constexpr void decode(std::span<float, values> to) const noexcept {
        to[0] = bf16_to_float(static_cast<std::uint16_t>(bits[0] | bits[1] << 8));
    }
    [[nodiscard]] static constexpr bf16_block encode(std::span<float const, values> x) noexcept {
        std::uint16_t const word = float_to_bf16(x[0]);
        return {{static_cast<std::uint8_t>(word & 0xff), static_cast<std::uint8_t>(word >> 8)}};
    }
};
static_assert(sizeof(bf16_block) == 2 && alignof(bf16_block) == 1);

static_assert(
    [] {
        std::array<float, 1> const x{-2.5f};
        std::array<float, 1> a{}, b{}, c{};
        f32_block::encode(x).decode(a);
        f16_block::encode(x).decode(b);
        bf16_block::encode(x).decode(c);
        return a == x && b == x && c == x;
    }(),
    "exact in all three");

}  // namespace qtk
