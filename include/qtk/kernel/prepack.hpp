// SPDX-License-Identifier: Apache-2.0
//
// How do canonical codes become a stream that multiplies fast, and canonical codes again? Panel by
// panel, on as many threads as there are, without loss in either direction: unpack(prepack(q)) == q.
// A matrix that is given away is released page by page while its stream grows, so that a model
// never lies in memory twice; qmatrix_view packs straight from a mapped file.
#pragma once

#include <qtk/core/abi.hpp>
#include <qtk/format/half.hpp>
#include <qtk/format/pack.hpp>
#include <qtk/format/qmatrix.hpp>
#include <qtk/format/qmatrix_view.hpp>
#include <qtk/kernel/packed_matrix.hpp>
#include <qtk/kernel/parallel.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <utility>
#include <vector>

#if defined(__linux__)
#include <sys/mman.h>
#endif

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

namespace detail {

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
inline void pack_panel_scalar(qmatrix_view const& q, packed_layout const& to, std::size_t p,
                              std::uint8_t* panel, std::span<std::uint8_t> fields) noexcept {
    std::memset(panel, 0, to.panel_bytes);
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

/// Gives the whole pages of [first, first + size) back to the system; what they held is lost.
inline void release_pages([[maybe_unused]] std::uint8_t const* first,
                          [[maybe_unused]] std::size_t size) noexcept {
#if defined(__linux__)
    constexpr std::uintptr_t page = 4096;
    auto const begin = (reinterpret_cast<std::uintptr_t>(first) + page - 1) / page * page;
    auto const end = (reinterpret_cast<std::uintptr_t>(first) + size) / page * page;
    if (begin < end) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
#endif
}

inline namespace QTK_ABI_NS {

/// Packs the panels [first, last).
inline void pack_panels(qmatrix_view const& q, packed_matrix& out, std::size_t first,
                        std::size_t last) {
    packed_layout const& to = out.view().layout;
    parallel_for(last - first, (last - first) * panel_columns * q.cols(), [&](std::size_t i) {
        std::vector<std::uint8_t> fields(q.cols());
        std::size_t const p = first + i;
        pack_panel_scalar(q, to, p, out.data() + p * to.panel_bytes, fields);
    });
}

}  // namespace QTK_ABI_NS
}  // namespace detail

inline namespace QTK_ABI_NS {

/// The stream of q's codes, scales and zeros. The same bytes for any number of threads.
[[nodiscard]] inline packed_matrix prepack(qmatrix_view const& q) {
    packed_matrix out(q.scheme(), q.rows(), q.cols(), q.tensor_scale());
    detail::pack_panels(q, out, 0, out.view().layout.panels);
    return out;
}
[[nodiscard]] inline packed_matrix prepack(any_qmatrix const& q) {
    return prepack(qmatrix_view(q));
}

/// The same for a matrix that is not needed any more: its codes are released as they are packed, so
/// that the peak is the stream and a few megabytes (on Linux; elsewhere until the end).
[[nodiscard]] inline packed_matrix prepack(any_qmatrix&& q) {
    any_qmatrix const source = std::move(q);
    qmatrix_view const view(source);
    packed_matrix out(view.scheme(), view.rows(), view.cols(), view.tensor_scale());
    std::size_t const panels = out.view().layout.panels;
    std::size_t const panel_codes = panel_columns * view.row_bytes();
    std::size_t const step = std::max<std::size_t>(1, (std::size_t{8} << 20) / (panel_codes + 1));
    for (std::size_t p = 0; p < panels; p += step) {
        std::size_t const last = std::min(panels, p + step);
        detail::pack_panels(view, out, p, last);
        std::size_t const begin = p * panel_codes;
        detail::release_pages(source.codes().data() + begin,
                              std::min(source.codes().size(), last * panel_codes) - begin);
    }
    return out;
}

/// The canonical matrix that `packed` was made from, byte for byte.
[[nodiscard]] inline any_qmatrix unpack(packed_matrix const& packed) {
    packed_view const& view = packed.view();
    packed_layout const& from = view.layout;
    scheme const& s = packed.scheme();
    tile_grid const grid(s.grain, from.rows, from.cols);
    std::size_t const row_bytes = packed_bytes(from.cols, s.element.bits);
    std::vector<std::uint8_t> codes(from.rows * row_bytes);
    parallel_for(from.panels, from.rows * from.cols, [&](std::size_t p) {
        std::vector<std::uint8_t> fields(from.cols);
        for (std::size_t r = p * panel_columns; r < std::min(from.rows, (p + 1) * panel_columns);
             ++r) {
            detail::unpack_column(from, view.panel(p), r % panel_columns, fields);
            pack_fields(fields, s.element.bits, {codes.data() + r * row_bytes, row_bytes});
        }
    });
    std::size_t const bytes = scale_bytes(s.scale), header = scale_bytes(from.scale);
    std::vector<std::uint8_t> scales(grid.count() * bytes);
    std::vector<std::uint8_t> zero_fields(s.has_zero_point() ? grid.count() : 0);
    for (std::size_t i = 0; i < grid.down; ++i)
        for (std::size_t g = 0; g < grid.across; ++g) {
            std::size_t const r = i * grid.rows, c = r % panel_columns, tile = i * grid.across + g;
            std::uint8_t const* const block = view.block(r / panel_columns, g);
            std::uint32_t pattern = 0;
            for (std::size_t b = 0; b < header; ++b)
                pattern |= std::uint32_t{block[c * header + b]} << (8 * b);
            pattern = stored_scale(s.scale, pattern);
            for (std::size_t b = 0; b < bytes; ++b)
                scales[tile * bytes + b] = static_cast<std::uint8_t>(pattern >> (8 * b));
            if (from.has_zero) zero_fields[tile] = block[panel_columns * header + c];
        }
    std::vector<std::uint8_t> zeros(packed_bytes(zero_fields.size(), s.element.bits));
    pack_fields(zero_fields, s.element.bits, zeros);
    return any_qmatrix(s, from.rows, from.cols, std::move(codes), std::move(scales),
                       std::move(zeros), view.tensor_scale);
}

}  // namespace QTK_ABI_NS
}  // namespace qtk
