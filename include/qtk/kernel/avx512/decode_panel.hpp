// SPDX-License-Identifier: Apache-2.0
//
// How do the codes of a panel become floats on AVX-512? Unit by unit, sixteen outputs at a time: a
// line holds the codes of four k in the bytes of each output's 32 bits, so a shift brings those of
// one k down, and what stands above them does not matter to an instruction that looks at few bits.
//
//   <= 4 bits    vpermps of 16 levels, which reads 4 bits of its index. Two and three bits repeat
//                their levels, so that the neighbour's bits in the index choose nothing.
//   5 .. 8 bits  integers: the code put into the mantissa of a power of two, less that power and the
//                middle code; four codes of 32 bits then need one shift
//   minifloats   a[high 4 bits] b[low 4 bits], the product of two tables; another b where the high
//                part of the exponent is 0, because subnormals are no product. Infinity and NaN are
//                looked up, line by line.
//
// A sink takes four vectors at once: take(i, h, v0..v3), where vj holds level - middle of outputs
// 16 h .. 16 h + 15 at k = 4 i + j of the unit.
#pragma once

#include <qtk/core/abi.hpp>
#include <qtk/format/levels.hpp>
#include <qtk/kernel/avx512/operands.hpp>
#include <qtk/kernel/level_constants.hpp>
#include <qtk/kernel/packed_matrix.hpp>
#include <qtk/kernel/target.hpp>

#include <array>
#include <cstddef>
#include <cstdint>

#if QTK_HAS_X86

