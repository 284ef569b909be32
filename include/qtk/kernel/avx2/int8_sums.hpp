// SPDX-License-Identifier: Apache-2.0
//
// What does the int8 product of AVX2 do most of the time? Sums of a segment: R rows of activations
// times a group of outputs, whose factors come from the stream or lie unpacked in a chunk. vpmaddubsw
// multiplies; its results are added in 16 bits as long as they fit, so that widening costs little.
#pragma once

#include <qtk/core/abi.hpp>
#include <qtk/kernel/avx2/block_params.hpp>
#include <qtk/kernel/avx2/operands.hpp>
#include <qtk/kernel/quantized_rows.hpp>
#include <qtk/kernel/target.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>

#if QTK_HAS_X86

namespace qtk::avx2 {
inline namespace QTK_ABI_NS {

inline constexpr std::size_t chunk_units = 16;     ///< what is unpacked at once
inline constexpr std::size_t tile_height = 4;      ///< rows that share the loads of factors
inline constexpr std::size_t unpacked_unit = 512;  ///< bytes of a group

/// Rows of activations that lie beside each other in their tile.
struct row_tile {
    std::int8_t const* codes = nullptr;
    float const* scales = nullptr;
    std::int32_t const* sums = nullptr;
    std::size_t unit_stride = 0, step = 0;  // of a pair of units, of a segment
    bool has_scales = false;

    row_tile(quantized_rows const& x, std::size_t row) noexcept
        : codes(x.code(row, 0)),
          scales(x.has_row_scales() ? nullptr : x.scales + x.at(row, 0)),
          sums(x.sums + x.at(row, 0)),
          unit_stride(x.tile_rows * tile_depth),
          step(x.tile_rows),
          has_scales(!x.has_row_scales()) {}
    [[nodiscard]] std::int8_t const* unit(std::size_t u) const noexcept {
        return codes + u / 2 * unit_stride + u % 2 * unit_depth;
    }
    [[nodiscard]] std::int32_t sum(std::size_t segment, std::size_t r) const noexcept {
        return sums[segment * step + r];
    }
    [[nodiscard]] float scale(std::size_t segment, std::size_t r) const noexcept {
        return has_scales ? scales[segment * step + r] : 1.0f;
    }
};

/// Units of a segment that lie in one chunk.
struct segment_piece {
    std::size_t first = 0, count = 0;   // in the chunk
    std::size_t unit = 0, segment = 0;  // on the axis of the activations
    bool begins = false, ends = false;
};

/// Unpacked factors, [group][unit][operand][2][32], and what belongs to their segments.
struct int8_chunk {
    alignas(64) std::uint8_t factors[4 * chunk_units * unpacked_unit];
    block_params params[chunk_units];
    segment_piece pieces[chunk_units];
    std::size_t count = 0, units = 0;
    int bias = 0;
};

/// A row block on its way: results c [rows][32], and sums of segments that the next chunk goes on
/// with.
struct int8_results {
    float* c = nullptr;
    std::int32_t* open = nullptr;
};

/// A segment in the stream.
struct stream_segment {
    std::uint8_t const* data = nullptr;
    std::size_t count = 0, unit_bytes = 0;  // units
    std::size_t unit = 0, segment = 0;      // on the axis of the activations
    block_params const* params = nullptr;
};

QTK_AVX2_REGION

[[nodiscard]] QTK_ALWAYS_INLINE __m256i load_ints(std::int32_t const* p) noexcept {
    return _mm256_loadu_si256(reinterpret_cast<__m256i const*>(p));
}
[[nodiscard]] QTK_ALWAYS_INLINE __m256i four_codes(std::int8_t const* x) noexcept {
    int bytes = 0;
    std::memcpy(&bytes, x, 4);
    return _mm256_set1_epi32(bytes);
}

/// c += the sum of a segment, 8 outputs of row r: the roundings of product_scalar.hpp.
QTK_ALWAYS_INLINE void scale_sum(float* c, __m256i sum, block_params const& p, std::size_t column,
                                 row_tile const& x, std::size_t segment, std::size_t r) noexcept {
    __m256 const w = _mm256_load_ps(p.scale + column), a = _mm256_set1_ps(x.scale(segment, r));
    __m256 y = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum), _mm256_mul_ps(w, a), _mm256_loadu_ps(c));
    if (p.has_zero) {
        __m256 const away =
            _mm256_sub_ps(_mm256_set1_ps(p.middle), _mm256_load_ps(p.zero + column));
        __m256 const all = _mm256_set1_ps(static_cast<float>(x.sum(segment, r)));
        y = _mm256_fmadd_ps(_mm256_mul_ps(w, away), _mm256_mul_ps(a, all), y);
    }
    _mm256_storeu_ps(c, y);
}

