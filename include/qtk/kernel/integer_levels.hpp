// SPDX-License-Identifier: Apache-2.0
//
// Which small integer stands for a code when the activations are int8 too? A field of an integer
// format is its level less 2^(bits - 1). Formats of 16 levels go through a table of int8:
//
//   e2m1   twice the level: exact, in units of 1/2
//   nf4    the level times 127, rounded: at most 0.0039 of the tile's largest value away from it,
//   fp4    where neighbouring levels lie 0.08 to 0.3 (nf4) and 0.005 to 0.33 (fp4) apart
//
// The other minifloats have levels that no int8 expresses; they are multiplied as floats.
#pragma once

#include <qtk/core/format.hpp>
#include <qtk/format/levels.hpp>

#include <array>
#include <cstddef>
#include <cstdint>

namespace qtk {

/// 16 levels as integers: level = value * unit, and value + bias is what an instruction takes that
/// wants one operand without sign.
struct integer_table {
    std::array<std::int8_t, 16> value{};
    float unit = 1.0f;
    int bias = 0;
};

/// Formats that are looked up: 16 levels that are no integers.
[[nodiscard]] constexpr bool is_looked_up(format const& f) noexcept {
    return !f.is_integer() && f.bits == 4;
}
/// Can int8 activations be multiplied with codes of this format?
[[nodiscard]] constexpr bool has_integer_levels(format const& f) noexcept {
    return f.is_integer() || is_looked_up(f);
}

/// The table of a looked-up format.
[[nodiscard]] constexpr integer_table integer_table_of(format const& f) noexcept {
    integer_table table;
    std::array<float, 256> const level = levels_of(f);
    bool const is_exact = f.kind == numeral::minifloat;
    float const per_level = is_exact ? 2.0f : 127.0f;
    table.unit = is_exact ? 0.5f : 1.0f / 127.0f;
    table.bias = is_exact ? 12 : 128;
    for (std::size_t i = 0; i < 16; ++i) {
        float const scaled = level[i] * per_level;
        table.value[i] = static_cast<std::int8_t>(scaled < 0.0f ? scaled - 0.5f : scaled + 0.5f);
    }
    return table;
}

/// The integers of all fields of a format that has_integer_levels.
[[nodiscard]] constexpr std::array<std::int8_t, 256> integer_levels_of(format const& f) noexcept {
    std::array<std::int8_t, 256> level{};
    integer_table const table = is_looked_up(f) ? integer_table_of(f) : integer_table{};
    for (int field = 0; field < f.patterns(); ++field) {
        auto const i = static_cast<std::size_t>(field);
        level[i] =
            f.is_integer() ? static_cast<std::int8_t>(field - symmetric_zero(f)) : table.value[i];
    }
    return level;
}

static_assert(integer_levels_of(i4)[0] == -8 && integer_levels_of(u2)[3] == 1);
static_assert(integer_levels_of(e2m1)[7] == 12 && integer_levels_of(e2m1)[15] == -12 &&
              integer_levels_of(e2m1)[1] == 1);
static_assert(integer_levels_of(nf4)[0] == -127 && integer_levels_of(nf4)[7] == 0 &&
              integer_levels_of(nf4)[15] == 127);
static_assert([] {
    for (format const& f : {e2m1, nf4, fp4})
        for (std::size_t field = 0; field < 16; ++field) {
            float const away =
                static_cast<float>(integer_levels_of(f)[field]) * integer_table_of(f).unit -
                levels_of(f)[field];
            if (away > 0.00394f || away < -0.00394f || (f == e2m1 && away != 0.0f)) return false;
        }
    return true;
}());

}  // namespace qtk
