// SPDX-License-Identifier: Apache-2.0
//
// How do 32 fields become a stream of bits, and back, with AVX2? As in avx512/pack.hpp at half the
// width: neighbours are joined by multiply-and-add, then whole bytes move together; a field is
// taken out by moving its bytes into a lane and shifting.
#pragma once

#include <qtk/core/abi.hpp>
#include <qtk/kernel/bit_windows.hpp>
#include <qtk/kernel/target.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>

#if QTK_HAS_X86
QTK_AVX2_REGION
namespace qtk::avx2 {
inline namespace QTK_ABI_NS {

[[nodiscard]] QTK_ALWAYS_INLINE __m128i load_16(std::uint8_t const* p) noexcept {
    return _mm_loadu_si128(reinterpret_cast<__m128i const*>(p));
}
QTK_ALWAYS_INLINE void store_16(std::uint8_t* p, __m128i v) noexcept {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), v);
}
[[nodiscard]] QTK_ALWAYS_INLINE __m256i load_32(void const* p) noexcept {
    return _mm256_loadu_si256(static_cast<__m256i const*>(p));
}
QTK_ALWAYS_INLINE void store_32(std::uint8_t* p, __m256i v) noexcept {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), v);
}

/// 32 fields to 4 * b bytes; up to 2 * b + 16 are written.
QTK_ALWAYS_INLINE void pack_32(__m256i dwords, __m128i shift, __m256i gather, std::size_t b,
                               std::uint8_t* bytes) noexcept {
    __m256i const low = _mm256_set1_epi64x(0xffffffffll);
    __m256i const upper = _mm256_srl_epi64(_mm256_andnot_si256(low, dwords), shift);
    __m256i const out =
        _mm256_shuffle_epi8(_mm256_or_si256(_mm256_and_si256(dwords, low), upper), gather);
    store_16(bytes, _mm256_castsi256_si128(out));
    store_16(bytes + 2 * b, _mm256_extracti128_si256(out, 1));
}

/// Packs fields from the first on, 64 at a time, and returns how many. Writes the bytes of these
/// fields alone.
inline std::size_t pack_blocks(std::uint8_t const* fields, std::size_t n, int bits,
                               std::uint8_t* bytes) noexcept {
    auto const b = static_cast<std::size_t>(bits);
    std::size_t const whole = n / 64 * 64;
    if (bits == 8) {
        if (whole > 0) std::memcpy(bytes, fields, whole);
        return whole;
    }
    __m256i const pairs = _mm256_set1_epi16(static_cast<short>(1 | 1 << (bits + 8)));
    __m256i const fours = _mm256_set1_epi32(1 | 1 << (2 * bits + 16));
    __m256i const gather = _mm256_broadcastsi128_si256(load_16(window_of(bits).gather.data()));
    __m128i const shift = _mm_cvtsi32_si128(32 - 4 * bits);
    for (std::size_t i = 0; i < whole; i += 64, bytes += 8 * b) {
        __m256i const first = _mm256_maddubs_epi16(pairs, load_32(fields + i));
        __m256i const second = _mm256_maddubs_epi16(pairs, load_32(fields + i + 32));
        if (bits == 4) {
            store_32(bytes,
                     _mm256_permute4x64_epi64(_mm256_packus_epi16(first, second), 0b11'01'10'00));
            continue;
        }
        __m256i const low = _mm256_madd_epi16(first, fours);
        __m256i const high = _mm256_madd_epi16(second, fours);
        if (bits == 2) {
            __m256i const words = _mm256_packus_epi32(low, high);
            __m256i const four = _mm256_packus_epi16(words, words);
            store_16(bytes, _mm256_castsi256_si128(_mm256_permutevar8x32_epi32(
                                four, _mm256_setr_epi32(0, 4, 1, 5, 0, 4, 1, 5))));
        } else if (i + 192 <= whole) {
            pack_32(low, shift, gather, b, bytes);
            pack_32(high, shift, gather, b, bytes + 4 * b);
        } else {
            std::uint8_t room[96];
            pack_32(low, shift, gather, b, room);
            pack_32(high, shift, gather, b, room + 4 * b);
            std::memcpy(bytes, room, 8 * b);
        }
    }
    return whole;
}

/// Eight of sixteen fields in lanes of 32 bits, from a load at the first byte of the sixteen. Bits
/// above those of the field are not cleared.
[[nodiscard]] QTK_ALWAYS_INLINE __m256i window_lanes(__m128i window, __m256i place,
                                                     __m256i shift) noexcept {
    return _mm256_mulhi_epu16(_mm256_shuffle_epi8(_mm256_broadcastsi128_si256(window), place),
                              shift);
}

/// Unpacks fields from the first on and returns how many: a multiple of 16. Reads before `end`
/// alone.
inline std::size_t unpack_blocks(std::uint8_t const* bytes, std::uint8_t const* end, int bits,
                                 std::uint8_t* fields, std::size_t n) noexcept {
    auto const b = static_cast<std::size_t>(bits);
    std::size_t i = 0;
    if (bits == 4) {
        __m256i const low = _mm256_set1_epi8(15);
        for (; i + 32 <= n; i += 32, bytes += 16) {
            __m256i const pairs = _mm256_cvtepu8_epi16(load_16(bytes));
            store_32(fields + i,
                     _mm256_and_si256(_mm256_or_si256(pairs, _mm256_slli_epi16(pairs, 4)), low));
        }
    } else if (bits == 8) {
        i = n / 16 * 16;
        if (i > 0) std::memcpy(fields, bytes, i);
        return i;
    }
    bit_window const& w = window_of(bits);
    __m256i const mask = _mm256_set1_epi32((1 << bits) - 1);
    __m256i const place[2] = {load_32(w.place.data()), load_32(w.place.data() + 32)};
    __m256i const shift[2] = {load_32(w.shift.data()), load_32(w.shift.data() + 16)};
    for (; i + 16 <= n && end - bytes >= 16; i += 16, bytes += 2 * b) {
        __m128i const window = load_16(bytes);
        __m256i const low = _mm256_and_si256(window_lanes(window, place[0], shift[0]), mask);
        __m256i const high = _mm256_and_si256(window_lanes(window, place[1], shift[1]), mask);
        // Lane by lane: words of low, words of high; then bytes of both, twice.
        __m256i const words = _mm256_packus_epi32(low, high);
        __m256i const four = _mm256_packus_epi16(words, words);
        store_16(fields + i, _mm256_castsi256_si128(_mm256_permutevar8x32_epi32(
                                 four, _mm256_setr_epi32(0, 4, 1, 5, 0, 4, 1, 5))));
    }
    return i;
}

}  // namespace QTK_ABI_NS
}  // namespace qtk::avx2
QTK_REGION_END
#endif
