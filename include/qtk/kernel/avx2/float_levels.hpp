// SPDX-License-Identifier: Apache-2.0
//
// How do the fields of an operand become floats in AVX2? Each of its 4 bytes holds the fields of 8
// outputs at one k: four vectors of 8 levels, zero points and scales not applied.
//
//   integers         the field itself, converted
//   16 levels        two tables of 8 in registers, chosen by the highest bit
//   other minifloats a table in memory: exact for every pattern
#pragma once

#include <qtk/core/abi.hpp>
#include <qtk/format/levels.hpp>
#include <qtk/kernel/avx2/operands.hpp>
#include <qtk/kernel/target.hpp>

#include <array>
#include <cstddef>
#include <cstdint>

#if QTK_HAS_X86

namespace qtk::avx2 {
inline namespace QTK_ABI_NS {

QTK_AVX2_REGION

/// Byte J of every 32 bits, as 32 bits.
template <int J>
[[nodiscard]] QTK_ALWAYS_INLINE __m256i byte_of_each(__m256i v) noexcept {
    if constexpr (J == 0) return _mm256_and_si256(v, _mm256_set1_epi32(0xff));
    if constexpr (J == 3) return _mm256_srli_epi32(v, 24);
    // One shuffle stands for a shift and a mask: -128 makes a byte zero.
    __m128i const take = _mm_setr_epi8(J, -128, -128, -128, J + 4, -128, -128, -128, J + 8, -128,
                                       -128, -128, J + 12, -128, -128, -128);
    return _mm256_shuffle_epi8(v, _mm256_broadcastsi128_si256(take));
}

template <int Bits>
struct integer_floats {
    explicit integer_floats(format const&) noexcept {}

    template <int I>
    QTK_ALWAYS_INLINE void get(std::uint8_t const* quarter, __m256 (&level)[4]) const noexcept {
        __m256i const field = operand<Bits, I>(quarter);
        level[0] = _mm256_cvtepi32_ps(byte_of_each<0>(field));
        level[1] = _mm256_cvtepi32_ps(byte_of_each<1>(field));
        level[2] = _mm256_cvtepi32_ps(byte_of_each<2>(field));
        level[3] = _mm256_cvtepi32_ps(byte_of_each<3>(field));
    }
};

struct sixteen_floats {
    std::array<float, 256> table;

    explicit sixteen_floats(format const& f) noexcept : table(levels_of(f)) {}

    template <int I>
    QTK_ALWAYS_INLINE void get(std::uint8_t const* quarter, __m256 (&level)[4]) const noexcept {
        __m256 const low = _mm256_loadu_ps(&table[0]), high = _mm256_loadu_ps(&table[8]);
        __m256i field = operand<4, I>(quarter);
        QTK_UNROLL
        for (int j = 0; j < 4; ++j) {
            __m256 const is_high = _mm256_castsi256_ps(_mm256_slli_epi32(field, 28));
            level[j] = _mm256_blendv_ps(_mm256_permutevar8x32_ps(low, field),
                                        _mm256_permutevar8x32_ps(high, field), is_high);
            field = _mm256_srli_epi32(field, 8);
        }
    }
};

template <int Bits>
struct looked_up_floats {
    std::array<float, 256> table;

    explicit looked_up_floats(format const& f) noexcept : table(levels_of(f)) {}

    template <int I>
    QTK_ALWAYS_INLINE void get(std::uint8_t const* quarter, __m256 (&level)[4]) const noexcept {
        __m256i const field = operand<Bits, I>(quarter);
        level[0] = _mm256_i32gather_ps(table.data(), byte_of_each<0>(field), 4);
        level[1] = _mm256_i32gather_ps(table.data(), byte_of_each<1>(field), 4);
        level[2] = _mm256_i32gather_ps(table.data(), byte_of_each<2>(field), 4);
        level[3] = _mm256_i32gather_ps(table.data(), byte_of_each<3>(field), 4);
    }
};

QTK_REGION_END

}  // namespace QTK_ABI_NS
}  // namespace qtk::avx2

#endif
