// SPDX-License-Identifier: Apache-2.0
//
// How is one row of floats multiplied with a stream of codes on AVX-512? The stream is read from
// front to back, and each level meets its activation in a register. What bounds it is not the bytes
// but what is done to make 16 levels: a shift, a vpermps, and the product with a broadcast. (Lines
// that hold an activation 16 times save the broadcast and lose more to the second cache.) For 2 and
// 3 bits that costs most beside the bytes, so sums of activations lie ready:
//
//   a nibble of two 2-bit codes chooses one of the 16 sums (q0 - c) x0 + (q1 - c) x1; a nibble of four
//   high bits one of the 16 sums 4 (b0 x0 + b1 x1 + b2 x2 + b3 x3), which is half of the shifts and
//   permutations and no product (lookup by tables of sums: T-MAC, Wei et al., 2024, there with int8).
//
// k is cut into pieces whose activations stay in the second cache for all panels.
#pragma once

#include <qtk/core/abi.hpp>
#include <qtk/kernel/aligned_bytes.hpp>
#include <qtk/kernel/avx512/decode_panel.hpp>
#include <qtk/kernel/product_scalar.hpp>
#include <qtk/kernel/target.hpp>

#include <algorithm>
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

    QTK_ALWAYS_INLINE explicit dot_sink(float const* first) noexcept : x(first) {
        for (auto& half : sum) half[0] = half[1] = _mm512_setzero_ps();
    }
    QTK_ALWAYS_INLINE __m512 factor(int k) const noexcept { return _mm512_set1_ps(x[k]); }
    QTK_ALWAYS_INLINE void take(int i, int h, __m512 a, __m512 b, __m512 c, __m512 d) noexcept {
        sum[h][0] = _mm512_fmadd_ps(a, factor(4 * i), sum[h][0]);
        sum[h][1] = _mm512_fmadd_ps(b, factor(4 * i + 1), sum[h][1]);
        sum[h][0] = _mm512_fmadd_ps(c, factor(4 * i + 2), sum[h][0]);
        sum[h][1] = _mm512_fmadd_ps(d, factor(4 * i + 3), sum[h][1]);
    }
};

/// The unit's levels times 32 activations.
template <decoding D>
struct direct_dot {
    static constexpr std::size_t per_unit = unit_depth;  ///< floats made of 32 x

