// SPDX-License-Identifier: Apache-2.0
//
// What real number does each stored bit pattern stand for, before zero point and scale? One table
// for every format: decoding is value = (level[field] - zero) * scale everywhere, and only integers
// have a zero.
//
//   integers   level[field] = field. A signed code q is stored as the field q + 2^(bits - 1), so
//              that iB and uB are the same bytes and floats; symmetric codes leave field 0 unused.
//   others     level[field] = the value of the minifloat or codebook entry; zero = 0.
#pragma once

#include <qtk/format/codebook.hpp>
#include <qtk/format/minifloat.hpp>

#include <array>
#include <cstdint>

namespace qtk {

/// By field; entries past 2^bits are zero.
[[nodiscard]] constexpr std::array<float, 256> levels_of(format const& f) noexcept {
    std::array<float, 256> level{};
    for (int field = 0; field < f.patterns(); ++field) {
        auto const i = static_cast<std::size_t>(field);
        auto const byte = static_cast<std::uint8_t>(field);
        if (f.is_integer())
            level[i] = static_cast<float>(field);
        else if (f.kind == numeral::minifloat)
            level[i] = minifloat_to_float(f, byte);
        else
            level[i] = f.table == codebook::nf4 ? nf4_levels[i] : fp4_levels[i];
    }
    return level;
}

/// The field of real zero under symmetric quantization: 2^(bits - 1) for integers, 0 (no offset)
/// for the others.
[[nodiscard]] constexpr int symmetric_zero(format const& f) noexcept {
    return f.is_integer() ? 1 << (f.bits - 1) : 0;
}

/// The field that decodes to zero under symmetric quantization; nf4 has it in the middle.
[[nodiscard]] constexpr std::uint8_t zero_field(format const& f) noexcept {
    return f.table == codebook::nf4 ? std::uint8_t{7}
                                    : static_cast<std::uint8_t>(symmetric_zero(f));
}

/// The largest magnitude that symmetric codes express before the scale: 2^(bits - 1) - 1 for
/// integers (the restricted range), the largest finite minifloat, 1 for codebooks.
[[nodiscard]] constexpr float largest_level(format const& f) noexcept {
    if (f.is_integer()) return static_cast<float>((1 << (f.bits - 1)) - 1);
    return f.kind == numeral::minifloat ? minifloat_max(f) : 1.0f;
}

/// What is added to a code to store it: 2^(bits - 1) for signed integers, nothing for the others.
[[nodiscard]] constexpr int field_offset(format const& f) noexcept {
    return f.kind == numeral::signed_integer ? 1 << (f.bits - 1) : 0;
}

static_assert(levels_of(i4)[8] == 8.0f && symmetric_zero(i4) == 8 && symmetric_zero(u4) == 8);
static_assert(levels_of(nf4)[zero_field(nf4)] == 0.0f && levels_of(fp4)[zero_field(fp4)] == 0.0f);
static_assert(largest_level(i8) == 127.0f && largest_level(i2) == 1.0f &&
              largest_level(nf4) == 1.0f);
static_assert(levels_of(e2m1)[7] == 6.0f && levels_of(e2m1)[15] == -6.0f);

}  // namespace qtk
