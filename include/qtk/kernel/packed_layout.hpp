// SPDX-License-Identifier: Apache-2.0
//
// How do weights lie in memory while they are multiplied? One stream that every instruction set reads
// from front to back, for one row of activations and for thousands: scales beside their codes.
//
//   panel   32 outputs (rows of W), one after the other; the last one is filled with zeros
//   block   a panel x one group of W's columns: header, then units; blocks follow along k
//   header  32 scales (f32: 128 bytes, f16 or bf16: 64), then for asymmetric schemes 32 zero fields
//           and 32 bytes of nothing; whole cache lines, so that no line of codes is split
//   unit    a panel x 32 k, 2 * bits lines of 64 bytes; a group that is no multiple of 32 is filled up
//
// A unit has eight operands for each half h (16 outputs): byte 4 c + j of operand i is output
// 16 h + c at k = 4 i + j, which is what vpdpbusd and the tiles multiply. Fields are offset binary
// and cut into planes of 2, 4 or 8 low bits and, for 3, 5 and 6 bits, 1 or 2 high bits:
//
//   low 8   line 2 i + h           operand i
//   low 4   line 2 (i / 2) + h     operand i in bits 4 (i % 2)
//   low 2   line 2 (i / 4) + h     operand i in bits 2 (i % 4)
//   high    lines after the low ones, at the bit that high_bit_of() says: chosen so that few shifts
//           bring the high part of an operand next to its low part
#pragma once

#include <qtk/core/checked.hpp>
#include <qtk/core/scheme.hpp>
#include <qtk/format/scale.hpp>

#include <array>
#include <cstddef>
#include <cstdint>

namespace qtk {

inline constexpr std::size_t panel_columns = 32;  ///< outputs of a panel
inline constexpr std::size_t unit_depth = 32;     ///< k of a unit
inline constexpr std::size_t cache_line = 64;

/// Rows of codes wait in a stage while they are packed: 256 bytes each and room to read past them.
inline constexpr std::size_t stage_bytes = 256, stage_stride = stage_bytes + cache_line;

/// How the bits of a field are cut.
struct bit_planes {
    int low = 8, high = 0;
};
[[nodiscard]] constexpr bit_planes planes_of(int bits) noexcept {
    switch (bits) {
        case 2:
            return {2, 0};
        case 3:
            return {2, 1};
        case 4:
            return {4, 0};
        case 5:
            return {4, 1};
        case 6:
            return {4, 2};
        default:
            return {8, 0};  // 7 bits are run as 8
    }
}

/// The lowest bit of operand i's high part in its line.
[[nodiscard]] constexpr int high_bit_of(bit_planes p, int i) noexcept {
    constexpr std::array<int, 8> beside_two{2, 3, 6, 7, 0, 1, 4, 5};
    constexpr std::array<int, 8> beside_four{4, 7, 3, 6, 2, 5, 1, 0};
    constexpr std::array<int, 4> pairs{4, 6, 0, 2};
    if (p.high == 2) return pairs[static_cast<std::size_t>(i % 4)];
    return p.low == 2 ? beside_two[static_cast<std::size_t>(i)]
                      : beside_four[static_cast<std::size_t>(i)];
}

/// Where the parts of one field lie in a unit: byte offsets and the lowest bit in each byte; 0 where
/// there is no high plane, so that what is read in vain lies inside the unit.
struct field_place {
    std::size_t low_byte = 0, high_byte = 0;
    int low_bit = 0, high_bit = 0;
};
/// Output `column` of the panel, depth k of the unit, both below 32.
[[nodiscard]] constexpr field_place place_in_unit(bit_planes p, std::size_t column,
                                                  std::size_t k) noexcept {
    std::size_t const half = column / 16, operand = k / 4;
    std::size_t const byte = 4 * (column % 16) + k % 4;
    std::size_t const per_line = 8 / static_cast<std::size_t>(p.low);
    std::size_t const low_lines = 2 * static_cast<std::size_t>(p.low);
    std::size_t const high_line = low_lines + 2 * (p.high == 2 ? operand / 4 : 0) + half;
    return {cache_line * (2 * (operand / per_line) + half) + byte,
            p.high == 0 ? 0 : cache_line * high_line + byte,
            p.low * static_cast<int>(operand % per_line),
            p.high == 0 ? 0 : high_bit_of(p, static_cast<int>(operand))};
}

[[nodiscard]] constexpr std::uint8_t unit_field(std::uint8_t const* unit, bit_planes p,
                                                std::size_t column, std::size_t k) noexcept {
    field_place const at = place_in_unit(p, column, k);
    unsigned field = unit[at.low_byte] >> at.low_bit & ((1u << p.low) - 1u);
    if (p.high > 0) field |= (unit[at.high_byte] >> at.high_bit & ((1u << p.high) - 1u)) << p.low;
    return static_cast<std::uint8_t>(field);
}
/// The unit's bytes must be zero where the field goes.
constexpr void set_unit_field(std::uint8_t* unit, bit_planes p, std::size_t column, std::size_t k,
                              std::uint8_t field) noexcept {
    field_place const at = place_in_unit(p, column, k);
    unsigned const low = field & ((1u << p.low) - 1u);
    unit[at.low_byte] = static_cast<std::uint8_t>(unit[at.low_byte] | low << at.low_bit);
    if (p.high > 0)
        unit[at.high_byte] = static_cast<std::uint8_t>(
            unit[at.high_byte] | static_cast<unsigned>(field >> p.low) << at.high_bit);
}

/// Sizes of the stream for a matrix [rows, cols] under a scheme. All counts fit: a matrix whose
/// stream does not fit into memory throws value_error.
struct packed_layout {
    std::size_t rows = 0, cols = 0;
    bit_planes planes;
    scale_type scale = scale_type::f32;  ///< as stored in a header: f32, f16 or bf16
    bool has_zero = false;
    std::size_t group = 0;        ///< k of a full group, as the scheme says
    std::size_t groups = 0;       ///< blocks of a panel
    std::size_t group_units = 0;  ///< units of a full block
    std::size_t last_units = 0;   ///< units of the last block
    std::size_t panels = 0;
    std::size_t header_bytes = 0, unit_bytes = 0, block_bytes = 0, panel_bytes = 0, bytes = 0;

