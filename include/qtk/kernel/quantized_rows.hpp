// SPDX-License-Identifier: Apache-2.0
//
// How do activations become int8 on the fly? Row by row x [m, k] is cut into segments, each with
// one scale and the sum of its codes (which folds zero points and biases of weights away):
//
//   scale = max|x| / 127, 1 for zeros;  code = round_half_even(x / scale);  that is quantize<i8>
//
// The scale is shared by a segment, by a whole row, or given beforehand for all rows. A scale is NaN
// where an infinity or NaN was seen: the products are NaN then, nothing looks healthy that is not.
//
// Codes lie in tiles of `tile_rows` rows x 64 k, so that a kernel reads one stream and rows do not
// fall on each other in the cache; along k as packed_layout says, filled up with zeros.
#pragma once

#include <qtk/core/abi.hpp>
#include <qtk/core/nonfinite.hpp>
#include <qtk/format/half.hpp>
#include <qtk/format/round.hpp>
#include <qtk/kernel/aligned_bytes.hpp>
#include <qtk/kernel/packed_layout.hpp>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>

namespace qtk {

/// Who shares a scale of activations.
enum class activation_scale : std::uint8_t { segment, row, fixed };

inline constexpr std::size_t tile_depth = 64;  ///< k of a tile of activations

/// How a row is cut. A block of weights (one group) has `segments` pieces of `units` units, the last
/// of which may be shorter; the last block may have fewer.
struct segment_plan {
    std::size_t units = 0;     ///< of a full segment
    std::size_t segments = 0;  ///< of a full block
    std::size_t total = 0;     ///< of a row

    constexpr segment_plan() = default;
    /// At most `most` units a segment.
    constexpr segment_plan(packed_layout const& w, std::size_t most) noexcept
        : units(std::min(most, std::max<std::size_t>(w.group_units, 1))),
          segments(div_ceil(w.group_units, units)),
          total(w.groups == 0 ? 0 : (w.groups - 1) * segments + div_ceil(w.last_units, units)) {}
};
/// 32-bit sums hold 255 * 127 * 16384.
inline constexpr std::size_t longest_segment = 16384 / unit_depth;

/// Activations [rows, depth] as int8; borrows its parts. Rows up to a multiple of tile_rows exist and
/// are zero.
struct quantized_rows {
    std::int8_t* codes = nullptr;  // [row tile][k tile][tile_rows][64]
    float* scales = nullptr;       // [row tile][segment][tile_rows], or [rows] where rows share one
    std::int32_t* sums = nullptr;  // [row tile][segment][tile_rows]
    std::size_t rows = 0, tile_rows = 1, depth_tiles = 0;
    segment_plan plan;
    activation_scale sharing = activation_scale::segment;
    float fixed_scale = 1.0f;

    [[nodiscard]] std::int8_t* code(std::size_t row, std::size_t k) const noexcept {
        return codes + (row / tile_rows * depth_tiles + k / tile_depth) * tile_rows * tile_depth +
               row % tile_rows * tile_depth + k % tile_depth;
    }
    /// Index of a row's segment in sums, and in scales where segments have their own.
    [[nodiscard]] std::size_t at(std::size_t row, std::size_t segment) const noexcept {
        return (row / tile_rows * plan.total + segment) * tile_rows + row % tile_rows;
    }
    [[nodiscard]] bool has_row_scales() const noexcept {
        return sharing != activation_scale::segment;
    }
    [[nodiscard]] float scale(std::size_t row, std::size_t segment) const noexcept {
        return has_row_scales() ? scales[row] : scales[at(row, segment)];
    }
};

/// 1, 2, 4, 8 or 16: few rows lie close together.
[[nodiscard]] constexpr std::size_t tile_rows_for(std::size_t rows) noexcept {
    std::size_t n = 1;
    while (n < rows && n < 16) n *= 2;
    return n;
}

/// Bytes that quantized rows need, and the same laid out in them.
struct quantized_rows_storage {
    std::size_t codes = 0, scales = 0, sums = 0;
    [[nodiscard]] constexpr std::size_t bytes() const noexcept { return codes + scales + sums; }