/// Sums stay in their registers: without this, g++ keeps all products and adds them as a tree.
QTK_ALWAYS_INLINE void pin(__m256i& v) noexcept {
    __asm__("" : "+x"(v));
}

/// sum[r] = operands I to End - 1 of a unit times the codes of R rows, in 16 bits.
template <typename Factors, std::size_t R, int I, int End, typename Source>
QTK_ALWAYS_INLINE void multiply(Source const& w, std::uint8_t const* group, std::int8_t const* x,
                                __m256i (&sum)[R][2]) noexcept {
    __m256i a, b;
    w.template get<I>(group, a, b);
    QTK_UNROLL
    for (std::size_t r = 0; r < R; ++r) {
        __m256i const codes = four_codes(x + tile_depth * r + 4 * I);
        __m256i const p = _mm256_maddubs_epi16(a, codes), q = _mm256_maddubs_epi16(b, codes);
        constexpr bool is_first = I % Factors::addends == 0;
        sum[r][0] = is_first ? p : _mm256_add_epi16(sum[r][0], p);
        sum[r][1] = is_first ? q : _mm256_add_epi16(sum[r][1], q);
        pin(sum[r][0]), pin(sum[r][1]);
    }
    if constexpr (I + 1 < End) multiply<Factors, R, I + 1, End>(w, group, x, sum);
}

/// total += a unit from operand I on. Split factors use total[r][0] alone.
template <typename Factors, std::size_t R, int I = 0, typename Source>
QTK_ALWAYS_INLINE void add_unit(Source const& w, std::uint8_t const* group, std::int8_t const* x,
                                __m256i (&total)[R][2]) noexcept {
    __m256i const one = _mm256_set1_epi16(1), sixteen = _mm256_set1_epi16(16);
    __m256i sum[R][2];
    multiply<Factors, R, I, I + Factors::addends>(w, group, x, sum);
    QTK_UNROLL
    for (std::size_t r = 0; r < R; ++r) {
        __m256i const p = _mm256_madd_epi16(sum[r][0], one);
        __m256i const q = _mm256_madd_epi16(sum[r][1], Factors::is_split ? sixteen : one);
        total[r][0] = _mm256_add_epi32(total[r][0], p);
        std::size_t const second = Factors::is_split ? 0 : 1;
        total[r][second] = _mm256_add_epi32(total[r][second], q);
    }
    if constexpr (I + Factors::addends < 8)
        add_unit<Factors, R, I + Factors::addends>(w, group, x, total);
}

/// Factors that lie unpacked.
struct unpacked_factors {
    template <int I>
    QTK_ALWAYS_INLINE void get(std::uint8_t const* unit, __m256i& a, __m256i& b) const noexcept {
        a = load(unit + 64 * I);
        b = load(unit + 64 * I + quarter_bytes);
    }
};

/// Sums of a segment before its first unit: the bias of the fields comes off.
template <std::size_t R>
QTK_ALWAYS_INLINE void begin_sums(row_tile const& x, std::size_t segment, int bias,
                                  __m256i (&total)[R][2]) noexcept {
    QTK_UNROLL
    for (std::size_t r = 0; r < R; ++r)
        total[r][0] = total[r][1] = _mm256_set1_epi32(-bias * x.sum(segment, r));
}
/// The sums that the last chunk left, or that the next one goes on with.
template <std::size_t R, std::size_t Vectors>
QTK_ALWAYS_INLINE void load_sums(std::int32_t const* from, __m256i (&total)[R][2]) noexcept {
    QTK_UNROLL
    for (std::size_t i = 0; i < R * Vectors; ++i)
        total[i / Vectors][i % Vectors] =
            load_ints(from + i / Vectors * panel_columns + i % Vectors * 8);
}
template <std::size_t R, std::size_t Vectors>
QTK_ALWAYS_INLINE void store_sums(std::int32_t* to, __m256i const (&total)[R][2]) noexcept {
    QTK_UNROLL
    for (std::size_t i = 0; i < R * Vectors; ++i)
        _mm256_storeu_si256(
            reinterpret_cast<__m256i*>(to + i / Vectors * panel_columns + i % Vectors * 8),
            total[i / Vectors][i % Vectors]);
}
/// c [R][32] += the sums of a whole segment.
template <std::size_t R, std::size_t Vectors>
QTK_ALWAYS_INLINE void end_sums(float* c, __m256i const (&total)[R][2], block_params const& p,
                                std::size_t column, row_tile const& x,
                                std::size_t segment) noexcept {
    QTK_UNROLL
    for (std::size_t i = 0; i < R * Vectors; ++i) {
        std::size_t const r = i / Vectors, v = i % Vectors;
        scale_sum(c + panel_columns * r + 8 * v, total[r][v], p, column + 8 * v, x, segment, r);
    }
}

