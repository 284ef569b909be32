// SPDX-License-Identifier: Apache-2.0
//
// How are GGUF blocks of any type multiplied with float activations? f32, f16 and bf16 rows meet few
// rows of X where they lie, converted in registers: as fast as memory gives them. Everything else is
// decoded 512 columns of 32 rows at a time, into the first cache, and multiplied from there. The sums
// are those of half_lanes.hpp on both ways.
#pragma once

#include <qtk/core/abi.hpp>
#include <qtk/format/gguf_blocks.hpp>
#include <qtk/kernel/aligned_bytes.hpp>
#include <qtk/kernel/avx2/half_lanes.hpp>
#include <qtk/kernel/avx512/half_lanes.hpp>
#include <qtk/kernel/dot.hpp>
#include <qtk/kernel/epilogue.hpp>
#include <qtk/kernel/gguf_scalar.hpp>
#include <qtk/kernel/half_lanes.hpp>
#include <qtk/kernel/isa.hpp>
#include <qtk/kernel/product_part.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>

namespace qtk {
namespace detail {

/// What plain_type the blocks are, if they are one.
[[nodiscard]] constexpr std::optional<plain_type> plain_type_of(gguf_type type) noexcept {
    switch (type) {
        case gguf_type::f32:
            return plain_type::f32;
        case gguf_type::f16:
            return plain_type::f16;
        case gguf_type::bf16:
            return plain_type::bf16;
        default:
            return std::nullopt;
    }
}

inline namespace QTK_ABI_NS {

/// The lanes of an instruction set, which this process must be able to run.
[[nodiscard]] inline lane_engine const& lanes_on(instruction_set isa) noexcept {
#if QTK_HAS_X86
    if (isa >= instruction_set::avx512) return avx512::lanes;
    if (isa == instruction_set::avx2) return avx2::lanes;
#endif
    static_cast<void>(isa);
    return scalar::lanes;
}

/// Columns first .. first + n of row r as floats; both are whole blocks.
inline void decode_gguf_piece(lane_engine const& engine, gguf_view const& w, std::size_t r,
                              std::size_t first, std::size_t n, float* to) {
    std::uint8_t const* const from = w.row(r) + first / w.block_values() * w.block_bytes();
    if (auto const plain = plain_type_of(w.type))
        return engine.convert[static_cast<std::size_t>(*plain)](from, n, to);
    with_gguf_block(w.type, [&]<typename Block>() {
        for (std::size_t i = 0; i < n; i += Block::values)
            read_block<Block>(from + i / Block::values * sizeof(Block))
                .decode(std::span<float, Block::values>(to + i, Block::values));
    });
}

/// A part of a product with float activations, in lanes.
inline void gguf_f32_in_lanes(lane_engine const& engine, gguf_view const& w, float_rows const& x,
                              product_part const& part, output_rows const& y) {
    struct purpose_of_rows_of_w;
    struct purpose_of_lanes;
    constexpr std::size_t few = 4, most_columns = 512;
    // A line more than a power of two, so that rows do not fall on each other in the cache.
    constexpr std::size_t stride = most_columns + 16;
    std::size_t const count = part.row_end - part.row, row_bytes = w.row_blocks() * w.block_bytes();
    auto const plain = plain_type_of(w.type);
    bool const in_place = plain && (count <= few || *plain == plain_type::f32);
    auto* const decoded = reinterpret_cast<float*>(
        thread_scratch<purpose_of_rows_of_w>(panel_columns * stride * sizeof(float)));
    auto* const lanes = reinterpret_cast<float*>(thread_scratch<purpose_of_lanes>(
        count * panel_columns * (float_lanes + 1) * sizeof(float)));
    float* const sums = lanes + count * panel_columns * float_lanes;
    std::size_t const piece = in_place && count <= few ? w.cols : most_columns;
    for (std::size_t p = part.panel; p < part.panel_end; ++p) {
        std::size_t const first = p * panel_columns,
                          width = std::min(panel_columns, w.rows - first);
        if (w.cols == 0) std::memset(lanes, 0, count * panel_columns * float_lanes * sizeof(float));
        for (std::size_t k = 0; k < w.cols; k += piece) {
            std::size_t const n = std::min(piece, w.cols - k);
            float const* const from = x.data + part.row * x.stride + k;
            if (in_place) {
                multiply_lanes(engine, *plain, w.row(first) + k * w.block_bytes(), row_bytes, width,
                               from, x.stride, count, n, lanes, k == 0);
                continue;
            }
            for (std::size_t r = 0; r < width; ++r)
                decode_gguf_piece(engine, w, first + r, k, n, decoded + r * stride);
            multiply_lanes(engine, plain_type::f32, reinterpret_cast<std::uint8_t const*>(decoded),
                           stride * sizeof(float), width, from, x.stride, count, n, lanes, k == 0);
        }
        for (std::size_t m = 0; m < count; ++m)
            for (std::size_t r = 0; r < width; ++r)
                sums[m * panel_columns + r] =
                    sum_of_lanes(lanes + (m * panel_columns + r) * float_lanes);
        write_panel(sums, count, part.row, p, y);
    }
}

/// The same without fused products in hardware: rows are decoded and go through dot_all.
inline void gguf_f32_by_rows(gguf_view const& w, float_rows const& x, product_part const& part,
                             output_rows const& y) {
    struct purpose_of_rows_of_w;
    struct purpose_of_sums;
    constexpr std::size_t at_once = 4;
    std::size_t const count = part.row_end - part.row;
    auto* const decoded = reinterpret_cast<float*>(
        thread_scratch<purpose_of_rows_of_w>(at_once * w.cols * sizeof(float)));
    auto* const sums = reinterpret_cast<float*>(
        thread_scratch<purpose_of_sums>(count * panel_columns * sizeof(float)));
    for (std::size_t p = part.panel; p < part.panel_end; ++p) {
        std::size_t const first = p * panel_columns,
                          width = std::min(panel_columns, w.rows - first);
        for (std::size_t r = 0; r < width; r += at_once) {
            std::size_t const some = std::min(at_once, width - r);
            for (std::size_t i = 0; i < some; ++i)
                decode_gguf_row(w, first + r + i, {decoded + i * w.cols, w.cols});
            dot_all({x.data + part.row * x.stride, count, x.stride}, {decoded, some, w.cols},
                    w.cols, sums + r, panel_columns);
        }
        write_panel(sums, count, part.row, p, y);
    }
}

#if defined(QTK_KERNELS_ELSEWHERE)
void gguf_f32_on(instruction_set, gguf_view const&, float_rows const&, product_part const&,
                 output_rows const&);
void decode_gguf_piece_on(instruction_set, gguf_view const&, std::size_t, std::size_t, std::size_t,
                          float*);
#else
/// A part of a product with float activations.
QTK_KERNEL_ENTRY void gguf_f32_on(instruction_set isa, gguf_view const& w, float_rows const& x,
                                  product_part const& part, output_rows const& y) {
    if (isa == instruction_set::scalar) return scalar::gguf_f32(w, x, part, y);
    if (isa == instruction_set::xsimd) return gguf_f32_by_rows(w, x, part, y);
    gguf_f32_in_lanes(lanes_on(isa), w, x, part, y);
}

/// decode_gguf_piece on one instruction set.
QTK_KERNEL_ENTRY void decode_gguf_piece_on(instruction_set isa, gguf_view const& w, std::size_t r,
                                           std::size_t first, std::size_t n, float* to) {
    decode_gguf_piece(lanes_on(isa), w, r, first, n, to);
}
#endif

}  // namespace QTK_ABI_NS
}  // namespace detail

inline namespace QTK_ABI_NS {

/// decode_gguf_row, bit for bit, as fast as the instruction set in use allows for f32, f16 and bf16: an
/// embedding of a token. `to` has w.cols floats. Throws value_error for a type without a decoder and if
/// QTK_ISA names nothing.
inline void gguf_row_floats(gguf_view const& w, std::size_t r, std::span<float> to) {
    detail::decode_gguf_piece_on(active_isa(), w, r, 0, w.cols, to.data());
}

}  // namespace QTK_ABI_NS
}  // namespace qtk