    constexpr quantized_rows_storage(std::size_t rows, std::size_t depth, std::size_t segments) {
        std::size_t const tile = tile_rows_for(rows), all = div_ceil(rows, tile) * tile;
        auto const lines = [](std::size_t n) { return div_ceil(n, cache_line) * cache_line; };
        codes = checked_mul(all, div_ceil(depth, tile_depth) * tile_depth);
        codes = lines(codes);
        sums = lines(checked_mul(checked_mul(all, segments), std::size_t{4}));
        scales = lines(
            checked_mul(checked_mul(all, std::max<std::size_t>(segments, 1)), std::size_t{4}));
    }
};
[[nodiscard]] inline quantized_rows quantized_rows_in(std::uint8_t* storage, std::size_t rows,
                                                      packed_layout const& w,
                                                      segment_plan const& plan,
                                                      activation_scale sharing, float fixed_scale) {
    quantized_rows_storage const sizes(rows, w.depth(), plan.total);
    quantized_rows x;
    x.codes = reinterpret_cast<std::int8_t*>(storage);
    x.scales = reinterpret_cast<float*>(storage + sizes.codes);
    x.sums = reinterpret_cast<std::int32_t*>(storage + sizes.codes + sizes.scales);
    x.rows = rows;
    x.tile_rows = tile_rows_for(rows);
    x.depth_tiles = div_ceil(w.depth(), tile_depth);
    x.plan = plan;
    x.sharing = sharing;
    x.fixed_scale = fixed_scale;
    return x;
}

/// Where the columns of a segment lie: true k [first, first + count) of x, then zeros up to
/// `depth_count` on the filled-up axis from `depth` on.
struct segment_place {
    std::size_t first = 0, count = 0, depth = 0, depth_count = 0;
};
[[nodiscard]] constexpr segment_place place_of_segment(packed_layout const& w,
                                                       segment_plan const& plan, std::size_t g,
                                                       std::size_t s) noexcept {
    std::size_t const units = std::min(plan.units, w.units_of(g) - s * plan.units);
    std::size_t const within = s * plan.units * unit_depth, left = g * w.group;
    std::size_t const width = std::min(w.group, w.cols - left);
    std::size_t const end = std::min(width, within + units * unit_depth);
    return {left + within, end > within ? end - within : 0, g * w.group_units * unit_depth + within,
            units * unit_depth};
}

/// The scale for a largest magnitude: what tile_quantizer<i8, fixed> fits.
[[nodiscard]] inline float int8_scale(float largest) noexcept {
    float const scale = largest / 127.0f;
    return scale > 0.0f ? scale : 1.0f;
}

namespace detail {

[[nodiscard]] inline float largest_bits(float const* x, std::size_t n) noexcept {
    std::uint32_t largest = 0;
    for (std::size_t i = 0; i < n; ++i)
        largest = std::max(largest, std::bit_cast<std::uint32_t>(x[i]) & 0x7fffffffu);
    return std::bit_cast<float>(largest);
}

/// Codes of one segment and their sum; zeros if the scale is NaN.
inline std::int32_t quantize_segment_scalar(float const* x, segment_place const& place, float scale,
                                            quantized_rows const& to, std::size_t row) noexcept {
    std::int32_t sum = 0;
    for (std::size_t i = 0; i < place.depth_count; ++i) {
        float code = 0.0f;
        if (i < place.count && scale == scale)
            code = round_half_even(std::clamp(x[place.first + i] / scale, -127.0f, 127.0f));
        *to.code(row, place.depth + i) = static_cast<std::int8_t>(code);
        sum += static_cast<std::int32_t>(code);
    }
    return sum;
}

}  // namespace detail

/// What quantizing row `row` means: x is its cols floats, w the layout of the weights.
inline void quantize_row_scalar(float const* x, std::size_t row, packed_layout const& w,
                                quantized_rows const& to) noexcept {
    constexpr float nan = std::numeric_limits<float>::quiet_NaN();
    float shared = nan;
    if (to.has_row_scales()) {
        float const largest = detail::largest_bits(x, w.cols);
        if (!is_nonfinite(largest))
            shared = to.sharing == activation_scale::fixed ? to.fixed_scale : int8_scale(largest);
        to.scales[row] = shared;
    }
    std::size_t segment = 0;
    for (std::size_t g = 0; g < w.groups; ++g)
        for (std::size_t s = 0; s * to.plan.units < w.units_of(g); ++s, ++segment) {
            segment_place const place = place_of_segment(w, to.plan, g, s);
            float scale = shared;
            if (!to.has_row_scales()) {
                float const largest = detail::largest_bits(x + place.first, place.count);
                scale = is_nonfinite(largest) ? nan : int8_scale(largest);
                to.scales[to.at(row, segment)] = scale;
            }
            to.sums[to.at(row, segment)] =
                detail::quantize_segment_scalar(x, place, scale, to, row);
        }
    // The axis is filled up to whole tiles.
    for (std::size_t k = w.depth(); k < to.depth_tiles * tile_depth; ++k) *to.code(row, k) = 0;
}

/// A row past the last one: zeros.
inline void clear_row(std::size_t row, quantized_rows const& to) noexcept {
    for (std::size_t k = 0; k < to.depth_tiles * tile_depth; k += tile_depth)
        std::memset(to.code(row, k), 0, tile_depth);
    if (to.has_row_scales()) to.scales[row] = 0.0f;
    for (std::size_t s = 0; s < to.plan.total; ++s) {
        to.sums[to.at(row, s)] = 0;
        if (!to.has_row_scales()) to.scales[to.at(row, s)] = 0.0f;
    }
}

}  // namespace qtk
