// SPDX-License-Identifier: Apache-2.0
#include <qtk/kernel/amx/operands.hpp>
#include <qtk/kernel/avx2/operands.hpp>
#include <qtk/kernel/avx512/operands.hpp>
#include <qtk/kernel/isa.hpp>

#include <doctest/doctest.h>

#include "product_cases.hpp"

#if QTK_HAS_X86

namespace {

/// A unit of random bytes: every bit pattern is a field.
std::vector<std::uint8_t> random_unit(int bits) {
    qtk::splitmix64 random(static_cast<std::uint64_t>(bits));
    std::vector<std::uint8_t> unit(2 * qtk::cache_line * static_cast<std::size_t>(bits));
    for (std::uint8_t& byte : unit)
        byte = static_cast<std::uint8_t>(qtk::uniform_index(random, 256));
    return unit;
}

}  // namespace

namespace qtk::avx2 {
QTK_AVX2_REGION

/// Operands of all quarters to [operand][128].
template <int Bits, int I = 0>
inline void all_operands(std::uint8_t const* unit, std::uint8_t* to) {
    for (std::size_t q = 0; q < 4; ++q)
        store(to + 128 * I + quarter_bytes * q, operand<Bits, I>(unit + quarter_bytes * q));
    if constexpr (I + 1 < 8) all_operands<Bits, I + 1>(unit, to);
}

/// Both vectors of all groups to [operand][group][2][32].
template <typename Factors, int I = 0>
inline void all_factors(Factors const& factors, std::uint8_t const* unit, std::uint8_t* to) {
    for (std::size_t g = 0; g < Factors::groups; ++g) {
        __m256i a, b;
        factors.template get<I>(unit + g * Factors::group_bytes, a, b);
        store(to + (I * Factors::groups + g) * 64, a);
        store(to + (I * Factors::groups + g) * 64 + 32, b);
    }
    if constexpr (I + 1 < 8) all_factors<Factors, I + 1>(factors, unit, to);
}

QTK_REGION_END
}  // namespace qtk::avx2

namespace {

template <int Bits>
void check_operands() {
    CAPTURE(Bits);
    std::vector<std::uint8_t> const unit = random_unit(Bits);
    std::vector<std::uint8_t> found(8 * 128);
    qtk::avx2::all_operands<Bits>(unit.data(), found.data());
    for (std::size_t c = 0; c < qtk::panel_columns; ++c)
        for (std::size_t k = 0; k < qtk::unit_depth; ++k)
            REQUIRE(found[k / 4 * 128 + 4 * c + k % 4] ==
                    qtk::unit_field(unit.data(), qtk::planes_of(Bits), c, k));
}

template <typename Factors>
void check_factors(qtk::format const& f, int bits) {
    CAPTURE(bits);
    std::vector<std::uint8_t> const unit = random_unit(bits);
    Factors const factors(f);
    std::vector<std::uint8_t> found(8 * 64 * Factors::groups);
    qtk::avx2::all_factors(factors, unit.data(), found.data());
    auto const level = qtk::integer_levels_of(f);
    for (std::size_t c = 0; c < qtk::panel_columns; ++c)
        for (std::size_t k = 0; k < qtk::unit_depth; ++k) {
            std::uint8_t const* const operand = found.data() + k / 4 * 64 * Factors::groups;
            int factor = 0;
            if constexpr (Factors::is_split)
                factor = operand[c / 8 * 64 + c % 8 * 4 + k % 4] +
                         16 * operand[c / 8 * 64 + 32 + c % 8 * 4 + k % 4];
            else
                factor = operand[4 * c + k % 4];
            REQUIRE(factor - factors.bias ==
                    level[qtk::unit_field(unit.data(), qtk::planes_of(bits), c, k)]);
        }
}

}  // namespace