namespace qtk::avx512 {
inline namespace QTK_ABI_NS {
QTK_AVX512_REGION

/// The constants in registers.
struct level_vectors {
    __m512 low, high, first, middle;
    __m512i mask;  ///< integers: the bits of a field
    level_constants const* constants;

    QTK_ALWAYS_INLINE explicit level_vectors(format const& f) noexcept
        : constants(&stored_constants(f)) {
        low = _mm512_load_ps(constants->low.data());
        high = _mm512_load_ps(constants->high.data());
        first = _mm512_load_ps(constants->first.data());
        mask = _mm512_set1_epi32((f.bits == 7 ? 256 : f.patterns()) - 1);
        middle = _mm512_set1_ps(static_cast<float>(symmetric_zero(f)));
    }
};

/// Down by N bits, or up by -N.
template <int N>
QTK_ALWAYS_INLINE __m512i shifted(__m512i v) noexcept {
    if constexpr (N > 0)
        return _mm512_srli_epi32(v, N);
    else if constexpr (N < 0)
        return _mm512_slli_epi32(v, -N);
    else
        return v;
}
/// The bits of `mask` from a, the others from b.
QTK_ALWAYS_INLINE __m512i bits_from(__m512i mask, __m512i a, __m512i b) noexcept {
    return _mm512_ternarylogic_epi32(mask, a, b, 0xca);
}

/// Operand `low` in the low nibbles of a line, `high` in the high ones.
template <typename Sink>
QTK_ALWAYS_INLINE void take_nibbles(__m512i line, level_vectors const& t, int low, int high, int h,
                                    Sink& sink) noexcept {
    sink.take(low, h, _mm512_permutexvar_ps(line, t.low),
              _mm512_permutexvar_ps(shifted<8>(line), t.low),
              _mm512_permutexvar_ps(shifted<16>(line), t.low),
              _mm512_permutexvar_ps(shifted<24>(line), t.low));
    sink.take(high, h, _mm512_permutexvar_ps(shifted<4>(line), t.low),
              _mm512_permutexvar_ps(shifted<12>(line), t.low),
              _mm512_permutexvar_ps(shifted<20>(line), t.low),
              _mm512_permutexvar_ps(shifted<28>(line), t.low));
}

/// The field at bits B .. of each 32, B + its bits <= 16, less the middle code: put into the mantissa
/// of 2^(23 - B), where it counts as an integer wherever it stands.
template <int B>
QTK_ALWAYS_INLINE __m512 integer_at(__m512i v, level_vectors const& t) noexcept {
    __m512i const mask = B == 0 ? t.mask : _mm512_slli_epi32(t.mask, B);
    __m512i const magic = _mm512_set1_epi32((127 + 23 - B) << 23);
    __m512 const less = _mm512_add_ps(_mm512_castsi512_ps(magic), t.middle);
    __m512i const bits = _mm512_ternarylogic_epi32(v, mask, magic, 0xea);
    return _mm512_sub_ps(_mm512_castsi512_ps(bits), less);
}
template <int J>
QTK_ALWAYS_INLINE __m512 minifloat_byte(__m512i line, level_vectors const& t,
                                        __m512i exponent) noexcept {
    __m512i const low = shifted<8 * J>(line);
    __mmask16 const is_small = _mm512_testn_epi32_mask(low, exponent);
    __m512 b = _mm512_permutexvar_ps(low, t.low);
    b = _mm512_mask_permutexvar_ps(b, is_small, low, t.first);
    return _mm512_mul_ps(b, _mm512_permutexvar_ps(shifted<8 * J + 4>(line), t.high));
}
template <int J>
QTK_ALWAYS_INLINE __m512 looked_up_byte(__m512i line, level_vectors const& t) noexcept {
    // Rare, so not worth a gather.
    alignas(64) std::uint32_t index[16];
    alignas(64) float level[16];
    _mm512_store_si512(index, shifted<8 * J>(line));
    for (int c = 0; c < 16; ++c) level[c] = t.constants->level[index[c] & 255u];
    return _mm512_load_ps(level);
}

/// Operand i in whole bytes; bits above a field may be anything.
template <decoding D, typename Sink>
QTK_ALWAYS_INLINE void take_bytes(__m512i line, level_vectors const& t, int i, int h,
                                  Sink& sink) noexcept {
    if constexpr (D == decoding::minifloat6 || D == decoding::minifloat8) {
        __m512i const exponent = _mm512_set1_epi32(t.constants->exponent_bits);
        if constexpr (D == decoding::minifloat8) {
            __m512i const magnitude = _mm512_and_si512(line, _mm512_set1_epi8(0x7f));
            __m512i const finite = _mm512_set1_epi8(static_cast<char>(t.constants->finite));
            if (_mm512_cmpgt_epi8_mask(magnitude, finite) != 0)
                return sink.take(i, h, looked_up_byte<0>(line, t), looked_up_byte<1>(line, t),
                                 looked_up_byte<2>(line, t), looked_up_byte<3>(line, t));
        }
        sink.take(i, h, minifloat_byte<0>(line, t, exponent), minifloat_byte<1>(line, t, exponent),
                  minifloat_byte<2>(line, t, exponent), minifloat_byte<3>(line, t, exponent));
    } else {
        __m512i const upper = shifted<16>(line);
        sink.take(i, h, integer_at<0>(line, t), integer_at<8>(line, t), integer_at<0>(upper, t),
                  integer_at<8>(upper, t));
    }
}

/// Operand I of 5 or 6 bits: its high part beside its low part.
template <decoding D, int I, typename Sink>
QTK_ALWAYS_INLINE void take_joined(std::uint8_t const* unit, level_vectors const& t, int h,
                                   Sink& sink) noexcept {
    constexpr bit_planes planes{4, D == decoding::five ? 1 : 2};
    __m512i const low = shifted<4 * (I % 2)>(line_at(unit, 2 * (I / 2) + h));
    __m512i const high = line_at(unit, 8 + (planes.high == 2 ? 2 * (I / 4) : 0) + h);
    take_bytes<D>(bits_from(_mm512_set1_epi32(planes.high == 2 ? 0x30303030 : 0x10101010),
                            shifted<high_bit_of(planes, I) - 4>(high), low),
                  t, I, h, sink);
}

/// Three bits: operands I and I + 2 of a line of low parts, in nibbles.
template <int I, typename Sink>
QTK_ALWAYS_INLINE void take_pair(__m512i low, __m512i high, level_vectors const& t, int h,
                                 Sink& sink) noexcept {
    constexpr int up = high_bit_of({2, 1}, I) - 2;
    static_assert(high_bit_of({2, 1}, I + 2) - 6 == up);
    __m512i const line =
        bits_from(_mm512_set1_epi32(0x44444444), shifted<up>(high), shifted<2 * (I % 4)>(low));
    take_nibbles(line, t, I, I + 2, h, sink);
}

/// Every level of a unit, less the middle one, to the sink.
template <decoding D, typename Sink>
QTK_ALWAYS_INLINE void take_unit(std::uint8_t const* unit, level_vectors const& t,
                                 Sink& sink) noexcept {
    QTK_UNROLL
    for (int h = 0; h < 2; ++h) {
        if constexpr (D == decoding::two) {
            QTK_UNROLL
            for (int q = 0; q < 2; ++q) {
                __m512i const line = line_at(unit, 2 * q + h);
                take_nibbles(line, t, 4 * q, 4 * q + 2, h, sink);
                take_nibbles(shifted<2>(line), t, 4 * q + 1, 4 * q + 3, h, sink);
            }
        } else if constexpr (D == decoding::three) {
            __m512i const high = line_at(unit, 4 + h);
            take_pair<0>(line_at(unit, h), high, t, h, sink);
            take_pair<1>(line_at(unit, h), high, t, h, sink);
            take_pair<4>(line_at(unit, 2 + h), high, t, h, sink);
            take_pair<5>(line_at(unit, 2 + h), high, t, h, sink);
        } else if constexpr (D == decoding::four) {
            QTK_UNROLL
            for (int q = 0; q < 4; ++q)
                take_nibbles(line_at(unit, 2 * q + h), t, 2 * q, 2 * q + 1, h, sink);
        } else if constexpr (D == decoding::eight || D == decoding::minifloat8) {
            QTK_UNROLL
            for (int i = 0; i < 8; ++i) take_bytes<D>(line_at(unit, 2 * i + h), t, i, h, sink);
        } else {
            take_joined<D, 0>(unit, t, h, sink);
            take_joined<D, 1>(unit, t, h, sink);
            take_joined<D, 2>(unit, t, h, sink);
            take_joined<D, 3>(unit, t, h, sink);
            take_joined<D, 4>(unit, t, h, sink);
            take_joined<D, 5>(unit, t, h, sink);
            take_joined<D, 6>(unit, t, h, sink);
            take_joined<D, 7>(unit, t, h, sink);
        }
    }
}

/// A block's scales, and the middle code less the zero of each output.
struct header_vectors {
    __m512 scale[2], offset[2];

    QTK_ALWAYS_INLINE header_vectors(packed_view const& w, std::uint8_t const* block) noexcept {
        std::size_t const bytes = scale_bytes(w.layout.scale);
        __m512 const all = _mm512_set1_ps(w.tensor_scale);
        auto const middle = _mm512_set1_ps(static_cast<float>(symmetric_zero(w.element)));
        for (std::size_t h = 0; h < 2; ++h) {
            std::uint8_t const* const at = block + 16 * h * bytes;
            if (bytes == 4) {
                scale[h] = _mm512_loadu_ps(at);
            } else {
                __m256i const half = _mm256_loadu_si256(reinterpret_cast<__m256i const*>(at));
                scale[h] =
                    w.layout.scale == scale_type::f16
                        ? _mm512_cvtph_ps(half)
                        : _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
            }
            scale[h] = _mm512_mul_ps(scale[h], all);
            offset[h] = _mm512_setzero_ps();
            if (w.layout.has_zero) {
                __m128i const zero = _mm_loadu_si128(
                    reinterpret_cast<__m128i const*>(block + panel_columns * bytes + 16 * h));
                offset[h] = _mm512_sub_ps(middle, _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(zero)));
            }
        }
    }
};

/// Writes (level - zero) scale to [k][32]: the decoded weights, exactly as decoding rounds them.
struct float_sink {
    float* to;
    header_vectors const& header;

