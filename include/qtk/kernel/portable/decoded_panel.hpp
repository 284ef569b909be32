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
#include <qtk/kernel/target.hpp>

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

/// level[field] - shift[output], times scale[output], of `count` units to [k][32]. Integers need no
/// table: level[field] == field.
struct panel_decoder {
    bit_planes planes;
    bool is_integer = true;
    std::array<float, 256> level{};

    void operator()(std::uint8_t const* unit, std::size_t count, std::size_t unit_bytes,
                    float const* shift, float const* scale, float* to) const noexcept {
        for (std::size_t u = 0; u < count; ++u, unit += unit_bytes)
            for (std::size_t k = 0; k < unit_depth; k += 4, to += 4 * panel_columns)
                for (std::size_t c = 0; c < panel_columns; c += lanes)
                    decode_four(unit, place_in_unit(planes, c, k),
                                floats::load_unaligned(shift + c),
                                floats::load_unaligned(scale + c), to + c);
    }

  private:
    /// 4 k of some outputs, which lie in 32 bits each: at k % 4 == j in byte j.
    void decode_four(std::uint8_t const* unit, field_place const& at, floats shift, floats scale,
                     float* to) const noexcept {
        ints const low_mask((1 << planes.low) - 1), high_mask((1 << planes.high) - 1);
        ints const low = line_part(unit + at.low_byte), high = line_part(unit + at.high_byte);
        QTK_UNROLL
        for (int j = 0; j < 4; ++j, to += panel_columns) {
            int const byte = 8 * (std::endian::native == std::endian::little ? j : 3 - j);
            ints field = (low >> (byte + at.low_bit)) & low_mask;
            if (planes.high > 0)
                field = field | (((high >> (byte + at.high_bit)) & high_mask) << planes.low);
            ((levels_of_fields(field) - shift) * scale).store_unaligned(to);
        }
    }
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
    constexpr std::size_t width = 2 * lanes;
    static_assert(panel_columns % width == 0);
    for (std::size_t left = 0; left < panel_columns; left += width) {
        floats sum[R][2];
        float* const to = c + left;
        QTK_UNROLL
        for (std::size_t r = 0; r < R; ++r) {
            sum[r][0] = floats::load_unaligned(to + r * panel_columns);
            sum[r][1] = floats::load_unaligned(to + r * panel_columns + lanes);
        }
        for (std::size_t k = 0; k < depth; ++k) {
            float const* const from = w + k * panel_columns + left;
            floats const a = floats::load_unaligned(from), b = floats::load_unaligned(from + lanes);
            QTK_UNROLL
            for (std::size_t r = 0; r < R; ++r) {
                floats const factor(x[r * stride + k]);
                sum[r][0] = xsimd::fma(a, factor, sum[r][0]);
                sum[r][1] = xsimd::fma(b, factor, sum[r][1]);
            }
        }
        QTK_UNROLL
        for (std::size_t r = 0; r < R; ++r) {
            sum[r][0].store_unaligned(to + r * panel_columns);
            sum[r][1].store_unaligned(to + r * panel_columns + lanes);
        }
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
