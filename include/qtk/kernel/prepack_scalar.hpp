// SPDX-License-Identifier: Apache-2.0
//
// What does packing mean? Every field and every scale to its place, one by one; and back. The other
// ways to pack in prepack.hpp give the same bytes.
#pragma once

#include <qtk/format/half.hpp>
#include <qtk/format/minifloat.hpp>
#include <qtk/format/pack.hpp>
#include <qtk/format/qmatrix_view.hpp>
#include <qtk/kernel/packed_layout.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace qtk {

/// A stored scale as headers hold it: powers of two as bf16, e4m3 as f16, the others as they are.
/// Every pattern has one of its own, so that the way back is exact.
[[nodiscard]] constexpr std::uint32_t header_scale(scale_type type,
                                                   std::uint32_t pattern) noexcept {
    if (type == scale_type::e8m0)
        return pattern == 255 ? 0x7fc0u : pattern == 0 ? 0x0040u : pattern << 7;
    if (type == scale_type::e4m3) {
        if ((pattern & 0x7fu) == 0x7fu) return (pattern & 0x80u) << 8 | 0x7e00u;
        return float_to_f16(minifloat_to_float(e4m3, static_cast<std::uint8_t>(pattern)));
    }
    return pattern;
}
/// The inverse.
[[nodiscard]] constexpr std::uint32_t stored_scale(scale_type type, std::uint32_t header) noexcept {
    if (type == scale_type::e8m0)
        return header == 0x7fc0u ? 255u : header == 0x0040u ? 0u : header >> 7;
    if (type == scale_type::e4m3) {
        if ((header & 0x7c00u) == 0x7c00u) return (header & 0x8000u) >> 8 | 0x7fu;
        return float_to_minifloat(e4m3, f16_to_float(static_cast<std::uint16_t>(header)));
    }
    return header;
}

namespace scalar {

/// Writes the scales and zeros of panel p to its block headers.
inline void pack_headers(qmatrix_view const& q, packed_layout const& to, std::size_t p,
                         std::uint8_t* panel) noexcept {
    std::size_t const bytes = scale_bytes(to.scale);
    std::size_t const first = p * panel_columns, count = std::min(q.rows() - first, panel_columns);
    for (std::size_t g = 0; g < to.groups; ++g) {
        std::uint8_t* const header = panel + g * to.block_bytes;
        std::memset(header, 0, to.header_bytes);
        for (std::size_t c = 0; c < count; ++c) {
            std::size_t const tile = (first + c) / q.grid().rows;
            std::uint32_t const scale = header_scale(q.scheme().scale, q.scale_pattern(tile, g));
            for (std::size_t b = 0; b < bytes; ++b)
                header[c * bytes + b] = static_cast<std::uint8_t>(scale >> (8 * b));
            if (to.has_zero) header[panel_columns * bytes + c] = q.zero_field(tile, g);
        }
    }
}

/// The meaning of packing: every field to its place. `fields` is scratch of q.cols() bytes.
inline void pack_panel(qmatrix_view const& q, packed_layout const& to, std::size_t p,
                       std::uint8_t* panel, std::span<std::uint8_t> fields) noexcept {
    std::fill_n(panel, to.panel_bytes, std::uint8_t{0});  // none, without columns
    std::size_t const first = p * panel_columns, count = std::min(q.rows() - first, panel_columns);
    for (std::size_t c = 0; c < count; ++c) {
        unpack_fields(q.row_codes(first + c), q.scheme().element.bits, fields);
        for (std::size_t k = 0; k < q.cols(); ++k) {
            std::size_t const g = k / to.group, within = k % to.group;
            std::uint8_t* const unit =
                panel + g * to.block_bytes + to.header_bytes + within / unit_depth * to.unit_bytes;
            set_unit_field(unit, to.planes, c, within % unit_depth, fields[k]);
        }
    }
    pack_headers(q, to, p, panel);
}

/// The fields of one output, [cols], out of its panel.
inline void unpack_column(packed_layout const& from, std::uint8_t const* panel, std::size_t column,
                          std::span<std::uint8_t> fields) noexcept {
    for (std::size_t k = 0; k < from.cols; ++k) {
        std::size_t const g = k / from.group, within = k % from.group;
        std::uint8_t const* const unit = panel + g * from.block_bytes + from.header_bytes +
                                         within / unit_depth * from.unit_bytes;
        fields[k] = unit_field(unit, from.planes, column, within % unit_depth);
    }
}

}  // namespace scalar
}  // namespace qtk
