// SPDX-License-Identifier: Apache-2.0
//
// What does AVX-512 with VNNI make of a chunk of GGUF blocks? No horizontal sums: a
// chunk of blocks (gguf_activations.hpp) is turned by two levels of unpacking, as in a transposition
// of 4 x 4 dwords, so that four neighbouring bytes of code vector j hold the same j-th dword of 16
// pieces. Nibbles are taken apart after that: one unpacking serves both.
//
// All rows of X use the codes of a chunk while they are in registers; what is per row of X is one
// product a vector, and one conversion and FMA a chunk.
#pragma once

#include <qtk/kernel/gguf_activations.hpp>
#include <qtk/kernel/target.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>

#if QTK_HAS_X86
QTK_AVX512_REGION
namespace qtk::avx512 {
inline namespace QTK_ABI_NS {

/// a[p] = four rows of dwords in each 128 bits -> dword j of all four.
QTK_ALWAYS_INLINE void transpose_dwords(__m512i const a[4], __m512i to[4]) noexcept {
    __m512i const low01 = _mm512_unpacklo_epi32(a[0], a[1]),
                  high01 = _mm512_unpackhi_epi32(a[0], a[1]),
                  low23 = _mm512_unpacklo_epi32(a[2], a[3]),
                  high23 = _mm512_unpackhi_epi32(a[2], a[3]);
    to[0] = _mm512_unpacklo_epi64(low01, low23);
    to[1] = _mm512_unpackhi_epi64(low01, low23);
    to[2] = _mm512_unpacklo_epi64(high01, high23);
    to[3] = _mm512_unpackhi_epi64(high01, high23);
}

QTK_ALWAYS_INLINE __m512i load_512(void const* from) noexcept {
    return _mm512_loadu_si512(from);
}
QTK_ALWAYS_INLINE __m128i load_128(void const* from) noexcept {
    return _mm_loadu_si128(static_cast<__m128i const*>(from));
}
QTK_ALWAYS_INLINE std::uint32_t load_u32(std::uint8_t const* from) noexcept {
    std::uint32_t bits;
    std::memcpy(&bits, from, sizeof bits);
    return bits;
}

/// start + the products of N code vectors with the activations at x.
template <std::size_t N>
QTK_ALWAYS_INLINE __m512i dot_codes(__m512i start, __m512i const* code,
                                    std::int8_t const* x) noexcept {
    QTK_UNROLL
    for (std::size_t j = 0; j < N; ++j)
        start = _mm512_dpbusd_epi32(start, code[j], load_512(x + 64 * j));
    return start;
}

/// y + integer * (d * a), each product and sum as the scalar twin does it.
QTK_ALWAYS_INLINE __m512 add_scaled(__m512 y, __m512i integer, __m512 d, float const* a) noexcept {
    return _mm512_fmadd_ps(_mm512_cvtepi32_ps(integer), _mm512_mul_ps(d, _mm512_loadu_ps(a)), y);
}

struct gguf_q4_0 {
    static constexpr gguf_chunk chunk = chunk_of(gguf_type::q4_0);
    static constexpr std::size_t bytes = 16 * sizeof(q4_0_block);
    __m512i code[8];
    __m512 d;

    QTK_ALWAYS_INLINE void unpack(std::uint8_t const* w) noexcept {
        // Four blocks are 36 words: 32 in one load, of which a shuffle makes three and a half.
        alignas(64) static constexpr std::uint16_t nibbles[32] = {
            1,  2,  3,  4,  5,  6,  7,  8,  10, 11, 12, 13, 14, 15, 16, 17,
            19, 20, 21, 22, 23, 24, 25, 26, 28, 29, 30, 31, 0,  0,  0,  0};
        alignas(64) static constexpr std::uint16_t scales[32] = {0,  32, 0,  32, 9,  41, 9,  41,
                                                                 18, 50, 18, 50, 27, 59, 27, 59};
        constexpr __mmask16 last_block = 0xf000;
        __m512i const order = load_512(nibbles), order_of_scales = load_512(scales);
        __m512i four[4], blocks[4], turned[4];
        QTK_UNROLL
        for (std::size_t p = 0; p < 4; ++p) {
            four[p] = load_512(w + 72 * p);
            blocks[p] = _mm512_mask_broadcast_i32x4(_mm512_permutexvar_epi16(order, four[p]),
                                                    last_block, load_128(w + 72 * p + 56));
        }
        __m512i const d01 = _mm512_permutex2var_epi16(four[0], order_of_scales, four[1]),
                      d23 = _mm512_permutex2var_epi16(four[2], order_of_scales, four[3]);
        d = _mm512_cvtph_ps(_mm256_mask_blend_epi16(0xcccc, _mm512_castsi512_si256(d01),
                                                    _mm512_castsi512_si256(d23)));
        transpose_dwords(blocks, turned);
        __m512i const mask = _mm512_set1_epi8(15);
        QTK_UNROLL
        for (std::size_t j = 0; j < 4; ++j) {
            code[j] = _mm512_and_si512(turned[j], mask);
            code[4 + j] = _mm512_and_si512(_mm512_srli_epi16(turned[j], 4), mask);
        }
    }
    QTK_ALWAYS_INLINE __m512 add(std::uint8_t const* x, __m512 y) const noexcept {
        auto const* const codes = reinterpret_cast<std::int8_t const*>(x);
        __m512i const low = dot_codes<4>(load_512(x + chunk.sums_at()), code, codes);
        __m512i const high = dot_codes<4>(_mm512_setzero_si512(), code + 4, codes + 256);
        return add_scaled(y, _mm512_add_epi32(low, high), d,
                          reinterpret_cast<float const*>(x + chunk.scales_at()));
    }
};

struct gguf_q8_0 {
    static constexpr gguf_chunk chunk = chunk_of(gguf_type::q8_0);
    static constexpr std::size_t bytes = 8 * sizeof(q8_0_block);
    __m512i code[4];
    __m512 d;

    QTK_ALWAYS_INLINE void unpack(std::uint8_t const* w) noexcept {
        // Two blocks are 34 words: the second one's last 8 come in a load of their own.
        alignas(64) static constexpr std::uint16_t codes[32] = {
            1,  2,  3,  4,  5,  6,  7,  8,  9, 10, 11, 12, 13, 14, 15, 16,
            18, 19, 20, 21, 22, 23, 24, 25, 0, 0,  0,  0,  0,  0,  0,  0};
        alignas(64) static constexpr std::uint16_t scales[32] = {0,  32, 0,  32, 0,  32, 0,  32,
                                                                 17, 49, 17, 49, 17, 49, 17, 49};
        constexpr __mmask16 last_piece = 0xf000;
        __m512i const order = load_512(codes), order_of_scales = load_512(scales);
        __m512i two[4], blocks[4], turned[4];
        QTK_UNROLL
        for (std::size_t p = 0; p < 4; ++p) {
            two[p] = load_512(w + 68 * p);
            blocks[p] = _mm512_mask_broadcast_i32x4(_mm512_permutexvar_epi16(order, two[p]),
                                                    last_piece, load_128(w + 68 * p + 52));
        }
        __m512i const d01 = _mm512_permutex2var_epi16(two[0], order_of_scales, two[1]),
                      d23 = _mm512_permutex2var_epi16(two[2], order_of_scales, two[3]);
        d = _mm512_cvtph_ps(_mm256_mask_blend_epi16(0xcccc, _mm512_castsi512_si256(d01),
                                                    _mm512_castsi512_si256(d23)));
        transpose_dwords(blocks, turned);
        __m512i const sign = _mm512_set1_epi8(-128);
        QTK_UNROLL
        for (std::size_t j = 0; j < 4; ++j) code[j] = _mm512_xor_si512(turned[j], sign);
    }
    QTK_ALWAYS_INLINE __m512 add(std::uint8_t const* x, __m512 y) const noexcept {
        auto const* const codes = reinterpret_cast<std::int8_t const*>(x);
        return add_scaled(y, dot_codes<4>(load_512(x + chunk.sums_at()), code, codes), d,
                          reinterpret_cast<float const*>(x + chunk.scales_at()));
    }
};

/// The 6-bit scales and minima of a block of q4_K, eight bytes each (q4_K_block has the picture).
struct six_bit_scales {
    std::uint64_t scale, minimum;

    QTK_ALWAYS_INLINE explicit six_bit_scales(std::uint8_t const* b) noexcept {
        std::uint32_t const first = load_u32(b), second = load_u32(b + 4), third = load_u32(b + 8);
        constexpr std::uint32_t six = 0x3f3f3f3f, four = 0x0f0f0f0f, two = 0x03030303;
        scale = (first & six) | (std::uint64_t{(third & four) | ((first >> 6 & two) << 4)} << 32);
        minimum = (second & six) |
                  (std::uint64_t{(third >> 4 & four) | ((second >> 6 & two) << 4)} << 32);
    }
};

/// 16 bytes of four blocks -> in to[t] dword L: byte 4 t + L of all four.
QTK_ALWAYS_INLINE void transpose_bytes(__m128i const a[4], __m128i to[4]) noexcept {
    __m128i const low01 = _mm_unpacklo_epi8(a[0], a[1]), high01 = _mm_unpackhi_epi8(a[0], a[1]),
                  low23 = _mm_unpacklo_epi8(a[2], a[3]), high23 = _mm_unpackhi_epi8(a[2], a[3]);
    to[0] = _mm_unpacklo_epi16(low01, low23);
    to[1] = _mm_unpackhi_epi16(low01, low23);
    to[2] = _mm_unpacklo_epi16(high01, high23);
    to[3] = _mm_unpackhi_epi16(high01, high23);
}

struct gguf_q4_K {
    static constexpr gguf_chunk chunk = chunk_of(gguf_type::q4_K);
    static constexpr std::size_t bytes = 4 * sizeof(q4_K_block);
    __m512i code[16], scale[4], minimum[4];
    __m512 d, dmin;

    QTK_ALWAYS_INLINE void unpack(std::uint8_t const* w) noexcept {
        __m128i six_bits[4], bytes_of[4];
        QTK_UNROLL
        for (std::size_t p = 0; p < 4; ++p) {
            six_bit_scales const six(w + 144 * p + 4);
            six_bits[p] = _mm_set_epi64x(static_cast<long long>(six.minimum),
                                         static_cast<long long>(six.scale));
        }
        transpose_bytes(six_bits, bytes_of);
        QTK_UNROLL
        for (std::size_t v = 0; v < 2; ++v) {
            // Step t of lanes 0..7 is scale 4 v + t mod 2, of lanes 8..15 two further.
            __m128i const s = bytes_of[v], m = bytes_of[2 + v];
            scale[2 * v] = _mm512_cvtepu8_epi32(_mm_shuffle_epi32(s, 0xa0));
            scale[2 * v + 1] = _mm512_cvtepu8_epi32(_mm_shuffle_epi32(s, 0xf5));
            minimum[2 * v] = _mm512_cvtepu8_epi32(_mm_shuffle_epi32(m, 0xa0));
            minimum[2 * v + 1] = _mm512_cvtepu8_epi32(_mm_shuffle_epi32(m, 0xf5));
        }
        // d and dmin of four blocks, one pair a dword.
        __m128i const pairs = _mm_setr_epi32(
            static_cast<int>(load_u32(w)), static_cast<int>(load_u32(w + 144)),
            static_cast<int>(load_u32(w + 288)), static_cast<int>(load_u32(w + 432)));
        __m128i const apart = _mm_shuffle_epi8(
            pairs, _mm_setr_epi8(0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15));
        __m256 const both = _mm256_cvtph_ps(apart);
        d = _mm512_broadcast_f32x4(_mm256_castps256_ps128(both));
        dmin = _mm512_broadcast_f32x4(_mm256_extractf128_ps(both, 1));
        __m512i const mask = _mm512_set1_epi8(15);
        QTK_UNROLL
        for (std::size_t v = 0; v < 2; ++v) {
            __m512i blocks[4], turned[4];
            QTK_UNROLL
            for (std::size_t p = 0; p < 4; ++p) blocks[p] = load_512(w + 144 * p + 16 + 64 * v);
            transpose_dwords(blocks, turned);
            QTK_UNROLL
            for (std::size_t j = 0; j < 4; ++j) {
                code[8 * v + j] = _mm512_and_si512(turned[j], mask);
                code[8 * v + 4 + j] = _mm512_and_si512(_mm512_srli_epi16(turned[j], 4), mask);
            }
        }
    }
    QTK_ALWAYS_INLINE __m512 add(std::uint8_t const* x, __m512 y) const noexcept {
        auto const* const codes = reinterpret_cast<std::int8_t const*>(x);
        __m512i dot = _mm512_setzero_si512(), low = _mm512_setzero_si512();
        QTK_UNROLL
        for (std::size_t t = 0; t < 4; ++t) {
            // 16 products of 15 and 127 fit the 16 bits that the product with the scale reads.
            __m512i const piece =
                dot_codes<4>(_mm512_setzero_si512(), code + 4 * t, codes + 256 * t);
            dot = _mm512_dpwssd_epi32(dot, piece, scale[t]);
            low = _mm512_dpwssd_epi32(low, load_512(x + chunk.sums_at() + 64 * t), minimum[t]);
        }
        auto const* const a = reinterpret_cast<float const*>(x + chunk.scales_at());
        y = add_scaled(y, dot, d, a);
        return _mm512_fnmadd_ps(_mm512_cvtepi32_ps(low), _mm512_mul_ps(dmin, _mm512_loadu_ps(a)),
                                y);
    }
};

struct gguf_q6_K {
    static constexpr gguf_chunk chunk = chunk_of(gguf_type::q6_K);
    static constexpr std::size_t bytes = 4 * sizeof(q6_K_block);
    __m512i code[16], scale[4];
    __m512 d;

    QTK_ALWAYS_INLINE void unpack(std::uint8_t const* w) noexcept {
        __m128i scales[4], bytes_of[4];
        QTK_UNROLL
        for (std::size_t p = 0; p < 4; ++p) scales[p] = load_128(w + 210 * p + 192);
        transpose_bytes(scales, bytes_of);
        QTK_UNROLL
        for (std::size_t t = 0; t < 4; ++t) scale[t] = _mm512_cvtepi8_epi32(bytes_of[t]);
        std::uint64_t halves = 0;
        QTK_UNROLL
        for (std::size_t p = 0; p < 4; ++p) {
            std::uint16_t half;
            std::memcpy(&half, w + 210 * p + 208, sizeof half);
            halves |= std::uint64_t{half} << (16 * p);
        }
        d = _mm512_broadcast_f32x4(_mm_cvtph_ps(_mm_cvtsi64_si128(static_cast<long long>(halves))));
        __m512i const nibble = _mm512_set1_epi8(15), top = _mm512_set1_epi8(0x30);
        QTK_UNROLL
        for (std::size_t h = 0; h < 2; ++h) {
            __m512i blocks[4], low[4], high[4], wide[4];
            QTK_UNROLL
            for (std::size_t p = 0; p < 4; ++p) blocks[p] = load_512(w + 210 * p + 64 * h);
            transpose_dwords(blocks, low);
            // The 32 bytes of high bits serve both halves of the 64 bytes of low ones.
            QTK_UNROLL
            for (std::size_t p = 0; p < 4; ++p)
                wide[p] = _mm512_broadcast_i64x4(_mm256_loadu_si256(
                    reinterpret_cast<__m256i const*>(w + 210 * p + 128 + 32 * h)));
            transpose_dwords(wide, high);
            __m512i const up = _mm512_setr_epi32(4, 4, 4, 4, 4, 4, 4, 4, 2, 2, 2, 2, 2, 2, 2, 2),
                          down = _mm512_setr_epi32(0, 0, 0, 0, 0, 0, 0, 0, 2, 2, 2, 2, 2, 2, 2, 2);
            QTK_UNROLL
            for (std::size_t j = 0; j < 4; ++j) {
                __m512i const first = _mm512_and_si512(_mm512_sllv_epi32(high[j], up), top),
                              second = _mm512_and_si512(_mm512_srlv_epi32(high[j], down), top);
                code[8 * h + j] = _mm512_or_si512(_mm512_and_si512(low[j], nibble), first);
                code[8 * h + 4 + j] =
                    _mm512_or_si512(_mm512_and_si512(_mm512_srli_epi16(low[j], 4), nibble), second);
            }
        }
    }
    QTK_ALWAYS_INLINE __m512 add(std::uint8_t const* x, __m512 y) const noexcept {
        auto const* const codes = reinterpret_cast<std::int8_t const*>(x);
        __m512i dot = _mm512_setzero_si512();
        QTK_UNROLL
        for (std::size_t t = 0; t < 4; ++t) {
            __m512i const piece =
                dot_codes<4>(load_512(x + chunk.sums_at() + 64 * t), code + 4 * t, codes + 256 * t);
            dot = _mm512_add_epi32(dot, _mm512_mullo_epi32(piece, scale[t]));
        }
        return add_scaled(y, dot, d, reinterpret_cast<float const*>(x + chunk.scales_at()));
    }
};

}  // namespace QTK_ABI_NS
}  // namespace qtk::avx512
QTK_REGION_END
#endif
