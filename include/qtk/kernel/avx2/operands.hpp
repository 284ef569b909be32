// SPDX-License-Identifier: Apache-2.0
//
// How do the planes of a unit become operands in AVX2? A quarter is 8 outputs of a panel: operand i
// of quarter q is 32 bytes, byte 4 c + j of them output 8 q + c at k = 4 i + j. Both lines of a pair
// lie together, so that quarter q of line pair t is found at byte 128 t + 32 q of the unit.
//
// A shift brings a plane's bits where they belong, a mask drops the others: the shifts of 16 bits
// carry bits into the neighbour byte only where the mask is zero.
#pragma once

#include <qtk/core/abi.hpp>
#include <qtk/kernel/integer_levels.hpp>
#include <qtk/kernel/packed_layout.hpp>
#include <qtk/kernel/target.hpp>

#include <cstddef>
#include <cstdint>

#if QTK_HAS_X86

namespace qtk::avx2 {
inline namespace QTK_ABI_NS {

inline constexpr std::size_t quarter_bytes = 32, line_pair = 2 * cache_line;

QTK_AVX2_REGION

[[nodiscard]] QTK_ALWAYS_INLINE __m256i load(std::uint8_t const* p) noexcept {
    return _mm256_loadu_si256(reinterpret_cast<__m256i const*>(p));
}
QTK_ALWAYS_INLINE void store(std::uint8_t* p, __m256i v) noexcept {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), v);
}
[[nodiscard]] QTK_ALWAYS_INLINE __m256i every_byte(int byte) noexcept {
    return _mm256_set1_epi8(static_cast<char>(byte));
}

/// Bit From of every byte to bit To, then what the mask keeps.
template <int From, int To>
[[nodiscard]] QTK_ALWAYS_INLINE __m256i moved(__m256i v, int mask) noexcept {
    if constexpr (From > To)
        v = _mm256_srli_epi16(v, From - To);
    else if constexpr (From < To)
        v = _mm256_slli_epi16(v, To - From);
    return _mm256_and_si256(v, every_byte(mask));
}

/// 3 bits: operand I beside the one that is 2 further, one in each nibble, I of 0, 1, 4, 5. One
/// select brings the high bits of both.
template <int I>
[[nodiscard]] QTK_ALWAYS_INLINE __m256i pair_of_3_bits(std::uint8_t const* quarter) noexcept {
    constexpr bit_planes planes = planes_of(3);
    static_assert(high_bit_of(planes, I + 2) == high_bit_of(planes, I) + 4);
    __m256i const low = load(quarter + I / 4 * line_pair), high = load(quarter + 2 * line_pair);
    return _mm256_or_si256(moved<2 * (I % 4), 0>(low, 0x33),
                           moved<high_bit_of(planes, I), 2>(high, 0x44));
}

/// The fields of operand I; `quarter` is the unit at 32 q.
template <int Bits, int I>
[[nodiscard]] QTK_ALWAYS_INLINE __m256i operand(std::uint8_t const* quarter) noexcept {
    constexpr bit_planes planes = planes_of(Bits);
    if constexpr (Bits == 8) {
        return load(quarter + I * line_pair);
    } else if constexpr (Bits == 3) {
        __m256i const pair = pair_of_3_bits<I / 4 * 4 + I % 2>(quarter);
        return I % 4 < 2 ? moved<0, 0>(pair, 0x07) : moved<4, 0>(pair, 0x07);
    } else {
        constexpr int per_line = 8 / planes.low, low_mask = (1 << planes.low) - 1;
        __m256i const low =
            moved<planes.low*(I % per_line), 0>(load(quarter + I / per_line * line_pair), low_mask);
        if constexpr (planes.high == 0) {
            return low;
        } else {
            constexpr int line = planes.low + (planes.high == 2 ? I / 4 : 0);
            constexpr int high_mask = ((1 << planes.high) - 1) << planes.low;
            return _mm256_or_si256(low, moved<high_bit_of(planes, I), planes.low>(
                                            load(quarter + line * line_pair), high_mask));
        }
    }
}

