// SPDX-License-Identifier: Apache-2.0
//
// How do eight stored nibbles become eight exact halves? Integers: a field in the mantissa of
// 1024.0 is 1024 + field, in the upper nibble of a byte 1024 + 16 field; one subtraction or one
// fused multiply-add takes the offset and the zero off, without rounding. Codebooks: byte
// permutations look up sixteen levels. Nothing goes through a conversion instruction, of which
// Turing has a quarter rate. The host runs the same integer steps.
#pragma once

#include <qtk/cuda/device.hpp>

#include <array>
#include <cstddef>
#include <cstdint>

namespace qtk::cuda {

/// (value & mask) | bits
[[nodiscard]] __device__ __forceinline__ std::uint32_t masked_or(std::uint32_t value,
                                                                 std::uint32_t mask,
                                                                 std::uint32_t bits) {
#if defined(__CUDA_ARCH__)
    std::uint32_t result;  // one lop3: the compiler tends to use two
    asm("lop3.b32 %0,%1,%2,%3,0xea;" : "=r"(result) : "r"(value), "r"(mask), "r"(bits));
    return result;
#else
    return (value & mask) | bits;
#endif
}

/// Four bytes of low (0..3) and high (4..7), picked by the low three bits of the selector's nibbles.
[[nodiscard]] __device__ __forceinline__ std::uint32_t pick_bytes(std::uint32_t low,
                                                                  std::uint32_t high,
                                                                  std::uint32_t selector) {
#if defined(__CUDA_ARCH__)
    return __byte_perm(low, high, selector);
#else
    std::uint64_t const both = std::uint64_t{high} << 32 | low;
    std::uint32_t result = 0;
    for (int i = 0; i < 4; ++i)
        result |= static_cast<std::uint32_t>(both >> (8 * (selector >> (4 * i) & 7)) & 0xff)
                  << (8 * i);
    return result;
#endif
}

/// Two halves in a word: a - b.
[[nodiscard]] __device__ __forceinline__ std::uint32_t subtract_halves(std::uint32_t a,
                                                                       std::uint32_t b) {
    std::uint32_t result;
#if defined(__CUDA_ARCH__)
    asm("sub.rn.f16x2 %0,%1,%2;" : "=r"(result) : "r"(a), "r"(b));
#else
    result = 0;
    for (int i = 0; i < 32; i += 16)
        result |= std::uint32_t{float_to_half_bits(
                      half_bits_to_float(static_cast<std::uint16_t>(a >> i)) -
                      half_bits_to_float(static_cast<std::uint16_t>(b >> i)))}
                  << i;
#endif
    return result;
}

/// Two halves in a word: a * b + c, rounded once. On the host exact for operands whose result fits
/// a float.
[[nodiscard]] __device__ __forceinline__ std::uint32_t multiply_add_halves(std::uint32_t a,
                                                                           std::uint32_t b,
                                                                           std::uint32_t c) {
    std::uint32_t result;
#if defined(__CUDA_ARCH__)
    asm("fma.rn.f16x2 %0,%1,%2,%3;" : "=r"(result) : "r"(a), "r"(b), "r"(c));
#else
    result = 0;
    for (int i = 0; i < 32; i += 16)
        result |= std::uint32_t{float_to_half_bits(
                      half_bits_to_float(static_cast<std::uint16_t>(a >> i)) *
                          half_bits_to_float(static_cast<std::uint16_t>(b >> i)) +
                      half_bits_to_float(static_cast<std::uint16_t>(c >> i)))}
                  << i;
#endif
    return result;
}

/// Word j of four; j is a constant where loops are unrolled.
[[nodiscard]] __device__ __forceinline__ std::uint32_t word_of(uint4 const& words, unsigned j) {
    return j == 0 ? words.x : j == 1 ? words.y : j == 2 ? words.z : words.w;
}

/// The A operands of two m16n8k8: [step][row g, row g + 8], columns 4t + 2 step, + 1.
using half_operands = std::uint32_t[2][2];

/// Levels minus zero of the integers in one word of packed weights.
class integer_levels {
  public:
    /// Zeros 0..15 of rows g and g + 8.
    __device__ __forceinline__ integer_levels(std::uint32_t zero, std::uint32_t zero_8)
        : low_((0x6400u | zero) * 0x10001u),            // 1024 + zero
          high_((0xd400u | zero_8 << 4) * 0x10001u) {}  // -(64 + zero)

    __device__ __forceinline__ void decode(std::uint32_t word, half_operands& to) const {
        constexpr std::uint32_t one_k = 0x64006400, sixteenth = 0x2c002c00;
        for (int step = 0; step < 2; ++step, word >>= 8) {
            to[step][0] = subtract_halves(masked_or(word, 0x000f000f, one_k), low_);
            to[step][1] = multiply_add_halves(masked_or(word, 0x00f000f0, one_k), sixteenth, high_);
        }
    }

  private:
    std::uint32_t low_, high_;
};

/// Sixteen levels as halves, their bytes apart: what a kernel is given.
struct level_bytes {
    std::uint32_t low[4] = {}, high[4] = {};

    constexpr level_bytes() = default;
    template <std::size_t N>
    constexpr explicit level_bytes(std::array<float, N> const& level) noexcept {
        static_assert(N >= 16);
        for (std::size_t i = 0; i < 16; ++i) {
            std::uint32_t const bits = float_to_f16(level[i]);
            low[i / 4] |= (bits & 0xff) << (i % 4 * 8);
            high[i / 4] |= (bits >> 8) << (i % 4 * 8);
        }
    }
};

/// Levels of a codebook.
class table_levels {
  public:
    __device__ __forceinline__ explicit table_levels(level_bytes const& levels) : levels_(levels) {}

    __device__ __forceinline__ void decode(std::uint32_t word, half_operands& to) const {
        // Four fields at a time: [row g, row g + 8] of columns e = 0, 2, then of e = 1, 3.
        std::uint32_t const low_even = look_up(levels_.low, word),
                            high_even = look_up(levels_.high, word);
        std::uint32_t const low_odd = look_up(levels_.low, word >> 16),
                            high_odd = look_up(levels_.high, word >> 16);
        for (int step = 0; step < 2; ++step) {
            std::uint32_t const pairs = step == 0 ? 0x5140u : 0x7362u;
            std::uint32_t const even = pick_bytes(low_even, high_even, pairs);
            std::uint32_t const odd = pick_bytes(low_odd, high_odd, pairs);
            to[step][0] = pick_bytes(even, odd, 0x5410);
            to[step][1] = pick_bytes(even, odd, 0x7632);
        }
    }

  private:
    /// Bytes of the four fields in the low 16 bits.
    [[nodiscard]] static __device__ __forceinline__ std::uint32_t look_up(
        std::uint32_t const (&table)[4], std::uint32_t fields) {
        std::uint32_t const place = fields & 0x7777u;
        std::uint32_t const upper = 0x3210u + (fields >> 1 & 0x4444u);
        return pick_bytes(pick_bytes(table[0], table[1], place),
                          pick_bytes(table[2], table[3], place), upper);
    }

    level_bytes levels_;
};

/// Eight weights of a codebook, or of integers less their zeros.
template <bool Table>
__device__ __forceinline__ void decode_word(level_bytes const& levels, std::uint32_t word,
                                            std::uint32_t const (&zero)[2], half_operands& to) {
    if constexpr (Table)
        table_levels(levels).decode(word, to);
    else
        integer_levels(zero[0], zero[1]).decode(word, to);
}

}  // namespace qtk::cuda
