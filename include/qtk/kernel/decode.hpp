// SPDX-License-Identifier: Apache-2.0
//
// How do fields become floats again, row by row? value = (level[field] - zero) * scale: for
// integers the level is the field itself, for minifloats and codebooks it is looked up. One
// rounding a value, so every path gives the same bits. The instruction set is chosen by whoever
// makes a row_decoder, once.
#pragma once

#include <qtk/core/abi.hpp>
#include <qtk/core/contract.hpp>
#include <qtk/format/levels.hpp>
#include <qtk/format/qmatrix.hpp>
#include <qtk/kernel/avx2/decode.hpp>
#include <qtk/kernel/avx512/decode.hpp>
#include <qtk/kernel/isa.hpp>
#include <qtk/kernel/level_rule.hpp>
#include <qtk/kernel/pack.hpp>
#include <qtk/kernel/simd.hpp>
#include <qtk/kernel/stream.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace qtk {

/// Decoded values of fields of one tile; `out` has room for fields.size(), `level` is
/// levels_of(f).
inline void decode_span_scalar(format const& f, std::span<std::uint8_t const> fields, tile_params p,
                               std::array<float, 256> const& level, float* out) noexcept {
    if (f.is_integer())
        for (std::size_t i = 0; i < fields.size(); ++i)
            out[i] = static_cast<float>(fields[i] - p.zero) * p.scale;
    else
        for (std::size_t i = 0; i < fields.size(); ++i) out[i] = level[fields[i]] * p.scale;
}

#if QTK_HAS_XSIMD
namespace portable {
inline namespace QTK_ABI_NS {

inline void decode_integers(std::span<std::uint8_t const> fields, tile_params p,
                            float* out) noexcept {
    alignas(64) std::int32_t wide[block];
    floats const scale(p.scale);
    std::size_t i = 0;
    for (; i + block <= fields.size(); i += block) {
        for (std::size_t k = 0; k < block; ++k) wide[k] = fields[i + k] - p.zero;
        for (std::size_t k = 0; k < block; k += lanes)
            (xsimd::to_float(ints::load_aligned(wide + k)) * scale).store_unaligned(out + i + k);
    }
    for (; i < fields.size(); ++i) out[i] = static_cast<float>(fields[i] - p.zero) * p.scale;
}

}  // namespace QTK_ABI_NS
}  // namespace portable
#endif

