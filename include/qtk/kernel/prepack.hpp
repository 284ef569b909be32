// SPDX-License-Identifier: Apache-2.0
//
// How do canonical codes become a stream that multiplies fast, and canonical codes again? Panel by
// panel, on as many threads as there are, without loss in either direction: unpack(prepack(q)) == q.
// A matrix that is given away is released page by page while its stream grows, so that a model
// never lies in memory twice; qmatrix_view packs straight from a mapped file.
#pragma once

#include <qtk/core/abi.hpp>
#include <qtk/format/pack.hpp>
#include <qtk/format/qmatrix.hpp>
#include <qtk/format/qmatrix_view.hpp>
#include <qtk/kernel/isa.hpp>
#include <qtk/kernel/packed_matrix.hpp>
#include <qtk/kernel/parallel.hpp>
#include <qtk/kernel/prepack_panel.hpp>
#include <qtk/kernel/prepack_scalar.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace qtk {
namespace detail {

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

/// The same for the panels [first, last) of a part that has `size` bytes a panel.
inline void release_rows(std::span<std::uint8_t const> part, std::size_t first, std::size_t last,
                         std::size_t size) noexcept {
    std::size_t const begin = std::min(part.size(), first * size);
    release_pages(part.data() + begin, std::min(part.size(), last * size) - begin);
}

inline namespace QTK_ABI_NS {

/// prepack on one instruction set.
[[nodiscard]] inline packed_matrix prepack_on(instruction_set isa, qmatrix_view const& q) {
    packed_matrix out(q.scheme(), q.rows(), q.cols(), q.tensor_scale());
    packed_layout const& to = out.view().layout;
    panel_packer const packer(isa, q, to);
    parallel_for(to.panels, to.bytes / 8,
                 [&](std::size_t p) { packer.pack(p, out.data() + p * to.panel_bytes); });
    return out;
}

/// The same; the codes are released while the stream grows.
[[nodiscard]] inline packed_matrix prepack_on(instruction_set isa, any_qmatrix&& q) {
    any_qmatrix const source = std::move(q);
    qmatrix_view const view(source);
    packed_matrix out(view.scheme(), view.rows(), view.cols(), view.tensor_scale());
    packed_layout const& to = out.view().layout;
    panel_packer const packer(isa, view, to);
    std::size_t const panel_codes = panel_columns * view.row_bytes();
    std::size_t const panel_scales = panel_columns * to.groups * scale_bytes(view.scheme().scale);
    std::size_t const step = std::max<std::size_t>(1, (std::size_t{1} << 20) / (panel_codes + 1));
    parallel_for(div_ceil(to.panels, step), to.bytes / 8, [&](std::size_t i) {
        std::size_t const first = i * step, last = std::min(to.panels, first + step);
        for (std::size_t p = first; p < last; ++p) packer.pack(p, out.data() + p * to.panel_bytes);
        release_rows(source.codes(), first, last, panel_codes);
        if (view.grid().rows == 1) release_rows(source.scales(), first, last, panel_scales);
    });
    return out;
}

/// unpack on one instruction set.
[[nodiscard]] inline any_qmatrix unpack_on(instruction_set isa, packed_matrix const& packed) {
    packed_view const& view = packed.view();
    packed_layout const& from = view.layout;
    scheme const& s = packed.scheme();
    tile_grid const grid(s.grain, from.rows, from.cols);
    std::size_t const row_bytes = packed_bytes(from.cols, s.element.bits);
    std::size_t const bytes = scale_bytes(s.scale), header = scale_bytes(from.scale);
    std::vector<std::uint8_t> codes(from.rows * row_bytes), scales(grid.count() * bytes);
    std::vector<std::uint8_t> zero_fields(s.has_zero_point() ? grid.count() : 0);
    unit_packer const packer = unit_packer_for(isa, s.element.bits);
    parallel_for(from.panels, from.bytes / 8, [&](std::size_t p) {
        std::size_t const first = p * panel_columns;
        unpack_panel_codes(packer, view, s.element.bits, p, codes.data() + first * row_bytes,
                           row_bytes);
        // Tiles that begin in this panel.
        std::size_t const end = std::min(from.rows, first + panel_columns);
        for (std::size_t i = div_ceil(first, grid.rows); i * grid.rows < end; ++i)
            for (std::size_t g = 0; g < grid.across; ++g) {
                std::size_t const c = i * grid.rows - first, tile = i * grid.across + g;
                std::uint8_t const* const block = view.block(p, g);
                std::uint32_t pattern = 0;
                for (std::size_t b = 0; b < header; ++b)
                    pattern |= std::uint32_t{block[c * header + b]} << (8 * b);
                pattern = stored_scale(s.scale, pattern);
                for (std::size_t b = 0; b < bytes; ++b)
                    scales[tile * bytes + b] = static_cast<std::uint8_t>(pattern >> (8 * b));
                if (from.has_zero) zero_fields[tile] = block[panel_columns * header + c];
            }
    });
    std::vector<std::uint8_t> zeros(packed_bytes(zero_fields.size(), s.element.bits));
    pack_fields(zero_fields, s.element.bits, zeros);
    return any_qmatrix(s, from.rows, from.cols, std::move(codes), std::move(scales),
                       std::move(zeros), view.tensor_scale);
}

}  // namespace QTK_ABI_NS
}  // namespace detail

inline namespace QTK_ABI_NS {

/// The stream of q's codes, scales and zeros. The same bytes for any number of threads and on every
/// instruction set. Throws value_error if QTK_ISA names none.
[[nodiscard]] inline packed_matrix prepack(qmatrix_view const& q) {
    return detail::prepack_on(active_isa(), q);
}
[[nodiscard]] inline packed_matrix prepack(any_qmatrix const& q) {
    return prepack(qmatrix_view(q));
}

/// The same for a matrix that is not needed any more: its codes are released as they are packed, so
/// that the peak is the stream and a few megabytes (on Linux; elsewhere until the end).
[[nodiscard]] inline packed_matrix prepack(any_qmatrix&& q) {
    return detail::prepack_on(active_isa(), std::move(q));
}

/// The canonical matrix that `packed` was made from, byte for byte.
[[nodiscard]] inline any_qmatrix unpack(packed_matrix const& packed) {
    return detail::unpack_on(active_isa(), packed);
}

}  // namespace QTK_ABI_NS
}  // namespace qtk