TEST_CASE("every operand of a unit holds the fields that belong to it") {
    if (!qtk::is_usable(qtk::instruction_set::avx2)) return;
    check_operands<2>();
    check_operands<3>();
    check_operands<4>();
    check_operands<5>();
    check_operands<6>();
    check_operands<8>();
}

TEST_CASE("factors less their bias are the integer levels") {
    using namespace qtk::avx2;
    if (!qtk::is_usable(qtk::instruction_set::avx2)) return;
    check_factors<whole_factors<2>>(qtk::i2, 2);
    check_factors<whole_factors<3>>(qtk::u3, 3);
    check_factors<whole_factors<4>>(qtk::i4, 4);
    check_factors<whole_factors<5>>(qtk::i5, 5);
    check_factors<whole_factors<6>>(qtk::i6, 6);
    check_factors<whole_factors<4, true>>(qtk::e2m1, 4);
    check_factors<split_factors<true>>(qtk::nf4, 4);
    check_factors<split_factors<true>>(qtk::fp4, 4);
    check_factors<split_factors<false>>(qtk::u8, 8);
}

namespace qtk::avx512 {
QTK_AVX512_REGION

/// Operands of a unit at their value, [half][operand][64], and scaled as the kernels take them.
template <int Kind>
inline void both_forms(std::uint8_t const* unit, std::uint8_t const* table, std::uint8_t* values,
                       std::uint8_t* scaled) {
    __m512i const levels =
        _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<__m128i const*>(table)));
    unpack_unit<Kind>(unit, levels, values, values + 512);
    for (int h = 0; h < 2; ++h) {
        __m512i first[4], second[4];
        operands<Kind, 0>(unit, h, levels, first);
        operands<Kind, 1>(unit, h, levels, second);
        for (int i = 0; i < 4; ++i) {
            _mm512_storeu_si512(scaled + 512 * h + 64 * i, first[i]);
            _mm512_storeu_si512(scaled + 512 * h + 256 + 64 * i, second[i]);
        }
    }
}

QTK_REGION_END
}  // namespace qtk::avx512

namespace {

template <int Kind>
void check_avx512_operands() {
    CAPTURE(Kind);
    constexpr int bits = Kind == qtk::avx512::looked_up ? 4 : Kind;
    qtk::aligned_bytes unit(128 * bits), values(1024), scaled(1024);
    std::vector<std::uint8_t> const random = random_unit(bits);
    std::copy(random.begin(), random.end(), unit.data());
    std::array<std::uint8_t, 16> table{};
    for (std::size_t i = 0; i < 16; ++i) table[i] = static_cast<std::uint8_t>(200 - 13 * i);
    qtk::avx512::both_forms<Kind>(unit.data(), table.data(), values.data(), scaled.data());
    for (std::size_t c = 0; c < qtk::panel_columns; ++c)
        for (std::size_t k = 0; k < qtk::unit_depth; ++k) {
            std::size_t const at = c / 16 * 512 + k / 4 * 64 + 4 * (c % 16) + k % 4;
            std::uint8_t const field = qtk::unit_field(unit.data(), qtk::planes_of(bits), c, k);
            unsigned const value = Kind == qtk::avx512::looked_up ? table[field] : field;
            int const i = static_cast<int>(k / 4 % 4);
            int const shift =
                qtk::avx512::is_left_scaled(Kind, i) ? qtk::avx512::scaled_by(Kind) : 0;
            REQUIRE(values.data()[at] == value);
            REQUIRE(scaled.data()[at] == value << shift);
        }
}

}  // namespace

TEST_CASE("AVX-512 operands are the fields, or a stated power of two times them") {
    if (!qtk::is_usable(qtk::instruction_set::avx512)) return;
    check_avx512_operands<2>();
    check_avx512_operands<3>();
    check_avx512_operands<4>();
    check_avx512_operands<5>();
    check_avx512_operands<6>();
    check_avx512_operands<8>();
    check_avx512_operands<qtk::avx512::looked_up>();
}

#endif
