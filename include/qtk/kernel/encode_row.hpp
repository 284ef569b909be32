// SPDX-License-Identifier: Apache-2.0
//
// How does a row of floats become packed codes in one pass over memory? A block of it at a time,
// small enough to stay in the first-level cache: extremes of its tiles, scales, fields, bits. The
// same block, decoded again, is fake quantization. Whatever is not plain (NaN, infinity, a scale
// that its type cannot hold) is reported, not handled.
#pragma once

#include <qtk/core/abi.hpp>
#include <qtk/kernel/decode.hpp>
#include <qtk/kernel/encode.hpp>
#include <qtk/kernel/measure.hpp>
#include <qtk/kernel/pack.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numeric>
#include <span>

namespace qtk {

namespace detail {

/// Values of a row that can be taken together: whole tiles and, once packed, whole bytes; about
/// encode_block_values of them where tiles allow. Never more than encode_block_values tiles.
[[nodiscard]] inline std::size_t tiles_at_once(std::size_t tile, std::size_t cols) noexcept {
    if (tile >= cols) return cols;
    std::size_t const unit = std::lcm(tile, std::size_t{8});
    std::size_t const block = unit < encode_block_values ? encode_block_values / unit * unit : unit;
    return std::min(block, cols);
}

}  // namespace detail

inline namespace QTK_ABI_NS {

/// Packs the fields of x, a row or a piece of one that starts on a whole byte. p are the tiles of
/// the row, `left` the column of x[0], `is_bounded` as for encode_tiles.
template <quantizer Q>
void encode_row(instruction_set set, Q const& q, tile_params const* p, std::span<float const> x,
                std::size_t left, std::size_t tile, bool is_bounded, dither_source dither,
                std::uint8_t* codes) noexcept {
    if constexpr (detail::has_encoder<Q>)
        if (q.element.bits == 4 && set >= instruction_set::avx2 && tile % 2 == 0)
            return encode_tiles(set, q, p, x, left, tile, is_bounded, true, dither, codes);
    alignas(64) std::uint8_t fields[encode_block_values];
    for (std::size_t i = 0; i < x.size(); i += encode_block_values) {
        std::size_t const n = std::min(x.size() - i, encode_block_values);
        encode_tiles(set, q, p, x.subspan(i, n), left + i, tile, is_bounded, false, dither.from(i),
                     fields);
        qtk::pack_fields(
            set, {fields, n}, q.element.bits,
            {codes + packed_bytes(i, q.element.bits), packed_bytes(n, q.element.bits)});
    }
}

/// Fits the tiles of x by their extremes. False if a value or a scale is not finite.
template <quantizer Q>
[[nodiscard]] bool fit_extremes(instruction_set set, Q const& q, std::span<float const> x,
                                std::size_t tile, tile_params* p) noexcept {
    extremes range[encode_block_values];
    if (!measure_tiles(set, x, tile, q.has_zero_point, range)) return false;
    bool is_sound = true;
    std::size_t const tiles = x.empty() ? 0 : (x.size() - 1) / tile + 1;
    for (std::size_t j = 0; j < tiles; ++j) {
        p[j] = q.fit({range[j].lowest, range[j].highest});
        is_sound &= p[j].scale <= std::numeric_limits<float>::max();
    }
    return is_sound;
}

/// Extremes, scales and packed codes of one row of tiles of height one; p has room for its tiles.
/// False, with the row half done, if a value or a scale is not finite.
template <quantizer Q>
[[nodiscard]] bool quantize_row(instruction_set set, Q const& q, std::span<float const> x,
                                std::size_t tile, dither_source dither, tile_params* p,
                                std::uint8_t* codes) noexcept {
    std::size_t const block = detail::tiles_at_once(tile, x.size());
    for (std::size_t left = 0; left < x.size(); left += block) {
        std::span<float const> const some = x.subspan(left, std::min(block, x.size() - left));
        if (!fit_extremes(set, q, some, tile, p + left / tile)) return false;
        encode_row(set, q, p, some, left, tile, true, dither.from(left),
                   codes + packed_bytes(left, q.element.bits));
    }
    return true;
}

/// What quantize_row leaves of the values, without packing: decoded to `out`, around the caches if
/// `is_large` (then stream_fence() has to follow). False as quantize_row.
template <quantizer Q>
[[nodiscard]] bool fake_quantize_row(instruction_set set, Q const& q, level_rule const& rule,
                                     std::span<float const> x, std::size_t tile,
                                     dither_source dither, bool is_large, tile_params* p,
                                     float* out) noexcept {
    std::size_t const block = detail::tiles_at_once(tile, x.size());
    alignas(64) std::uint8_t fields[encode_block_values];
    alignas(64) float values[encode_block_values];
    for (std::size_t left = 0; left < x.size(); left += block) {
        std::span<float const> const some = x.subspan(left, std::min(block, x.size() - left));
        if (!fit_extremes(set, q, some, tile, p + left / tile)) return false;
        for (std::size_t i = left; i < left + some.size(); i += encode_block_values) {
            std::size_t const n = std::min(left + some.size() - i, encode_block_values);
            encode_tiles(set, q, p, x.subspan(i, n), i, tile, true, false, dither.from(i), fields);
            decode_tiles(set, rule, p, {fields, n}, i, tile, is_large ? values : out + i);
            if (is_large) stream_floats(out + i, values, n);
        }
    }
    return true;
}

}  // namespace QTK_ABI_NS
}  // namespace qtk
