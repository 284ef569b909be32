// SPDX-License-Identifier: Apache-2.0
//
// How do fields become floats again? value = (level[field] - zero) * scale: for integers the level
// is the field itself and the arithmetic is done on vectors, for minifloats and codebooks it is
// looked up. One rounding a value, so every path gives the same bits.
#pragma once

#include <qtk/core/abi.hpp>
#include <qtk/core/contract.hpp>
#include <qtk/format/levels.hpp>
#include <qtk/format/qmatrix.hpp>
#include <qtk/kernel/isa.hpp>
#include <qtk/kernel/simd.hpp>

#include <array>
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

/// The same as decode_span_scalar, bit for bit, as fast as the instruction set in use allows.
/// Throws value_error if QTK_ISA names none.
inline void decode_span(format const& f, std::span<std::uint8_t const> fields, tile_params p,
                        std::array<float, 256> const& level, float* out) {
#if QTK_HAS_XSIMD
    if (f.is_integer() && active_isa() != instruction_set::scalar)
        return portable::decode_integers(fields, p, out);
#endif
    decode_span_scalar(f, fields, p, level, out);
}

/// Decodes rows of one matrix: keeps the table of levels and the unpacked fields between rows. One
/// a thread.
class row_decoder {
  public:
    explicit row_decoder(any_qmatrix const& q)
        : q_(&q),
          level_(levels_of(q.scheme().element)),
          fields_(q.scheme().element.bits < 8 ? q.cols() : 0) {}

    /// Row r to q.cols() floats.
    void decode(std::size_t r, float* out) {
        format const& element = q_->scheme().element;
        std::span<std::uint8_t const> fields = q_->row_codes(r);  // of 8 bits: as they lie
        if (element.bits < 8) {
            unpack_fields(fields, element.bits, fields_);
            fields = fields_;
        }
        tile_grid const& grid = q_->grid();
        for (std::size_t j = 0; j < grid.across; ++j) {
            std::size_t const left = j * grid.cols;
            decode_span(element, fields.subspan(left, grid.width(j)), q_->params(r / grid.rows, j),
                        level_, out + left);
        }
    }
    /// Rows [first, first + count) to `out`, [count, cols].
    void decode(std::size_t first, std::size_t count, float* out) {
        for (std::size_t r = 0; r < count; ++r) decode(first + r, out + r * q_->cols());
    }

  private:
    any_qmatrix const* q_;
    std::array<float, 256> level_;
    std::vector<std::uint8_t> fields_;
};

/// Rows [first, first + count) of q to `out`, [count, cols].
inline void decode_rows(any_qmatrix const& q, std::size_t first, std::size_t count, float* out) {
    QTK_EXPECTS(first <= q.rows() && count <= q.rows() - first);
    row_decoder(q).decode(first, count, out);
}

}  // namespace QTK_ABI_NS
}  // namespace qtk