/// A table of 16 bytes for every half of a vector.
[[nodiscard]] QTK_ALWAYS_INLINE __m256i table_of(std::uint8_t const* bytes) noexcept {
    return _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<__m128i const*>(bytes)));
}

// What the int8 product multiplies comes as two vectors of unsigned factors for operand I and a group
// of outputs. vpmaddubsw adds two products in 16 bits, and `addends` of its results may be summed
// there before 127 * factor overflows:
//
//   whole_factors   16 outputs a group: fields of up to 6 bits, or e2m1 with its bias (0..24)
//   split_factors   8 outputs a group: low and high nibbles of 8 bits; the sums join as low + 16 high
//
// With vpdpbusd nothing is summed in 16 bits, and all factors are whole.

/// How often 2 * 127 * largest fits into 15 bits, as a power of two that a unit can use.
[[nodiscard]] constexpr int addends_of(int largest) noexcept {
    int n = 8;
    while (n * 2 * 127 * largest > 32767) n /= 2;
    return n;
}

template <int Bits, bool IsTable = false>
struct whole_factors {
    static constexpr int addends = addends_of(IsTable ? 24 : (1 << Bits) - 1);
    static constexpr bool is_split = false;
    static constexpr std::size_t groups = 2, group_bytes = 2 * quarter_bytes;

    std::uint8_t table[16] = {};
    int bias = 0;

    explicit whole_factors(format const& f) noexcept : bias(symmetric_zero(f)) {
        if constexpr (IsTable) {
            integer_table const t = integer_table_of(f);
            bias = t.bias;
            for (std::size_t i = 0; i < 16; ++i)
                table[i] = static_cast<std::uint8_t>(t.value[i] + t.bias);
        }
    }
    template <int I>
    QTK_ALWAYS_INLINE void get(std::uint8_t const* group, __m256i& a, __m256i& b) const noexcept {
        a = operand<Bits, I>(group);
        b = operand<Bits, I>(group + quarter_bytes);
        if constexpr (IsTable) {
            a = _mm256_shuffle_epi8(table_of(table), a);
            b = _mm256_shuffle_epi8(table_of(table), b);
        }
    }
};

template <bool IsTable>
struct split_factors {
    static constexpr int addends = addends_of(15);
    static constexpr bool is_split = true;
    static constexpr std::size_t groups = 4, group_bytes = quarter_bytes;

    std::uint8_t low_nibble[16] = {}, high_nibble[16] = {};
    int bias = 0;

    explicit split_factors(format const& f) noexcept : bias(symmetric_zero(f)) {
        if constexpr (IsTable) {
            integer_table const t = integer_table_of(f);
            bias = t.bias;
            for (std::size_t i = 0; i < 16; ++i) {
                int const factor = t.value[i] + t.bias;
                low_nibble[i] = static_cast<std::uint8_t>(factor & 15);
                high_nibble[i] = static_cast<std::uint8_t>(factor >> 4);
            }
        }
    }
    template <int I>
    QTK_ALWAYS_INLINE void get(std::uint8_t const* group, __m256i& a, __m256i& b) const noexcept {
        if constexpr (IsTable) {
            __m256i const field = operand<4, I>(group);
            a = _mm256_shuffle_epi8(table_of(low_nibble), field);
            b = _mm256_shuffle_epi8(table_of(high_nibble), field);
        } else {
            __m256i const field = operand<8, I>(group);
            a = moved<0, 0>(field, 0x0f);
            b = moved<4, 0>(field, 0x0f);
        }
    }
};
static_assert(whole_factors<4>::addends == 8 && whole_factors<5>::addends == 4 &&
              whole_factors<6>::addends == 2 && whole_factors<4, true>::addends == 4);

QTK_REGION_END

}  // namespace QTK_ABI_NS
}  // namespace qtk::avx2

#endif
