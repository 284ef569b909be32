// SPDX-License-Identifier: Apache-2.0
//
// How are rows of bf16 multiplied with packed weights on tiles? A chunk of a panel is decoded once
// for all rows of a block: (level - z) w as a float, rounded to bf16, two k beside each other as the
// second factor of a tile product wants them. Sums stay floats in tiles for a chunk. Rows of X are
// rounded once.
//
// The instruction takes numbers below 2^-126 as zero, and so does the conversion.
#pragma once

#include <qtk/core/abi.hpp>
#include <qtk/format/levels.hpp>
#include <qtk/kernel/aligned_bytes.hpp>
#include <qtk/kernel/amx/tile.hpp>
#include <qtk/kernel/avx512/block_header.hpp>
#include <qtk/kernel/avx512/operands.hpp>
#include <qtk/kernel/avx512/product_int8.hpp>
#include <qtk/kernel/epilogue.hpp>
#include <qtk/kernel/product_scalar.hpp>
#include <qtk/kernel/target.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

#if QTK_HAS_X86

namespace qtk::amx {
inline namespace QTK_ABI_NS {

/// Scratch of a part.
struct bf16_scratch {
    static constexpr std::size_t most_rows = 128;    ///< whose bf16 stay in the second-level cache
    static constexpr std::size_t units = 12;         ///< of a chunk: 24 KiB beside 16 KiB of sums
    static constexpr std::size_t unit_bytes = 2048;  ///< of decoded weights; [half][16][16][2]
    static constexpr std::size_t tile = 1024;        ///< [16 rows][32 k]

    std::uint8_t* weights = nullptr;  // [unit][half][k / 2][16][2]
    std::uint8_t* x = nullptr;        // [row tile][unit][16][32]
    float* c = nullptr;               // [row][32]

    struct purpose;
    bf16_scratch(std::size_t rows, std::size_t depth_units) {
        std::size_t const row_tiles = (rows + 15) / 16, weight_bytes = units * unit_bytes;
        std::size_t const x_bytes = row_tiles * depth_units * tile;
        std::uint8_t* const base =
            thread_scratch<purpose>(weight_bytes + x_bytes + row_tiles * 2048 + 512);
        weights = base;
        c = reinterpret_cast<float*>(base + weight_bytes + 512);
        x = base + weight_bytes + 512 + row_tiles * 2048;
    }
};

/// What turns the bytes of fields into floats.
struct level_source {
    bool is_integer = true;
    int middle = 0;  ///< the zero field of symmetric schemes
    alignas(64) std::array<float, 256> level{};

    explicit level_source(format const& f) noexcept
        : is_integer(f.is_integer()), middle(symmetric_zero(f)) {
        if (!is_integer) level = levels_of(f);
    }
};

QTK_AMX_REGION

/// Two floats for each of 16 outputs to pairs of bf16, the first one in front.
QTK_ALWAYS_INLINE __m512i paired(__m512 first, __m512 second) {
    __m512i const order =
        _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6,
                         21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    return _mm512_permutexvar_epi16(
        order, __builtin_bit_cast(__m512i, _mm512_cvtne2ps_pbh(second, first)));
}

/// Byte J of each group of four as an integer.
template <int J>
QTK_ALWAYS_INLINE __m512i byte_of(__m512i v) {
    if constexpr (J == 0) return _mm512_and_si512(v, _mm512_set1_epi32(0xff));
    if constexpr (J == 3) return _mm512_srli_epi32(v, 24);
    return _mm512_and_si512(_mm512_srli_epi32(v, 8 * J), _mm512_set1_epi32(0xff));
}

/// Integers are converted; up to 16 levels lie in a register; more are fetched from memory.
enum class level_kind { integer, sixteen, many };

template <level_kind Kind, int J>
QTK_ALWAYS_INLINE __m512 weights_of(__m512i fields, __m512i zero, __m512 levels, float const* table,
                                    __m512 scale) {
    __m512i const field = byte_of<J>(fields);
    if constexpr (Kind == level_kind::integer)
        return _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_sub_epi32(field, zero)), scale);
    else if constexpr (Kind == level_kind::sixteen)
        return _mm512_mul_ps(_mm512_permutexvar_ps(field, levels), scale);
    else
// Without optimization the intrinsic is a macro whose own mask has the wrong sign.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wsign-conversion"
        return _mm512_mul_ps(_mm512_i32gather_ps(field, table, 4), scale);
#pragma GCC diagnostic pop
}

