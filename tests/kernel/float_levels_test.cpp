// SPDX-License-Identifier: Apache-2.0
#include <qtk/kernel/avx2/float_levels.hpp>
#include <qtk/kernel/isa.hpp>

#include <doctest/doctest.h>

#include "product_cases.hpp"

#if QTK_HAS_X86

namespace qtk::avx2 {
QTK_AVX2_REGION

/// Levels of all quarters to [k][32].
template <typename Levels, int I = 0>
inline void all_levels(Levels const& levels, std::uint8_t const* unit, float* to) {
    for (std::size_t q = 0; q < 4; ++q) {
        __m256 level[4];
        levels.template get<I>(unit + quarter_bytes * q, level);
        for (std::size_t j = 0; j < 4; ++j)
            _mm256_storeu_ps(to + (4 * I + j) * panel_columns + 8 * q, level[j]);
    }
    if constexpr (I + 1 < 8) all_levels<Levels, I + 1>(levels, unit, to);
}

QTK_REGION_END
}  // namespace qtk::avx2

namespace {

template <typename Levels>
void check_levels(qtk::format const& f, int bits) {
    std::string const name(qtk::name_of(f));
    CAPTURE(name);
    qtk::splitmix64 random(5);
    std::vector<std::uint8_t> unit(2 * qtk::cache_line * static_cast<std::size_t>(bits));
    for (std::uint8_t& byte : unit)
        byte = static_cast<std::uint8_t>(qtk::uniform_index(random, 256));
    std::vector<float> found(qtk::unit_depth * qtk::panel_columns);
    qtk::avx2::all_levels(Levels(f), unit.data(), found.data());
    auto const level = qtk::levels_of(f);
    for (std::size_t k = 0; k < qtk::unit_depth; ++k)
        for (std::size_t c = 0; c < qtk::panel_columns; ++c) {
            float const expected = level[qtk::unit_field(unit.data(), qtk::planes_of(bits), c, k)];
            float const got = found[k * qtk::panel_columns + c];
            REQUIRE((got == expected || (got != got && expected != expected)));
        }
}

}  // namespace

TEST_CASE("levels of an operand are those of its fields, in every format") {
    using namespace qtk::avx2;
    if (!qtk::is_usable(qtk::instruction_set::avx2)) return;
    check_levels<integer_floats<2>>(qtk::i2, 2);
    check_levels<integer_floats<3>>(qtk::i3, 3);
    check_levels<integer_floats<4>>(qtk::i4, 4);
    check_levels<integer_floats<5>>(qtk::i5, 5);
    check_levels<integer_floats<6>>(qtk::i6, 6);
    check_levels<integer_floats<8>>(qtk::i8, 8);
    for (qtk::format const& f : {qtk::nf4, qtk::fp4, qtk::e2m1}) check_levels<sixteen_floats>(f, 4);
    check_levels<looked_up_floats<6>>(qtk::e3m2, 6);
    check_levels<looked_up_floats<8>>(qtk::e4m3, 8);
    check_levels<looked_up_floats<8>>(qtk::e5m2, 8);
}

#endif
