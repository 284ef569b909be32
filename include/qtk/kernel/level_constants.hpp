// SPDX-License-Identifier: Apache-2.0
//
// Which numbers does a kernel need to make levels out of codes? By the instructions they take:
//
//   <= 4 bits         a table of 16 levels, less the middle code of integers; two and three bits repeat
//                     theirs, so that other bits beside the code choose nothing
//   5 .. 8 bits       integers need none
//   minifloats        high[high 4 bits] * low[low 4 bits], and first[low 4 bits] where the high part of
//                     the exponent is 0, because subnormals are no product
#pragma once

#include <qtk/core/format.hpp>
#include <qtk/format/levels.hpp>

#include <array>
#include <cstddef>
#include <cstdint>

namespace qtk {

/// What differs in instructions between formats.
enum class decoding : std::uint8_t { two, three, four, five, six, eight, minifloat6, minifloat8 };

[[nodiscard]] constexpr decoding decoding_of(format const& f) noexcept {
    if (!f.is_integer() && f.bits > 4)
        return f.bits == 6 ? decoding::minifloat6 : decoding::minifloat8;
    constexpr std::array<decoding, 9> by_bits{decoding::two,   decoding::two,   decoding::two,
                                              decoding::three, decoding::four,  decoding::five,
                                              decoding::six,   decoding::eight, decoding::eight};
    return by_bits[static_cast<std::size_t>(f.bits)];
}

/// The constants of a format: levels of a nibble in `low`, or the two factors of a minifloat.
struct level_constants {
    alignas(64) std::array<float, 16> low{}, high{}, first{};
    std::array<float, 256> level{};  ///< what infinity and NaN are looked up in
    int exponent_bits = 0;           ///< in the high nibble; none set: `first` instead of `low`
    int finite = 255;                ///< the largest finite magnitude's field
};

[[nodiscard]] constexpr level_constants constants_of(format const& f) noexcept {
    level_constants c;
    c.level = levels_of(f);
    auto const middle = static_cast<float>(symmetric_zero(f));
    auto const period = static_cast<std::size_t>(f.bits < 4 ? f.patterns() : 16);
    bool const is_product = !f.is_integer() && f.bits > 4;
    std::size_t const signs = is_product ? static_cast<std::size_t>(f.patterns()) / 32 : 1;
    for (std::size_t i = 0; i < 16; ++i) {
        c.low[i] = is_product ? c.level[16 + i] : c.level[i % period] - middle;
        if (!is_product) continue;
        c.first[i] = c.level[i];
        std::size_t const exponent = i % signs;
        float const factor = exponent == 0 ? 1.0f : c.level[16 * exponent] / c.level[16];
        c.high[i] = i / signs % 2 == 0 ? factor : -factor;
    }
    if (is_product) {
        c.exponent_bits = static_cast<int>(signs - 1) << 4;
        c.finite = f == e4m3 ? 0x7e : f == e5m2 ? 0x7b : 0x1f;
    }
    return c;
}

/// Computed by the compiler, because a product of few outputs should not pay for it.
[[nodiscard]] inline level_constants const& stored_constants(format const& f) noexcept {
    static constexpr std::array<level_constants, 13> all{
        constants_of(i2),  constants_of(i3),   constants_of(i4),   constants_of(i5),
        constants_of(i6),  constants_of(i7),   constants_of(i8),   constants_of(nf4),
        constants_of(fp4), constants_of(e2m1), constants_of(e3m2), constants_of(e4m3),
        constants_of(e5m2)};
    if (f.is_integer()) return all[static_cast<std::size_t>(f.bits - 2)];
    if (f.kind == numeral::codebook) return all[f.table == codebook::nf4 ? 7 : 8];
    return all[f == e2m1 ? 9 : f == e3m2 ? 10 : f == e4m3 ? 11 : 12];
}

static_assert(constants_of(i3).low[5] == 1.0f && constants_of(i3).low[13] == 1.0f);
static_assert(
    [] {
        for (format const& f : {e3m2, e4m3, e5m2}) {
            level_constants const c = constants_of(f);
            for (int field = 0; field < f.patterns(); ++field) {
                if ((field & (f.patterns() / 2 - 1)) > c.finite) continue;
                auto const lo = static_cast<std::size_t>(field % 16),
                           hi = static_cast<std::size_t>(field / 16);
                float const b = (field & c.exponent_bits) == 0 ? c.first[lo] : c.low[lo];
                if (c.high[hi] * b != c.level[static_cast<std::size_t>(field)]) return false;
            }
        }
        return true;
    }(),
    "the products of the two tables are the levels");

}  // namespace qtk