/// Fields of a unit [half][8][64] to pairs [half][16][16][2].
template <level_kind Kind>
inline void decode_unit(std::uint8_t const* fields, float const* scales, std::int32_t const* zeros,
                        level_source const& source, std::uint8_t* to) noexcept {
    __m512 const levels = _mm512_load_ps(source.level.data());
    float const* const table = source.level.data();
    for (std::size_t h = 0; h < 2; ++h) {
        __m512 const scale = _mm512_load_ps(scales + 16 * h);
        __m512i const zero = _mm512_load_si512(zeros + 16 * h);
        for (std::size_t i = 0; i < 8; ++i, fields += 64, to += 128) {
            __m512i const v = _mm512_load_si512(fields);
            _mm512_store_si512(to, paired(weights_of<Kind, 0>(v, zero, levels, table, scale),
                                          weights_of<Kind, 1>(v, zero, levels, table, scale)));
            _mm512_store_si512(to + 64, paired(weights_of<Kind, 2>(v, zero, levels, table, scale),
                                               weights_of<Kind, 3>(v, zero, levels, table, scale)));
        }
    }
}

/// The fields of a unit as bytes.
inline void unpack_fields(int bits, std::uint8_t const* unit, std::uint8_t* to) noexcept {
    __m512i const none = _mm512_setzero_si512();
    switch (bits) {
        case 2:
            return avx512::unpack_unit<2>(unit, none, to, to + 512);
        case 3:
            return avx512::unpack_unit<3>(unit, none, to, to + 512);
        case 4:
            return avx512::unpack_unit<4>(unit, none, to, to + 512);
        case 5:
            return avx512::unpack_unit<5>(unit, none, to, to + 512);
        case 6:
            return avx512::unpack_unit<6>(unit, none, to, to + 512);
        default:
            return avx512::unpack_unit<8>(unit, none, to, to + 512);
    }
}

/// A walk over the units of a panel.
struct unit_walk {
    packed_view const* w = nullptr;
    std::size_t panel = 0, block = 0, unit = 0;
    alignas(64) float scales[panel_columns];
    alignas(64) std::int32_t zeros[panel_columns];
};

/// Decodes the next `count` units.
inline void decode_units(unit_walk& at, level_source const& source, std::size_t count,
                         std::uint8_t* to) noexcept {
    packed_layout const& w = at.w->layout;
    alignas(64) std::uint8_t fields[1024];
    for (; count > 0; --count, to += bf16_scratch::unit_bytes) {
        std::uint8_t const* const block = at.w->block(at.panel, at.block);
        if (at.unit == 0)
            for (std::size_t c = 0; c < panel_columns; c += 16) {
                __m512 const scale = avx512::load_scales(w.scale, block, c == 0 ? 0 : 1);
                _mm512_store_ps(at.scales + c,
                                _mm512_mul_ps(scale, _mm512_set1_ps(at.w->tensor_scale)));
                __m128i const stored = _mm_loadu_si128(reinterpret_cast<__m128i const*>(
                    block + w.header_bytes - (w.has_zero ? cache_line : panel_columns) + c));
                _mm512_store_si512(at.zeros + c, w.has_zero ? _mm512_cvtepu8_epi32(stored)
                                                            : _mm512_set1_epi32(source.middle));
            }
        std::uint8_t const* const unit = block + w.header_bytes + at.unit * w.unit_bytes;
        for (std::size_t line = 0; line < w.unit_bytes; line += cache_line)
            _mm_prefetch(reinterpret_cast<char const*>(unit + 4096 + line), _MM_HINT_T0);
        unpack_fields(w.planes.low + w.planes.high, unit, fields);
        if (source.is_integer)
            decode_unit<level_kind::integer>(fields, at.scales, at.zeros, source, to);
        else if (w.planes.low == 4 && w.planes.high == 0)
            decode_unit<level_kind::sixteen>(fields, at.scales, at.zeros, source, to);
        else
            decode_unit<level_kind::many>(fields, at.scales, at.zeros, source, to);
        if (++at.unit == w.units_of(at.block)) at.unit = 0, ++at.block;
    }
}