/// Sums of a piece of a chunk before its first unit: from the segment's start or the last chunk.
template <std::size_t R, std::size_t Vectors>
QTK_ALWAYS_INLINE void begin_piece(int8_chunk const& chunk, segment_piece const& piece,
                                   std::size_t column, row_tile const& x, int8_results const& to,
                                   __m256i (&total)[R][2]) noexcept {
    if (piece.begins)
        begin_sums(x, piece.segment, chunk.bias, total);
    else
        load_sums<R, Vectors>(to.open + column, total);
}
/// And after its last one: to the results, or left for the next chunk.
template <std::size_t R, std::size_t Vectors>
QTK_ALWAYS_INLINE void end_piece(block_params const& p, segment_piece const& piece,
                                 std::size_t column, row_tile const& x, int8_results const& to,
                                 __m256i const (&total)[R][2]) noexcept {
    if (piece.ends)
        end_sums<R, Vectors>(to.c + column, total, p, column, x, piece.segment);
    else
        store_sums<R, Vectors>(to.open + column, total);
}

/// The loops with vpmaddubsw; AVX-VNNI has its own (int8_vnni.hpp).
struct maddubs {
    using byte_factors = split_factors<false>;
    using byte_table = split_factors<true>;

    /// All pieces of a chunk times 4 rows: one group of outputs.
    template <typename Factors>
    static void multiply_chunk(int8_chunk const& chunk, std::size_t group, row_tile const& x,
                               int8_results const& to) noexcept {
        constexpr std::size_t R = tile_height, vectors = Factors::is_split ? 1 : 2;
        std::uint8_t const* const factors = chunk.factors + group * chunk_units * unpacked_unit;
        std::size_t const column = group * (panel_columns / Factors::groups);
        for (std::size_t i = 0; i < chunk.count; ++i) {
            segment_piece const& piece = chunk.pieces[i];
            __m256i total[R][2];
            begin_piece<R, vectors>(chunk, piece, column, x, to, total);
            std::uint8_t const* unit = factors + unpacked_unit * piece.first;
            for (std::size_t u = 0; u < piece.count; ++u, unit += unpacked_unit)
                add_unit<Factors, R>(unpacked_factors{}, unit, x.unit(piece.unit + u), total);
            end_piece<R, vectors>(chunk.params[i], piece, column, x, to, total);
        }
    }

    /// c [R][32] += a segment of `count` units of the stream times R rows.
    template <typename Factors, std::size_t R>
    static void multiply_stream(Factors const& factors, stream_segment const& s, row_tile const& x,
                                float* c) noexcept {
        constexpr std::size_t vectors = Factors::is_split ? 1 : 2, groups = Factors::groups;
        __m256i total[groups][R][2];
        for (std::size_t h = 0; h < groups; ++h) begin_sums(x, s.segment, factors.bias, total[h]);
        std::uint8_t const* unit = s.data;
        for (std::size_t u = 0; u < s.count; ++u, unit += s.unit_bytes) {
            for (std::size_t i = 0; i < s.unit_bytes; i += cache_line)
                _mm_prefetch(reinterpret_cast<char const*>(unit + 1024 + i), _MM_HINT_T0);
            for (std::size_t h = 0; h < groups; ++h)
                add_unit<Factors, R>(factors, unit + h * Factors::group_bytes, x.unit(s.unit + u),
                                     total[h]);
        }
        for (std::size_t h = 0; h < groups; ++h) {
            std::size_t const column = h * (panel_columns / groups);
            end_sums<R, vectors>(c + column, total[h], *s.params, column, x, s.segment);
        }
    }
};

QTK_REGION_END

}  // namespace QTK_ABI_NS
}  // namespace qtk::avx2

#endif