inline namespace QTK_ABI_NS {

/// The values of neighbours in one row, fields of one byte each, of which the first has the column
/// `left`; p are the row's tiles. The same as decode_span_scalar tile by tile, bit for bit, with the
/// instructions of `set`, which must be usable.
inline void decode_tiles([[maybe_unused]] instruction_set set, level_rule const& rule,
                         tile_params const* p, std::span<std::uint8_t const> fields,
                         std::size_t left, std::size_t tile, float* out) noexcept {
    std::size_t const n = fields.size();
#if QTK_HAS_X86
    std::uint8_t const* const from = fields.data();
    if (set >= instruction_set::avx512)
        return avx512::decode_tiles(rule, true, p, from, from + n, n, left, tile, out);
    if (set == instruction_set::avx2)
        return avx2::decode_tiles(rule, true, p, from, from + n, n, left, tile, out);
#endif
    std::size_t i = 0;
    for (std::size_t j = left / tile; i < n; ++j) {
        std::size_t const width = std::min(n - i, (j + 1) * tile - (left + i));
        std::span<std::uint8_t const> const some = fields.subspan(i, width);
#if QTK_HAS_XSIMD
        if (set != instruction_set::scalar && rule.element.is_integer())
            portable::decode_integers(some, p[j], out + i);
        else
#endif
            decode_span_scalar(rule.element, some, p[j], rule.level, out + i);
        i += width;
    }
}

/// The same as decode_span_scalar, bit for bit, with the instructions of `set`.
inline void decode_span(instruction_set set, level_rule const& rule,
                        std::span<std::uint8_t const> fields, tile_params p, float* out) noexcept {
    if (!fields.empty()) decode_tiles(set, rule, &p, fields, 0, fields.size(), out);
}

/// Scale and zero of every tile of tile row i, [grid.across].
inline void load_tile_row(any_qmatrix const& q, std::size_t i, tile_params* out) noexcept {
    std::size_t const across = q.grid().across, first = i * across;
    scale_type const type = q.scheme().scale;
    if (type == scale_type::f32) {
        std::uint8_t const* at = q.scales().data() + 4 * first;
        for (std::size_t j = 0; j < across; ++j, at += 4) {
            std::uint32_t const bits = at[0] | std::uint32_t{at[1]} << 8 |
                                       std::uint32_t{at[2]} << 16 | std::uint32_t{at[3]} << 24;
            out[j].scale = std::bit_cast<float>(bits) * q.tensor_scale();
        }
    } else {
        bool const is_wide = scale_bytes(type) == 2;
        std::uint8_t const* at = q.scales().data() + scale_bytes(type) * first;
        for (std::size_t j = 0; j < across; ++j, at += is_wide ? 2 : 1) {
            std::uint32_t const bits = is_wide ? at[0] | std::uint32_t{at[1]} << 8 : at[0];
            out[j].scale = load_scale(type, bits) * q.tensor_scale();
        }
    }
    int const bits = q.scheme().element.bits, middle = symmetric_zero(q.scheme().element);
    std::uint8_t const* const zeros = q.zeros().empty() ? nullptr : q.zeros().data();
    for (std::size_t j = 0; j < across; ++j)
        out[j].zero = zeros == nullptr ? middle : field_at(zeros, first + j, bits);
}

/// Decodes rows of one matrix: keeps levels, the scales of a tile row and scratch between rows. One
/// a thread.
class row_decoder {
  public:
    /// Throws value_error if QTK_ISA names no instruction set.
    explicit row_decoder(any_qmatrix const& q) : row_decoder(q, active_isa()) {}
    /// `set` must be usable.
    row_decoder(any_qmatrix const& q, instruction_set set)
        : q_(&q), set_(set), rule_(q.scheme().element), params_(q.grid().across) {}

    /// Row r to q.cols() floats.
    void decode(std::size_t r, float* out) {
        load(r);
        std::size_t const step = is_direct() ? q_->cols() : piece;
        for (std::size_t left = 0; left < q_->cols(); left += step)
            decode_piece(r, left, std::min(step, q_->cols() - left), out + left);
    }
    /// Rows [first, first + count) to `out`, [count, cols].
    void decode(std::size_t first, std::size_t count, float* out) {
        for (std::size_t r = 0; r < count; ++r) decode(first + r, out + r * q_->cols());
    }
    /// The same around the caches; stream_fence() has to follow before others read.
    void stream(std::size_t r, float* out) {
        alignas(64) float scratch[piece];
        load(r);
        for (std::size_t left = 0; left < q_->cols(); left += piece) {
            std::size_t const n = std::min(piece, q_->cols() - left);
            decode_piece(r, left, n, scratch);
            stream_floats(out + left, scratch, n);
        }
    }

  private:
    static constexpr std::size_t piece = 2048;  // values that stay in the first-level cache

    void load(std::size_t r) {
        std::size_t const i = r / q_->grid().rows;
        if (i != loaded_) load_tile_row(*q_, i, params_.data());
        loaded_ = i;
    }

    /// Kernels read the packed codes themselves.
    [[nodiscard]] bool is_direct() const noexcept {
        std::size_t const tile = q_->grid().cols;
        return set_ >= instruction_set::avx2 &&
               (rule_.numbers.bits == 8 || tile % 8 == 0 || tile >= q_->cols());
    }

    /// n values of row r from the column `left` on: at most a piece, if not is_direct().
    void decode_piece(std::size_t r, std::size_t left, std::size_t n, float* out) {
        int const bits = rule_.numbers.bits;
        std::size_t const tile = q_->grid().cols;
        std::uint8_t const* const from = q_->row_codes(r).data() + packed_bytes(left, bits);
        // The next row's bytes may be read as well: nothing depends on them.
        std::uint8_t const* const end = q_->codes().data() + q_->codes().size();
#if QTK_HAS_X86
        if (is_direct() && set_ >= instruction_set::avx512)
            return avx512::decode_tiles(rule_, bits == 8, params_.data(), from, end, n, left, tile,
                                        out);
        if (is_direct())
            return avx2::decode_tiles(rule_, bits == 8, params_.data(), from, end, n, left, tile,
                                      out);
#endif
        std::uint8_t unpacked[piece];
        std::span<std::uint8_t const> fields(from, n);
        if (bits < 8) {
            qtk::unpack_fields(set_, {from, static_cast<std::size_t>(end - from)}, bits,
                               std::span(unpacked, n));
            fields = std::span<std::uint8_t const>(unpacked, n);
        }
        decode_tiles(set_, rule_, params_.data(), fields, left, tile, out);
    }

    any_qmatrix const* q_;
    instruction_set set_;
    level_rule rule_;
    std::vector<tile_params> params_;
    std::size_t loaded_ = ~std::size_t{0};
};

/// Rows [first, first + count) of q to `out`, [count, cols].
inline void decode_rows(any_qmatrix const& q, std::size_t first, std::size_t count, float* out) {
    QTK_EXPECTS(first <= q.rows() && count <= q.rows() - first);
    row_decoder(q).decode(first, count, out);
}

}  // namespace QTK_ABI_NS
}  // namespace qtk