/// Rows of floats, `units` units long, to tiles; rows up to a multiple of 16 become zero.
inline void round_rows(float_rows const& x, std::size_t row, std::size_t rows, std::size_t units,
                       std::uint8_t* to) noexcept {
    for (std::size_t r = 0; r < (rows + 15) / 16 * 16; ++r) {
        std::uint8_t* tile = to + r / 16 * units * bf16_scratch::tile + r % 16 * 64;
        float const* from = x.data + (row + (r < rows ? r : 0)) * x.stride;
        for (std::size_t u = 0; u < units; ++u, from += 32, tile += bf16_scratch::tile) {
            __m512i pairs = _mm512_setzero_si512();
            if (r < rows)
                pairs = __builtin_bit_cast(__m512i, _mm512_cvtne2ps_pbh(_mm512_loadu_ps(from + 16),
                                                                        _mm512_loadu_ps(from)));
            _mm512_store_si512(tile, pairs);
        }
    }
}

/// c [16 or 32][32] = or += a chunk of `units` units; row tiles of x are `row_tile` bytes apart.
template <int Tiles>
inline void multiply_chunk(std::uint8_t const* x, std::size_t row_tile, std::uint8_t const* w,
                           std::size_t units, bool is_first, float* c) noexcept {
    constexpr std::size_t stride = panel_columns * sizeof(float);
    if (is_first) {
        QTK_TILE_ZERO(0);
        QTK_TILE_ZERO(1);
        if constexpr (Tiles == 2) {
            QTK_TILE_ZERO(2);
            QTK_TILE_ZERO(3);
        }
    } else {
        QTK_TILE_LOAD(0, c, stride);
        QTK_TILE_LOAD(1, c + 16, stride);
        if constexpr (Tiles == 2) {
            QTK_TILE_LOAD(2, c + 512, stride);
            QTK_TILE_LOAD(3, c + 528, stride);
        }
    }
    for (; units > 0; --units, x += bf16_scratch::tile, w += bf16_scratch::unit_bytes) {
        QTK_TILE_LOAD_ONCE(4, x, 64);
        QTK_TILE_LOAD(6, w, 64);
        QTK_TILE_DOT_BF16(0, 4, 6);
        QTK_TILE_LOAD(7, w + 1024, 64);
        QTK_TILE_DOT_BF16(1, 4, 7);
        if constexpr (Tiles == 2) {
            QTK_TILE_LOAD_ONCE(5, x + row_tile, 64);
            QTK_TILE_DOT_BF16(2, 5, 6);
            QTK_TILE_DOT_BF16(3, 5, 7);
        }
    }
    QTK_TILE_STORE(0, c, stride);
    QTK_TILE_STORE(1, c + 16, stride);
    if constexpr (Tiles == 2) {
        QTK_TILE_STORE(2, c + 512, stride);
        QTK_TILE_STORE(3, c + 528, stride);
    }
}

/// Rows of floats along the filled-up axis, rounded to bf16, times packed weights, rounded too.
inline void product_bf16(packed_view const& w, float_rows const& x, product_part const& part,
                         output_rows const& y) {
    std::size_t const all = part.row_end - part.row, units = w.layout.depth() / unit_depth;
    constexpr std::size_t most = bf16_scratch::most_rows;
    bf16_scratch const scratch(all < most ? all : most, units);
    level_source const source(w.element);
    std::size_t const row_tile = units * bf16_scratch::tile;
    tile_session const session;
    for (std::size_t row = part.row; row < part.row_end; row += most) {
        std::size_t const left = part.row_end - row, rows = left < most ? left : most;
        round_rows(x, row, rows, units, scratch.x);
        std::size_t const tiles = (rows + 15) / 16;
        if (units == 0) std::memset(scratch.c, 0, tiles * 2048);
        for (std::size_t p = part.panel; p < part.panel_end; ++p) {
            unit_walk at{&w, p, 0, 0, {}, {}};
            for (std::size_t u = 0; u < units; u += bf16_scratch::units) {
                std::size_t const count =
                    units - u < bf16_scratch::units ? units - u : bf16_scratch::units;
                decode_units(at, source, count, scratch.weights);
                for (std::size_t t = 0; t < tiles; t += 2) {
                    std::uint8_t const* const of_rows =
                        scratch.x + t * row_tile + u * bf16_scratch::tile;
                    float* const c = scratch.c + 512 * t;
                    if (t + 1 < tiles)
                        multiply_chunk<2>(of_rows, row_tile, scratch.weights, count, u == 0, c);
                    else
                        multiply_chunk<1>(of_rows, row_tile, scratch.weights, count, u == 0, c);
                }
            }
            avx512::write_sums(scratch.c, rows, row, p, y);
        }
    }
    _mm_sfence();
}

QTK_REGION_END

}  // namespace QTK_ABI_NS
}  // namespace qtk::amx

#endif