    static QTK_ALWAYS_INLINE void run(std::uint8_t const* unit, level_vectors const& t,
                                      dot_sink& to) noexcept {
        take_unit<D>(unit, t, to);
    }
    static void prepare(float const* x, float* to) noexcept {
        for (std::size_t k = 0; k < unit_depth; ++k) to[k] = x[k];
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
                                      dot_sink& to) noexcept {
        QTK_UNROLL
        for (int line = 0; line < (Bits == 2 ? 2 : 3); ++line) {
            add_line(line_at(unit, 2 * line), to.x + 128 * line, to.sum[0]);
            add_line(line_at(unit, 2 * line + 1), to.x + 128 * line, to.sum[1]);
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

/// Adds units [first, end) of panel p times a row to y [32], or puts them there if first is 0. x holds
/// Dot::per_unit floats a unit from `first` on; segment_sum the sums of x over each block's units,
/// for schemes with zeros.
template <typename Dot>
void dot_panel(packed_view const& w, std::size_t p, std::size_t first, std::size_t end,
               float const* x, float const* segment_sum, float* y) noexcept {
    level_vectors const t(w.element);
    packed_layout const& layout = w.layout;
    constexpr std::size_t ahead = 1024;
    __m512 total[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
    if (first > 0)
        for (int h = 0; h < 2; ++h) total[h] = _mm512_load_ps(y + 16 * h);
    while (first < end) {
        std::size_t const g = first / layout.group_units, within = first % layout.group_units;
        std::size_t const left = layout.units_of(g) - within;
        std::size_t const units = end - first < left ? end - first : left;
        std::uint8_t const* const block = w.block(p, g);
        std::uint8_t const* unit = block + layout.header_bytes + within * layout.unit_bytes;
        dot_sink sink(x);
        _mm_prefetch(reinterpret_cast<char const*>(block + ahead), _MM_HINT_T0);
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
            if (segment_sum != nullptr)
                sum = _mm512_fmadd_ps(header.offset[h], _mm512_set1_ps(*segment_sum), sum);
            total[h] = _mm512_fmadd_ps(header.scale[h], sum, total[h]);
        }
        if (segment_sum != nullptr) ++segment_sum;
        first += units;
    }
    for (int h = 0; h < 2; ++h) _mm512_store_ps(y + 16 * h, total[h]);
}

/// Sums of x over the units [first, end), block by block; x begins at unit `first`.
inline void sum_segments(packed_layout const& layout, float const* x, std::size_t first,
                         std::size_t end, float* to) noexcept {
    while (first < end) {
        std::size_t const g = first / layout.group_units, within = first % layout.group_units;
        __m512 sum[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
        for (std::size_t u = within; u < layout.units_of(g) && first < end; ++u, ++first) {
            sum[0] = _mm512_add_ps(sum[0], _mm512_loadu_ps(x));
            sum[1] = _mm512_add_ps(sum[1], _mm512_loadu_ps(x + 16));
            x += unit_depth;
        }
        *to++ = _mm512_reduce_add_ps(_mm512_add_ps(sum[0], sum[1]));
    }
}
QTK_REGION_END

/// How a row is prepared, and multiplied.
struct gemv_kernel {
    void (*prepare)(float const*, float*) noexcept;
    void (*dot)(packed_view const&, std::size_t, std::size_t, std::size_t, float const*,
                float const*, float*) noexcept;
    std::size_t per_unit;
};
template <decoding D>
inline constexpr gemv_kernel direct_kernel{direct_dot<D>::prepare, dot_panel<direct_dot<D>>,
                                           direct_dot<D>::per_unit};
template <int Bits>
inline constexpr gemv_kernel table_kernel{fill_tables<Bits>, dot_panel<table_dot<Bits>>,
                                          table_dot<Bits>::per_unit};

[[nodiscard]] inline gemv_kernel gemv_kernel_of(format const& f) noexcept {
    constexpr std::array<gemv_kernel, 8> all{table_kernel<2>,
                                             table_kernel<3>,
                                             direct_kernel<decoding::four>,
                                             direct_kernel<decoding::five>,
                                             direct_kernel<decoding::six>,
                                             direct_kernel<decoding::eight>,
                                             direct_kernel<decoding::minifloat6>,
                                             direct_kernel<decoding::minifloat8>};
    return all[static_cast<std::size_t>(decoding_of(f))];
}

struct purpose_of_gemv;

/// One row of x, [depth], times the panels of `part`.
inline void gemv_f32(packed_view const& w, float const* x, product_part const& part,
                     output_rows const& y) {
    constexpr std::size_t piece = 128;  // units: at most 256 KiB of activations
    packed_layout const& layout = w.layout;
    gemv_kernel const kernel = gemv_kernel_of(w.element);
    std::size_t const units = layout.depth() / unit_depth;
    std::size_t const ready_floats = std::min(units, piece) * kernel.per_unit;
    std::size_t const sums = (part.panel_end - part.panel) * panel_columns;
    auto* const ready = reinterpret_cast<float*>(
        thread_scratch<purpose_of_gemv>((ready_floats + sums + piece) * sizeof(float)));
    float* const c = ready + ready_floats;
    float* const segment_sums = c + sums;
    if (units == 0) std::fill_n(c, sums, 0.0f);
    for (std::size_t first = 0; first < units; first += piece) {
        std::size_t const end = std::min(units, first + piece);
        for (std::size_t u = first; u < end; ++u)
            kernel.prepare(x + u * unit_depth, ready + (u - first) * kernel.per_unit);
        if (layout.has_zero) sum_segments(layout, x + first * unit_depth, first, end, segment_sums);
        for (std::size_t p = part.panel; p < part.panel_end; ++p)
            kernel.dot(w, p, first, end, ready, layout.has_zero ? segment_sums : nullptr,
                       c + (p - part.panel) * panel_columns);
    }
    for (std::size_t p = part.panel; p < part.panel_end; ++p)
        write_panel(c + (p - part.panel) * panel_columns, 1, part.row, p, y);
}

}  // namespace QTK_ABI_NS
}  // namespace qtk::avx512

#endif
