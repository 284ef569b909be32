// SPDX-License-Identifier: Apache-2.0
//
// How do portable kernels multiply packed weights? As floats: a few units of a panel are decoded to
// [k][32] once, then meet all rows of a part, 4 at a time. Small integers are exact as floats, so the
// int8 product takes the same way.
#pragma once

#include <qtk/core/abi.hpp>
#include <qtk/format/levels.hpp>
#include <qtk/kernel/packed_matrix.hpp>
#include <qtk/kernel/simd.hpp>

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#if QTK_HAS_XSIMD

namespace qtk::portable {
inline namespace QTK_ABI_NS {

inline constexpr std::size_t rows_together = 4;

/// 4 bytes of a line for each of some outputs, as the integers that they are on this machine.
[[nodiscard]] inline ints line_part(std::uint8_t const* p) noexcept {
    alignas(64) std::int32_t word[lanes];
    std::memcpy(word, p, sizeof word);
    return ints::load_aligned(word);
}

/// Outputs [column, column + lanes) of a unit, k = 4 i + j: their fields, one to a lane.
[[nodiscard]] inline ints fields_at(std::uint8_t const* unit, bit_planes planes, std::size_t column,
                                    std::size_t k) noexcept {
    // The place of the first byte of an output is that of k - k % 4.
    field_place const at = place_in_unit(planes, column, k - k % 4);
    int const shift =
        8 * static_cast<int>(std::endian::native == std::endian::little ? k % 4 : 3 - k % 4);
    ints field =
        (line_part(unit + at.low_byte) >> (shift + at.low_bit)) & ints((1 << planes.low) - 1);
    if (planes.high > 0) {
        ints const high = (line_part(unit + at.high_byte) >> (shift + at.high_bit)) &
                          ints((1 << planes.high) - 1);
        field = field | (high << planes.low);
    }
    return field;
}

/// level[field] - shift[output], times scale[output], of `count` units to [k][32]. Integers need no
/// table: level[field] == field.
struct panel_decoder {
    bit_planes planes;
    bool is_integer = true;
    std::array<float, 256> level{};

    void operator()(std::uint8_t const* unit, std::size_t count, std::size_t unit_bytes,
                    float const* shift, float const* scale, float* to) const noexcept {
        for (std::size_t u = 0; u < count; ++u, unit += unit_bytes)
            for (std::size_t k = 0; k < unit_depth; ++k, to += panel_columns)
                for (std::size_t c = 0; c < panel_columns; c += lanes) {
                    floats const value = levels_of_fields(fields_at(unit, planes, c, k));
                    ((value - floats::load_unaligned(shift + c)) *
                     floats::load_unaligned(scale + c))
                        .store_unaligned(to + c);
                }
    }

  private:
    [[nodiscard]] floats levels_of_fields(ints fields) const noexcept {
        if (is_integer) return xsimd::to_float(fields);
        alignas(64) std::int32_t field[lanes];
        alignas(64) float found[lanes];
        fields.store_aligned(field);
        for (std::size_t i = 0; i < lanes; ++i)
            found[i] = level[static_cast<std::size_t>(field[i])];
        return floats::load_aligned(found);
    }
};

/// c [R][32] += x [R][depth] times w [depth][32]; rows of x lie `stride` apart.
template <std::size_t R>
void add_products(float const* w, float const* x, std::size_t stride, std::size_t depth,
                  float* c) noexcept {
    constexpr std::size_t vectors = 2, width = vectors * lanes;
    static_assert(panel_columns % width == 0);
    for (std::size_t left = 0; left < panel_columns; left += width) {
        floats sum[R][vectors];
        for (std::size_t r = 0; r < R; ++r)
            for (std::size_t v = 0; v < vectors; ++v)
                sum[r][v] = floats::load_unaligned(c + r * panel_columns + left + v * lanes);
        for (std::size_t k = 0; k < depth; ++k) {
            float const* const from = w + k * panel_columns + left;
            floats const a = floats::load_unaligned(from), b = floats::load_unaligned(from + lanes);
            for (std::size_t r = 0; r < R; ++r) {
                floats const factor(x[r * stride + k]);
                sum[r][0] = xsimd::fma(a, factor, sum[r][0]);
                sum[r][1] = xsimd::fma(b, factor, sum[r][1]);
            }
        }
        for (std::size_t r = 0; r < R; ++r)
            for (std::size_t v = 0; v < vectors; ++v)
                sum[r][v].store_unaligned(c + r * panel_columns + left + v * lanes);
    }
}

/// The same for any number of rows.
inline void add_rows(float const* w, float const* x, std::size_t stride, std::size_t depth,
                     std::size_t rows, float* c) noexcept {
    std::size_t r = 0;
    for (; r + rows_together <= rows; r += rows_together)
        add_products<rows_together>(w, x + r * stride, stride, depth, c + r * panel_columns);
    for (; r < rows; ++r) add_products<1>(w, x + r * stride, stride, depth, c + r * panel_columns);
}

}  // namespace QTK_ABI_NS
}  // namespace qtk::portable

#endif