    QTK_ALWAYS_INLINE void put(int k, int h, __m512 v) const noexcept {
        _mm512_store_ps(to + k * 32 + 16 * h,
                        _mm512_mul_ps(_mm512_add_ps(v, header.offset[h]), header.scale[h]));
    }
    QTK_ALWAYS_INLINE void take(int i, int h, __m512 a, __m512 b, __m512 c,
                                __m512 d) const noexcept {
        put(4 * i, h, a);
        put(4 * i + 1, h, b);
        put(4 * i + 2, h, c);
        put(4 * i + 3, h, d);
    }
};

/// Decodes `count` units of a panel, from unit `first` on its filled-up axis on, to [32 count][32].
template <decoding D>
void decode_units(packed_view const& w, std::size_t panel, std::size_t first, std::size_t count,
                  float* to) noexcept {
    level_vectors const t(w.element);
    packed_layout const& layout = w.layout;
    constexpr std::size_t ahead = 1024;  // bytes; more leaves the cache before it is used
    std::size_t const end = first + count;
    while (first < end) {
        std::size_t const g = first / layout.group_units, within = first % layout.group_units;
        std::size_t const here =
            within + (end - first) < layout.units_of(g) ? end - first : layout.units_of(g) - within;
        std::uint8_t const* const block = w.block(panel, g);
        header_vectors const header(w, block);
        std::uint8_t const* unit = block + layout.header_bytes + within * layout.unit_bytes;
        for (std::size_t u = 0; u < here; ++u, unit += layout.unit_bytes) {
            for (std::size_t at = 0; at < layout.unit_bytes; at += cache_line)
                _mm_prefetch(reinterpret_cast<char const*>(unit + ahead + at), _MM_HINT_T0);
            float_sink sink{to, header};
            take_unit<D>(unit, t, sink);
            to += unit_depth * panel_columns;
        }
        first += here;
    }
}

using unit_decoder = void (*)(packed_view const&, std::size_t, std::size_t, std::size_t,
                              float*) noexcept;
[[nodiscard]] inline unit_decoder unit_decoder_of(format const& f) noexcept {
    constexpr std::array<unit_decoder, 8> all{
        decode_units<decoding::two>,        decode_units<decoding::three>,
        decode_units<decoding::four>,       decode_units<decoding::five>,
        decode_units<decoding::six>,        decode_units<decoding::eight>,
        decode_units<decoding::minifloat6>, decode_units<decoding::minifloat8>};
    return all[static_cast<std::size_t>(decoding_of(f))];
}

QTK_REGION_END
}  // namespace QTK_ABI_NS
}  // namespace qtk::avx512

#endif
