// SPDX-License-Identifier: Apache-2.0
//
// How is one row of floats multiplied with a stream of codes on AVX-512? The stream is read once,
// from front to back, and each level meets its activation in a register. What bounds it is the
// decoding of 16 levels (a shift and a vpermps) beside 16 products, so for 2 and 3 bits, where that
// costs more than the bytes do, activations are put into tables instead:
//
//   a nibble of two 2-bit codes chooses one of the 16 sums (q0 - c) x0 + (q1 - c) x1; a nibble of four
//   high bits one of the 16 sums 4 (b0 x0 + b1 x1 + b2 x2 + b3 x3), which is half of the decoding and
//   no product. The tables of a row serve all panels (lookup by tables of sums: T-MAC, Wei et al.,
//   2024, there with int8).
#pragma once

#include <qtk/core/abi.hpp>
#include <qtk/kernel/aligned_bytes.hpp>
#include <qtk/kernel/avx512/decode_panel.hpp>
#include <qtk/kernel/product_scalar.hpp>
#include <qtk/kernel/target.hpp>

#include <array>
#include <cstddef>
#include <cstdint>

#if QTK_HAS_X86

namespace qtk::avx512 {
inline namespace QTK_ABI_NS {
QTK_AVX512_REGION

/// Sums level * x of a block; two chains for each half.
struct dot_sink {
    float const* x;
    __m512 sum[2][2];

    QTK_ALWAYS_INLINE void take(int i, int h, __m512 a, __m512 b, __m512 c, __m512 d) noexcept {
        float const* const at = x + 4 * i;
        sum[h][0] = _mm512_fmadd_ps(a, _mm512_set1_ps(at[0]), sum[h][0]);
        sum[h][1] = _mm512_fmadd_ps(b, _mm512_set1_ps(at[1]), sum[h][1]);
        sum[h][0] = _mm512_fmadd_ps(c, _mm512_set1_ps(at[2]), sum[h][0]);
        sum[h][1] = _mm512_fmadd_ps(d, _mm512_set1_ps(at[3]), sum[h][1]);
    }
};

/// The unit's levels times 32 activations.
template <decoding D>
struct direct_dot {
    static constexpr std::size_t per_unit = unit_depth;  ///< floats of x a unit
    static QTK_ALWAYS_INLINE void run(std::uint8_t const* unit, level_vectors const& t,
                                      dot_sink& sink) noexcept {
        take_unit<D>(unit, t, sink);
    }
};

/// Integers of 4 bits: without vpermps, whose two units a shift for each level would share.
struct integer4_dot {
    static constexpr std::size_t per_unit = unit_depth;
    static QTK_ALWAYS_INLINE void run(std::uint8_t const* unit, level_vectors const& t,
                                      dot_sink& sink) noexcept {
        QTK_UNROLL
        for (int q = 0; q < 4; ++q) {
            QTK_UNROLL
            for (int h = 0; h < 2; ++h) {
                __m512i const v = line_at(unit, 2 * q + h), upper = shifted<16>(v);
                sink.take(2 * q, h, integer_at<0>(v, t), integer_at<8>(v, t),
                          integer_at<0>(upper, t), integer_at<8>(upper, t));
                sink.take(2 * q + 1, h, integer_at<4>(v, t), integer_at<12>(v, t),
                          integer_at<4>(upper, t), integer_at<12>(upper, t));
            }
        }
    }
};

/// Sums of 2 (Bits = 2) or of 2 and 4 activations (3), chosen by nibbles. In the order of use: for
/// each line of low parts operands i, i + 1 in each nibble; then the high parts.
template <int Bits>
struct table_dot {
    static constexpr std::size_t per_unit = 16 * (Bits == 2 ? 16 : 24);

    static QTK_ALWAYS_INLINE void add(__m512i nibbles, float const* table, __m512& sum) noexcept {
        sum = _mm512_add_ps(sum, _mm512_permutexvar_ps(nibbles, _mm512_load_ps(table)));
    }
    /// Eight tables, one for each nibble of a line.
    static QTK_ALWAYS_INLINE void add_line(__m512i line, float const* table,
                                           __m512 (&sum)[2]) noexcept {
        add(line, table, sum[0]);
        add(shifted<4>(line), table + 16, sum[1]);
        add(shifted<8>(line), table + 32, sum[0]);
        add(shifted<12>(line), table + 48, sum[1]);
        add(shifted<16>(line), table + 64, sum[0]);
        add(shifted<20>(line), table + 80, sum[1]);
        add(shifted<24>(line), table + 96, sum[0]);
        add(shifted<28>(line), table + 112, sum[1]);
    }
    static QTK_ALWAYS_INLINE void run(std::uint8_t const* unit, level_vectors const&,
                                      dot_sink& sink) noexcept {
        QTK_UNROLL
        for (int line = 0; line < (Bits == 2 ? 2 : 3); ++line) {
            add_line(line_at(unit, 2 * line), sink.x + 128 * line, sink.sum[0]);
            add_line(line_at(unit, 2 * line + 1), sink.x + 128 * line, sink.sum[1]);
        }
    }
};

/// Bit `bit` of 0 .. 15 as floats 0 and 1.
[[nodiscard]] constexpr std::array<float, 16> bit_of_index(int bit) noexcept {
    std::array<float, 16> set{};
    for (std::size_t i = 0; i < 16; ++i) set[i] = static_cast<float>(i >> bit & 1);
    return set;
}
/// Which operand has its high bit at each bit of a byte.
[[nodiscard]] constexpr std::array<std::size_t, 8> operand_of_high_bit(bit_planes p) noexcept {
    std::array<std::size_t, 8> operand{};
    for (int i = 0; i < 8; ++i)
        operand[static_cast<std::size_t>(high_bit_of(p, i))] = static_cast<std::size_t>(i);
    return operand;
}

/// The tables of one unit from its 32 activations; c is the middle code.
template <int Bits>
void fill_tables(float const* x, float* to) noexcept {
    alignas(64) static constexpr std::array<std::array<float, 16>, 4> set{
        bit_of_index(0), bit_of_index(1), bit_of_index(2), bit_of_index(3)};
    __m512 bit[4];
    for (std::size_t b = 0; b < 4; ++b) bit[b] = _mm512_load_ps(set[b].data());
    __m512 const middle = _mm512_set1_ps(Bits == 2 ? 2.0f : 4.0f), two = _mm512_set1_ps(2.0f);
    __m512 const first = _mm512_sub_ps(_mm512_fmadd_ps(bit[1], two, bit[0]), middle);
    __m512 const second = _mm512_sub_ps(_mm512_fmadd_ps(bit[3], two, bit[2]), middle);
    for (std::size_t line = 0; line < 2; ++line)
        for (std::size_t n = 0; n < 8; ++n) {
            std::size_t const k = 16 * line + 8 * (n % 2) + n / 2;
            __m512 const sum = _mm512_mul_ps(first, _mm512_set1_ps(x[k]));
            _mm512_store_ps(to + 128 * line + 16 * n,
                            _mm512_fmadd_ps(second, _mm512_set1_ps(x[k + 4]), sum));
        }
    if constexpr (Bits == 3) {
        static constexpr auto operand = operand_of_high_bit({2, 1});
        __m512 const four = _mm512_set1_ps(4.0f);
        for (std::size_t n = 0; n < 8; ++n) {
            __m512 sum = _mm512_setzero_ps();
            for (std::size_t b = 0; b < 4; ++b)
                sum = _mm512_fmadd_ps(bit[b],
                                      _mm512_set1_ps(x[4 * operand[4 * (n % 2) + b] + n / 2]), sum);
            _mm512_store_ps(to + 256 + 16 * n, _mm512_mul_ps(sum, four));
        }
    }
}

/// Panel p times a row: x holds Dot::per_unit floats a unit, group_sum the sum of x in each group
/// for schemes with zeros. y is [32].
template <typename Dot>
void dot_panel(packed_view const& w, std::size_t p, float const* x, float const* group_sum,
               float* y) noexcept {
    level_vectors const t(w.element);
    packed_layout const& layout = w.layout;
    constexpr std::size_t ahead = 1024;
    std::uint8_t const* block = w.panel(p);
    __m512 total[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
    for (std::size_t g = 0; g < layout.groups; ++g) {
        __m512 const zero = _mm512_setzero_ps();
        dot_sink sink{x, {{zero, zero}, {zero, zero}}};
        std::uint8_t const* unit = block + layout.header_bytes;
        _mm_prefetch(reinterpret_cast<char const*>(block + ahead), _MM_HINT_T0);
        std::size_t const units = layout.units_of(g);
        for (std::size_t u = 0; u < units; ++u, unit += layout.unit_bytes) {
            for (std::size_t at = 0; at < layout.unit_bytes; at += cache_line)
                _mm_prefetch(reinterpret_cast<char const*>(unit + ahead + at), _MM_HINT_T0);
            Dot::run(unit, t, sink);
            sink.x += Dot::per_unit;
        }
        x = sink.x;
        header_vectors const header(w, block);
        for (int h = 0; h < 2; ++h) {
            __m512 sum = _mm512_add_ps(sink.sum[h][0], sink.sum[h][1]);
            if (group_sum != nullptr)
                sum = _mm512_fmadd_ps(header.offset[h], _mm512_set1_ps(group_sum[g]), sum);
            total[h] = _mm512_fmadd_ps(header.scale[h], sum, total[h]);
        }
        block += layout.block_bytes;
    }
    _mm512_store_ps(y, total[0]);
    _mm512_store_ps(y + 16, total[1]);
}

/// Sums of x in each group.
inline void sum_groups(packed_layout const& layout, float const* x, float* to) noexcept {
    for (std::size_t g = 0; g < layout.groups; ++g) {
        __m512 sum[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
        for (std::size_t u = 0; u < layout.units_of(g); ++u, x += unit_depth) {
            sum[0] = _mm512_add_ps(sum[0], _mm512_loadu_ps(x));
            sum[1] = _mm512_add_ps(sum[1], _mm512_loadu_ps(x + 16));
        }
        to[g] = _mm512_reduce_add_ps(_mm512_add_ps(sum[0], sum[1]));
    }
}
QTK_REGION_END

struct purpose_of_tables;

using panel_dot = void (*)(packed_view const&, std::size_t, float const*, float const*,
                           float*) noexcept;
[[nodiscard]] inline panel_dot panel_dot_of(format const& f, bool uses_tables) noexcept {
    if (f.is_integer() && f.bits == 4) return dot_panel<integer4_dot>;
    if (uses_tables) return f.bits == 2 ? dot_panel<table_dot<2>> : dot_panel<table_dot<3>>;
    constexpr std::array<panel_dot, 8> all{
        dot_panel<direct_dot<decoding::two>>,        dot_panel<direct_dot<decoding::three>>,
        dot_panel<direct_dot<decoding::four>>,       dot_panel<direct_dot<decoding::five>>,
        dot_panel<direct_dot<decoding::six>>,        dot_panel<direct_dot<decoding::eight>>,
        dot_panel<direct_dot<decoding::minifloat6>>, dot_panel<direct_dot<decoding::minifloat8>>};
    return all[static_cast<std::size_t>(decoding_of(f))];
}

/// One row of x, [depth], times the panels of `part`.
inline void gemv_f32(packed_view const& w, float const* x, product_part const& part,
                     output_rows const& y) {
    packed_layout const& layout = w.layout;
    // Tables pay for themselves after half a panel. Asked of the whole matrix, so that the way it is
    // split between threads changes no bit.
    bool const uses_tables = w.element.bits <= 3 && layout.panels >= 4;
    std::size_t const units = layout.depth() / unit_depth;
    std::size_t const table = w.element.bits == 2 ? table_dot<2>::per_unit : table_dot<3>::per_unit;
    std::size_t const table_floats = uses_tables ? units * table : 0;
    auto* const tables = reinterpret_cast<float*>(
        thread_scratch<purpose_of_tables>((table_floats + layout.groups + 16) * sizeof(float)));
    float* const group_sum = tables + table_floats;
    if (layout.has_zero) sum_groups(layout, x, group_sum);
    for (std::size_t u = 0; u < units && uses_tables; ++u)
        w.element.bits == 2 ? fill_tables<2>(x + u * unit_depth, tables + u * table)
                            : fill_tables<3>(x + u * unit_depth, tables + u * table);
    panel_dot const dot = panel_dot_of(w.element, uses_tables);
    for (std::size_t p = part.panel; p < part.panel_end; ++p) {
        alignas(64) std::array<float, panel_columns> sums;
        dot(w, p, uses_tables ? tables : x, layout.has_zero ? group_sum : nullptr, sums.data());
        write_panel(sums.data(), 1, part.row, p, y);
    }
}

}  // namespace QTK_ABI_NS
}  // namespace qtk::avx512

#endif
