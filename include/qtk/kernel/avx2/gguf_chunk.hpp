// SPDX-License-Identifier: Apache-2.0
//
// What does AVX2 make of a chunk of GGUF blocks? The same lanes as avx512/gguf_chunk.hpp, eight at a
// time: half 0 takes lanes 0..7 of all steps, half 1 lanes 8..15.
//
// vpmaddubsw adds two products in 16 bits. Fields below 64 leave room for sums of them there; 8-bit
// codes take the sign of the weight into the activation, which a8 codes (never -128) survive.
#pragma once

#include <qtk/kernel/gguf_activations.hpp>
#include <qtk/kernel/target.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>

#if QTK_HAS_X86
QTK_AVX2_REGION
namespace qtk::avx2 {
inline namespace QTK_ABI_NS {

/// a[p] = four dwords in each 128 bits -> dword j of all four.
QTK_ALWAYS_INLINE void transpose_dwords(__m256i const a[4], __m256i to[4]) noexcept {
    __m256i const low01 = _mm256_unpacklo_epi32(a[0], a[1]),
                  high01 = _mm256_unpackhi_epi32(a[0], a[1]),
                  low23 = _mm256_unpacklo_epi32(a[2], a[3]),
                  high23 = _mm256_unpackhi_epi32(a[2], a[3]);
    to[0] = _mm256_unpacklo_epi64(low01, low23);
    to[1] = _mm256_unpackhi_epi64(low01, low23);
    to[2] = _mm256_unpacklo_epi64(high01, high23);
    to[3] = _mm256_unpackhi_epi64(high01, high23);
}

QTK_ALWAYS_INLINE __m256i load_256(void const* from) noexcept {
    return _mm256_loadu_si256(static_cast<__m256i const*>(from));
}
QTK_ALWAYS_INLINE __m128i load_128(void const* from) noexcept {
    return _mm_loadu_si128(static_cast<__m128i const*>(from));
}
QTK_ALWAYS_INLINE __m256i load_pair(void const* low, void const* high) noexcept {
    return _mm256_inserti128_si256(_mm256_castsi128_si256(load_128(low)), load_128(high), 1);
}
QTK_ALWAYS_INLINE short load_u16(std::uint8_t const* from) noexcept {
    short bits;
    std::memcpy(&bits, from, sizeof bits);
    return bits;
}
QTK_ALWAYS_INLINE std::uint32_t load_u32(std::uint8_t const* from) noexcept {
    std::uint32_t bits;
    std::memcpy(&bits, from, sizeof bits);
    return bits;
}

/// Products of four code vectors with the activations at x, pairs added in 16 bits: fields below 32.
QTK_ALWAYS_INLINE __m256i dot_small(__m256i const* code, std::uint8_t const* x) noexcept {
    __m256i const a = _mm256_maddubs_epi16(code[0], load_256(x)),
                  b = _mm256_maddubs_epi16(code[1], load_256(x + 64)),
                  c = _mm256_maddubs_epi16(code[2], load_256(x + 128)),
                  d = _mm256_maddubs_epi16(code[3], load_256(x + 192));
    return _mm256_add_epi16(_mm256_add_epi16(a, b), _mm256_add_epi16(c, d));
}

/// y + integer * (d * a), each product and sum as the scalar twin does it.
QTK_ALWAYS_INLINE __m256 add_scaled(__m256 y, __m256i integer, __m256 d, float const* a) noexcept {
    return _mm256_fmadd_ps(_mm256_cvtepi32_ps(integer), _mm256_mul_ps(d, _mm256_loadu_ps(a)), y);
}

struct gguf_q4_0 {
    static constexpr gguf_chunk chunk = chunk_of(gguf_type::q4_0);
    static constexpr std::size_t bytes = 16 * sizeof(q4_0_block);
    __m256i code[8];
    __m256 d;

    QTK_ALWAYS_INLINE void unpack(std::uint8_t const* w, std::size_t half) noexcept {
        w += 36 * half;
        __m256i blocks[4], turned[4];
        QTK_UNROLL
        for (std::size_t p = 0; p < 4; ++p) blocks[p] = load_pair(w + 72 * p + 2, w + 72 * p + 20);
        d = _mm256_cvtph_ps(_mm_setr_epi16(load_u16(w), load_u16(w + 72), load_u16(w + 144),
                                           load_u16(w + 216), load_u16(w + 18), load_u16(w + 90),
                                           load_u16(w + 162), load_u16(w + 234)));
        transpose_dwords(blocks, turned);
        __m256i const mask = _mm256_set1_epi8(15);
        QTK_UNROLL
        for (std::size_t j = 0; j < 4; ++j) {
            code[j] = _mm256_and_si256(turned[j], mask);
            code[4 + j] = _mm256_and_si256(_mm256_srli_epi16(turned[j], 4), mask);
        }
    }
    /// x is the record of the chunk, 32 bytes further for half 1.
    QTK_ALWAYS_INLINE __m256 add(std::uint8_t const* x, __m256 y) const noexcept {
        // 16 products of 15 and 127 fit 16 bits.
        __m256i const both = _mm256_add_epi16(dot_small(code, x), dot_small(code + 4, x + 256));
        __m256i const dot = _mm256_madd_epi16(both, _mm256_set1_epi16(1));
        return add_scaled(y, _mm256_add_epi32(dot, load_256(x + chunk.sums_at())), d,
                          reinterpret_cast<float const*>(x + chunk.scales_at()));
    }
};

struct gguf_q8_0 {
    static constexpr gguf_chunk chunk = chunk_of(gguf_type::q8_0);
    static constexpr std::size_t bytes = 8 * sizeof(q8_0_block);
    __m256i code[4];
    __m256 d;

    QTK_ALWAYS_INLINE void unpack(std::uint8_t const* w, std::size_t half) noexcept {
        w += 34 * half;
        __m256i blocks[4];
        QTK_UNROLL
        for (std::size_t p = 0; p < 4; ++p) blocks[p] = load_256(w + 68 * p + 2);
        short const a = load_u16(w), b = load_u16(w + 68), c = load_u16(w + 136),
                    e = load_u16(w + 204);
        d = _mm256_cvtph_ps(_mm_setr_epi16(a, b, c, e, a, b, c, e));
        transpose_dwords(blocks, code);
    }
    QTK_ALWAYS_INLINE __m256 add(std::uint8_t const* x, __m256 y) const noexcept {
        __m256i const ones = _mm256_set1_epi16(1);
        __m256i dot = _mm256_setzero_si256();
        QTK_UNROLL
        for (std::size_t j = 0; j < 4; ++j) {
            __m256i const products = _mm256_maddubs_epi16(
                _mm256_abs_epi8(code[j]), _mm256_sign_epi8(load_256(x + 64 * j), code[j]));
            dot = _mm256_add_epi32(dot, _mm256_madd_epi16(products, ones));
        }
        return add_scaled(y, dot, d, reinterpret_cast<float const*>(x + chunk.scales_at()));
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
    __m256i code[16], scale[4], minimum[4];
    __m256 d, dmin;

    QTK_ALWAYS_INLINE void unpack(std::uint8_t const* w, std::size_t half) noexcept {
        constexpr std::uint32_t six = 0x3f3f3f3f, four = 0x0f0f0f0f, two = 0x03030303;
        __m128i bits[4], bytes_of[4];
        QTK_UNROLL
        for (std::size_t p = 0; p < 4; ++p) {
            std::uint8_t const* const b = w + 144 * p + 4;
            std::uint32_t const first = load_u32(b), second = load_u32(b + 4),
                                third = load_u32(b + 8);
            bits[p] =
                _mm_setr_epi32(static_cast<int>(first & six),
                               static_cast<int>((third & four) | ((first >> 6 & two) << 4)),
                               static_cast<int>(second & six),
                               static_cast<int>((third >> 4 & four) | ((second >> 6 & two) << 4)));
        }
        transpose_bytes(bits, bytes_of);
        QTK_UNROLL
        for (std::size_t v = 0; v < 2; ++v) {
            // Step t of this half is scale 4 v + 2 half + t mod 2, the same in both 128 bits.
            __m128i const s = half == 0 ? bytes_of[v] : _mm_srli_si128(bytes_of[v], 8),
                          m = half == 0 ? bytes_of[2 + v] : _mm_srli_si128(bytes_of[2 + v], 8);
            scale[2 * v] = _mm256_cvtepu8_epi32(_mm_shuffle_epi32(s, 0x00));
            scale[2 * v + 1] = _mm256_cvtepu8_epi32(_mm_shuffle_epi32(s, 0x55));
            minimum[2 * v] = _mm256_cvtepu8_epi32(_mm_shuffle_epi32(m, 0x00));
            minimum[2 * v + 1] = _mm256_cvtepu8_epi32(_mm_shuffle_epi32(m, 0x55));
        }
        __m256 const both = _mm256_cvtph_ps(_mm_setr_epi16(
            load_u16(w), load_u16(w + 144), load_u16(w + 288), load_u16(w + 432), load_u16(w + 2),
            load_u16(w + 146), load_u16(w + 290), load_u16(w + 434)));
        d = _mm256_permute2f128_ps(both, both, 0x00);
        dmin = _mm256_permute2f128_ps(both, both, 0x11);
        __m256i const mask = _mm256_set1_epi8(15);
        QTK_UNROLL
        for (std::size_t v = 0; v < 2; ++v) {
            __m256i blocks[4], turned[4];
            QTK_UNROLL
            for (std::size_t p = 0; p < 4; ++p)
                blocks[p] = load_256(w + 144 * p + 16 + 64 * v + 32 * half);
            transpose_dwords(blocks, turned);
            QTK_UNROLL
            for (std::size_t j = 0; j < 4; ++j) {
                code[8 * v + j] = _mm256_and_si256(turned[j], mask);
                code[8 * v + 4 + j] = _mm256_and_si256(_mm256_srli_epi16(turned[j], 4), mask);
            }
        }
    }
    QTK_ALWAYS_INLINE __m256 add(std::uint8_t const* x, __m256 y) const noexcept {
        __m256i dot = _mm256_setzero_si256(), low = _mm256_setzero_si256();
        QTK_UNROLL
        for (std::size_t t = 0; t < 4; ++t) {
            __m256i const pairs = dot_small(code + 4 * t, x + 256 * t),
                          both = _mm256_or_si256(scale[t], _mm256_slli_epi32(scale[t], 16));
            dot = _mm256_add_epi32(dot, _mm256_madd_epi16(pairs, both));
            low = _mm256_add_epi32(
                low, _mm256_madd_epi16(load_256(x + chunk.sums_at() + 64 * t), minimum[t]));
        }
        auto const* const a = reinterpret_cast<float const*>(x + chunk.scales_at());
        y = add_scaled(y, dot, d, a);
        return _mm256_fnmadd_ps(_mm256_cvtepi32_ps(low), _mm256_mul_ps(dmin, _mm256_loadu_ps(a)),
                                y);
    }
};

struct gguf_q6_K {
    static constexpr gguf_chunk chunk = chunk_of(gguf_type::q6_K);
    static constexpr std::size_t bytes = 4 * sizeof(q6_K_block);
    __m256i code[16], scale[4];
    __m256 d;

    QTK_ALWAYS_INLINE void unpack(std::uint8_t const* w, std::size_t half) noexcept {
        __m128i scales[4], bytes_of[4];
        QTK_UNROLL
        for (std::size_t p = 0; p < 4; ++p) scales[p] = load_128(w + 210 * p + 192);
        transpose_bytes(scales, bytes_of);
        QTK_UNROLL
        for (std::size_t t = 0; t < 4; ++t)
            scale[t] =
                _mm256_cvtepi8_epi32(half == 0 ? bytes_of[t] : _mm_srli_si128(bytes_of[t], 8));
        short const first = load_u16(w + 208), second = load_u16(w + 418),
                    third = load_u16(w + 628), fourth = load_u16(w + 838);
        d = _mm256_cvtph_ps(
            _mm_setr_epi16(first, second, third, fourth, first, second, third, fourth));
        __m256i const nibble = _mm256_set1_epi8(15), top = _mm256_set1_epi8(0x30);
        __m128i const up = _mm_cvtsi32_si128(half == 0 ? 4 : 2),
                      down = _mm_cvtsi32_si128(half == 0 ? 0 : 2);
        QTK_UNROLL
        for (std::size_t h = 0; h < 2; ++h) {
            __m256i blocks[4], low[4], high[4];
            QTK_UNROLL
            for (std::size_t p = 0; p < 4; ++p)
                blocks[p] = load_256(w + 210 * p + 64 * h + 32 * half);
            transpose_dwords(blocks, low);
            QTK_UNROLL
            for (std::size_t p = 0; p < 4; ++p) blocks[p] = load_256(w + 210 * p + 128 + 32 * h);
            transpose_dwords(blocks, high);
            QTK_UNROLL
            for (std::size_t j = 0; j < 4; ++j) {
                code[8 * h + j] =
                    _mm256_or_si256(_mm256_and_si256(low[j], nibble),
                                    _mm256_and_si256(_mm256_sll_epi32(high[j], up), top));
                code[8 * h + 4 + j] =
                    _mm256_or_si256(_mm256_and_si256(_mm256_srli_epi16(low[j], 4), nibble),
                                    _mm256_and_si256(_mm256_srl_epi32(high[j], down), top));
            }
        }
    }
    QTK_ALWAYS_INLINE __m256 add(std::uint8_t const* x, __m256 y) const noexcept {
        __m256i const ones = _mm256_set1_epi16(1);
        __m256i dot = _mm256_setzero_si256();
        QTK_UNROLL
        for (std::size_t t = 0; t < 4; ++t) {
            // Four products of 63 and 127 fit 16 bits, eight do not.
            std::uint8_t const* const at = x + 256 * t;
            __m256i const* const c = code + 4 * t;
            __m256i const a = _mm256_add_epi16(_mm256_maddubs_epi16(c[0], load_256(at)),
                                               _mm256_maddubs_epi16(c[1], load_256(at + 64))),
                          b = _mm256_add_epi16(_mm256_maddubs_epi16(c[2], load_256(at + 128)),
                                               _mm256_maddubs_epi16(c[3], load_256(at + 192)));
            __m256i const piece = _mm256_add_epi32(
                _mm256_add_epi32(_mm256_madd_epi16(a, ones), _mm256_madd_epi16(b, ones)),
                load_256(x + chunk.sums_at() + 64 * t));
            dot = _mm256_add_epi32(dot, _mm256_mullo_epi32(piece, scale[t]));
        }
        return add_scaled(y, dot, d, reinterpret_cast<float const*>(x + chunk.scales_at()));
    }
};

}  // namespace QTK_ABI_NS
}  // namespace qtk::avx2
QTK_REGION_END
#endif
