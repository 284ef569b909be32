// SPDX-License-Identifier: Apache-2.0
//
// Which columns of X hold values too large to share a scale with the others, and what do they add to
// a product? Outlier columns are multiplied as floats with the decoded columns of W, in ascending
// order, one fused multiply-add each: every instruction set gives the same bits.
#pragma once

#include <qtk/core/abi.hpp>
#include <qtk/format/levels.hpp>
#include <qtk/kernel/epilogue.hpp>
#include <qtk/kernel/isa.hpp>
#include <qtk/kernel/packed_matrix.hpp>
#include <qtk/kernel/parallel.hpp>
#include <qtk/kernel/target.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

namespace qtk {

namespace scalar {

/// sums [rows][32] += x [rows][count], rows x_stride apart, times columns [count][32].
inline void add_columns(float const* columns, std::size_t count, float const* x,
                        std::size_t x_stride, std::size_t rows, float* sums) noexcept {
    for (std::size_t r = 0; r < rows; ++r)
        for (std::size_t j = 0; j < count; ++j)
            for (std::size_t c = 0; c < panel_columns; ++c) {
                float& y = sums[r * panel_columns + c];
                y = std::fma(x[r * x_stride + j], columns[j * panel_columns + c], y);
            }
}

}  // namespace scalar

#if QTK_HAS_X86
QTK_AVX512_REGION
namespace avx512 {
inline namespace QTK_ABI_NS {

/// Four rows share a load of a column; Rows is 1 or 4.
template <std::size_t Rows>
QTK_ALWAYS_INLINE void add_columns_to(float const* columns, std::size_t count, float const* x,
                                      std::size_t x_stride, float* sums) noexcept {
    __m512 y[Rows][2];
    QTK_UNROLL
    for (std::size_t r = 0; r < Rows; ++r) {
        y[r][0] = _mm512_loadu_ps(sums + r * panel_columns);
        y[r][1] = _mm512_loadu_ps(sums + r * panel_columns + 16);
    }
    for (std::size_t j = 0; j < count; ++j) {
        __m512 const low = _mm512_loadu_ps(columns + j * panel_columns),
                     high = _mm512_loadu_ps(columns + j * panel_columns + 16);
        QTK_UNROLL
        for (std::size_t r = 0; r < Rows; ++r) {
            __m512 const a = _mm512_set1_ps(x[r * x_stride + j]);
            y[r][0] = _mm512_fmadd_ps(a, low, y[r][0]);
            y[r][1] = _mm512_fmadd_ps(a, high, y[r][1]);
        }
    }
    QTK_UNROLL
    for (std::size_t r = 0; r < Rows; ++r) {
        _mm512_storeu_ps(sums + r * panel_columns, y[r][0]);
        _mm512_storeu_ps(sums + r * panel_columns + 16, y[r][1]);
    }
}
inline void add_columns(float const* columns, std::size_t count, float const* x,
                        std::size_t x_stride, std::size_t rows, float* sums) noexcept {
    std::size_t r = 0;
    for (; r + 4 <= rows; r += 4)
        add_columns_to<4>(columns, count, x + r * x_stride, x_stride, sums + r * panel_columns);
    for (; r < rows; ++r)
        add_columns_to<1>(columns, count, x + r * x_stride, x_stride, sums + r * panel_columns);
}

}  // namespace QTK_ABI_NS
}  // namespace avx512
QTK_REGION_END

QTK_AVX2_REGION
namespace avx2 {
inline namespace QTK_ABI_NS {

inline void add_columns(float const* columns, std::size_t count, float const* x,
                        std::size_t x_stride, std::size_t rows, float* sums) noexcept {
    for (std::size_t r = 0; r < rows; ++r, x += x_stride, sums += panel_columns) {
        __m256 y[4];
        QTK_UNROLL
        for (std::size_t i = 0; i < 4; ++i) y[i] = _mm256_loadu_ps(sums + 8 * i);
        for (std::size_t j = 0; j < count; ++j) {
            __m256 const a = _mm256_set1_ps(x[j]);
            QTK_UNROLL
            for (std::size_t i = 0; i < 4; ++i)
                y[i] =
                    _mm256_fmadd_ps(a, _mm256_loadu_ps(columns + j * panel_columns + 8 * i), y[i]);
        }
        QTK_UNROLL
        for (std::size_t i = 0; i < 4; ++i) _mm256_storeu_ps(sums + 8 * i, y[i]);
    }
}

}  // namespace QTK_ABI_NS
}  // namespace avx2
QTK_REGION_END
#endif

namespace detail {
inline namespace QTK_ABI_NS {

inline void add_columns_on([[maybe_unused]] instruction_set isa, float const* columns,
                           std::size_t count, float const* x, std::size_t x_stride,
                           std::size_t rows, float* sums) noexcept {
#if QTK_HAS_X86
    if (isa == instruction_set::avx512 || isa == instruction_set::amx)
        return avx512::add_columns(columns, count, x, x_stride, rows, sums);
    if (isa == instruction_set::avx2)
        return avx2::add_columns(columns, count, x, x_stride, rows, sums);
#endif
    scalar::add_columns(columns, count, x, x_stride, rows, sums);
}

/// Ascending columns of x in which a finite value reaches the threshold. Infinities and NaN make
/// their rows NaN anyway and say nothing about the column.
[[nodiscard]] inline std::vector<std::uint32_t> outlier_columns_of(input_rows const& x,
                                                                   float threshold) {
    constexpr std::size_t width = 512;
    auto const least = std::bit_cast<std::int32_t>(threshold);
    std::vector<std::uint8_t> seen(x.cols);
    parallel_for(div_ceil(x.cols, width), x.rows * x.cols / 4 + 1, [&](std::size_t i) {
        std::size_t const left = i * width, count = std::min(width, x.cols - left);
        std::array<std::int32_t, width> found{}, bits{};
        for (std::size_t r = 0; r < x.rows; ++r) {
            if (x.is_bf16) {
                auto const* const row = static_cast<bf16_value const*>(x.data) + r * x.stride;
                for (std::size_t c = 0; c < count; ++c)
                    bits[c] = std::bit_cast<std::int32_t>(static_cast<float>(row[left + c]));
            } else {
                auto const* const row = static_cast<float const*>(x.data) + r * x.stride;
                std::memcpy(bits.data(), row + left, count * sizeof(float));
            }
            // Magnitudes order as integers. All of the block: a known count becomes vectors.
            for (std::size_t c = 0; c < width; ++c) {
                std::int32_t const magnitude = bits[c] & 0x7fffffff;
                found[c] |= static_cast<std::int32_t>(magnitude >= least) &
                            static_cast<std::int32_t>(magnitude < 0x7f800000);
            }
        }
        for (std::size_t c = 0; c < count; ++c) seen[left + c] = found[c] != 0;
    });
    std::vector<std::uint32_t> columns;
    for (std::size_t c = 0; c < x.cols; ++c)
        if (seen[c] != 0) columns.push_back(static_cast<std::uint32_t>(c));
    return columns;
}

/// Decodes columns of W, a panel at a time: value = (level - zero) scale, the floats of decode_rows.
class column_decoder {
  public:
    explicit column_decoder(packed_view const& w) : w_(&w), level_(levels_of(w.element)) {}

    /// Columns k[0..count) of panel p to out [count][32].
    void decode(std::size_t p, std::uint32_t const* k, std::size_t count, float* out) const {
        packed_layout const& layout = w_->layout;
        std::array<float, panel_columns> scale{}, zero{};
        std::size_t last = layout.groups;  // none
        bool const is_integer = w_->element.is_integer();
        for (std::size_t j = 0; j < count; ++j, out += panel_columns) {
            std::size_t const g = k[j] / layout.group, within = k[j] % layout.group;
            std::uint8_t const* const block = w_->block(p, g);
            if (g != last) {
                for (std::size_t c = 0; c < panel_columns; ++c) {
                    header_params const h = read_header(layout, block, c);
                    scale[c] = h.scale * w_->tensor_scale;
                    zero[c] = static_cast<float>(layout.has_zero ? h.zero
                                                 : is_integer    ? symmetric_zero(w_->element)
                                                                 : 0);
                }
                last = g;
            }
            std::array<std::uint32_t, panel_columns> field;
            fields_of(block + layout.header_bytes + within / unit_depth * layout.unit_bytes,
                      within % unit_depth, field);
            if (is_integer)
                for (std::size_t c = 0; c < panel_columns; ++c)
                    out[c] = (static_cast<float>(static_cast<std::int32_t>(field[c])) - zero[c]) *
                             scale[c];
            else
                for (std::size_t c = 0; c < panel_columns; ++c)
                    out[c] = level_[field[c]] * scale[c];
        }
    }

  private:
    /// The fields of 32 outputs at depth k of a unit. Those of 16 outputs are 16 words of a line.
    void fields_of(std::uint8_t const* unit, std::size_t k,
                   std::array<std::uint32_t, panel_columns>& field) const noexcept {
        bit_planes const planes = w_->layout.planes;
        auto const low_mask = (1u << planes.low) - 1u, high_mask = (1u << planes.high) - 1u;
        for (std::size_t h = 0; h < 2; ++h) {
            // Of output 16 h, so that the words before it in its line are none.
            field_place const at = place_in_unit(planes, 16 * h, k);
            std::array<std::uint32_t, 16> low, high;
            std::memcpy(low.data(), unit + at.low_byte - k % 4, cache_line);
            int const low_shift = 8 * static_cast<int>(k % 4) + at.low_bit;
            for (std::size_t c = 0; c < 16; ++c) field[16 * h + c] = low[c] >> low_shift & low_mask;
            if (planes.high == 0) continue;
            std::memcpy(high.data(), unit + at.high_byte - k % 4, cache_line);
            int const high_shift = 8 * static_cast<int>(k % 4) + at.high_bit;
            for (std::size_t c = 0; c < 16; ++c)
                field[16 * h + c] |= (high[c] >> high_shift & high_mask) << planes.low;
        }
    }

    packed_view const* w_;
    std::array<float, 256> level_;
};

}  // namespace QTK_ABI_NS
}  // namespace detail
}  // namespace qtk