    constexpr packed_layout() = default;
    constexpr packed_layout(scheme const& s, std::size_t height, std::size_t width)
        : rows(height),
          cols(width),
          planes(planes_of(s.element.bits)),
          scale(s.scale == scale_type::e8m0   ? scale_type::bf16
                : s.scale == scale_type::e4m3 ? scale_type::f16
                                              : s.scale),
          has_zero(s.has_zero_point()) {
        tile_grid const grid(s.grain, height, width);
        group = grid.cols;
        groups = grid.across;
        group_units = div_ceil(group < width ? group : width, unit_depth);
        last_units = groups == 0 ? 0 : div_ceil(grid.width(groups - 1), unit_depth);
        panels = div_ceil(height, panel_columns);
        header_bytes = panel_columns * scale_bytes(scale) + (has_zero ? cache_line : 0);
        unit_bytes = 2 * cache_line * static_cast<std::size_t>(planes.low + planes.high);
        block_bytes = checked_add(header_bytes, checked_mul(group_units, unit_bytes));
        panel_bytes = groups == 0 ? 0
                                  : checked_add(checked_mul(groups - 1, block_bytes),
                                                header_bytes + last_units * unit_bytes);
        bytes = checked_mul(panels, panel_bytes);
    }

    /// k of a panel with every group filled up to whole units.
    [[nodiscard]] constexpr std::size_t depth() const noexcept {
        return groups == 0 ? 0 : ((groups - 1) * group_units + last_units) * unit_depth;
    }
    /// Where column k of W lies on that axis.
    [[nodiscard]] constexpr std::size_t depth_of(std::size_t k) const noexcept {
        return k / group * group_units * unit_depth + k % group;
    }
    /// Is depth_of(k) == k, and nothing filled up?
    [[nodiscard]] constexpr bool is_dense() const noexcept { return depth() == cols; }
    [[nodiscard]] constexpr std::size_t units_of(std::size_t g) const noexcept {
        return g + 1 < groups ? group_units : last_units;
    }
};

static_assert(packed_layout({.element = i4, .grain = per_group(128), .scale = scale_type::f16}, 32,
                            128)
                      .bytes == 33 * cache_line,
              "4 bits, groups of 128, f16 scales: 33 lines a block");
static_assert(packed_layout({.element = i3, .grain = per_channel}, 33, 40).depth() == 64 &&
              packed_layout({.element = i3, .grain = per_channel}, 33, 40).panels == 2);
static_assert(packed_layout({.element = i4, .grain = per_group(20)}, 1, 50).depth_of(45) == 69);

}  // namespace qtk
