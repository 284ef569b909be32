// SPDX-License-Identifier: Apache-2.0
//
// How wide are the tiles of a row, and is everything finite? Two comparisons of bits for eight
// values find the extremes, one finds the magnitude; NaN and infinity need no pass of their own.
#pragma once

#include <qtk/core/abi.hpp>
#include <qtk/kernel/code_rule.hpp>
#include <qtk/kernel/target.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>

#if QTK_HAS_X86
QTK_AVX2_REGION
namespace qtk::avx2 {
inline namespace QTK_ABI_NS {

[[nodiscard]] QTK_ALWAYS_INLINE __m256i load_bits(float const* p) noexcept {
    return _mm256_castps_si256(_mm256_loadu_ps(p));
}

/// Widens running extremes. Positive floats rise with their bits as signed integers, negative ones
/// fall with their bits as unsigned integers; magnitudes rise.
template <bool Signed>
QTK_ALWAYS_INLINE void widen(__m256i bits, __m256i& up, __m256i& down) noexcept {
    if constexpr (Signed) {
        up = _mm256_max_epi32(up, bits);
        down = _mm256_max_epu32(down, bits);
    } else {
        up = _mm256_max_epi32(up, _mm256_and_si256(bits, _mm256_set1_epi32(INT32_MAX)));
    }
}

/// The extremes of one tile, first the magnitude of the lowest; both are the largest magnitude if
/// not Signed.
template <bool Signed>
[[nodiscard]] QTK_ALWAYS_INLINE __m128i extremes_of(float const* x, std::size_t n) noexcept {
    __m256i up = _mm256_setzero_si256(), down = up, up_too = up, down_too = up;
    std::size_t i = 0;
    for (; i + 16 <= n; i += 16) {
        widen<Signed>(load_bits(x + i), up, down);
        widen<Signed>(load_bits(x + i + 8), up_too, down_too);
    }
    for (; i < n; i += 8) {
        float some[8] = {};
        std::memcpy(some, x + i, (n - i < 8 ? n - i : 8) * sizeof(float));
        widen<Signed>(load_bits(some), up, down);
    }
    up = _mm256_max_epi32(up, up_too);
    if constexpr (Signed)
        // Magnitudes of the negative ones; lanes without any hold a positive number or zero.
        down = _mm256_max_epi32(
            _mm256_xor_si256(_mm256_max_epu32(down, down_too), _mm256_set1_epi32(INT32_MIN)),
            _mm256_setzero_si256());
    else
        down = up;
    // Both go through the same folds, as neighbours.
    __m256i const both =
        _mm256_max_epi32(_mm256_unpacklo_epi32(down, up), _mm256_unpackhi_epi32(down, up));
    __m128i four = _mm_max_epi32(_mm256_castsi256_si128(both), _mm256_extracti128_si256(both, 1));
    return _mm_max_epi32(four, _mm_unpackhi_epi64(four, four));
}

template <bool Signed>
[[nodiscard]] QTK_ALWAYS_INLINE bool measure_all(float const* x, std::size_t n, std::size_t tile,
                                                 extremes* out) noexcept {
    __m128i largest = _mm_setzero_si128();
    for (std::size_t left = 0; left < n; left += tile, ++out) {
        __m128i const ends = extremes_of<Signed>(x + left, n - left < tile ? n - left : tile);
        largest = _mm_max_epi32(largest, ends);
        _mm_storel_epi64(reinterpret_cast<__m128i*>(out),
                         _mm_xor_si128(ends, _mm_setr_epi32(INT32_MIN, 0, 0, 0)));
    }
    __m128i const is_bad = _mm_cmpgt_epi32(largest, _mm_set1_epi32(0x7f7fffff));
    return _mm_movemask_epi8(is_bad) == 0;
}

/// The extremes of the tiles of n values, widened to hold zero; if not is_signed, plus and minus
/// the largest magnitude. False if a value is NaN or infinite: bits are compared, and theirs are
/// larger than any number's.
[[nodiscard]] inline bool measure_tiles(float const* x, std::size_t n, std::size_t tile,
                                        bool is_signed, extremes* out) noexcept {
    return is_signed ? measure_all<true>(x, n, tile, out) : measure_all<false>(x, n, tile, out);
}

}  // namespace QTK_ABI_NS
}  // namespace qtk::avx2
QTK_REGION_END
#endif
