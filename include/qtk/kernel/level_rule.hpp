// SPDX-License-Identifier: Apache-2.0
//
// What does a decoder have to know of a format beside scale and zero? Which of three kinds of
// instructions fit, and these numbers. Up to four bits a table of sixteen levels in one register
// serves every format; a table for fewer bits repeats itself, so that other bits above the field do
// not matter.
#pragma once

#include <qtk/format/levels.hpp>

#include <array>
#include <cstddef>
#include <cstdint>

namespace qtk {

/// What changes the instructions of a decoder.
enum class level_kind : std::uint8_t { table, integer, minifloat };

/// Kernels copy it: what they store might otherwise change it, for all that a compiler knows.
struct level_numbers {
    int bits = 8;
    int mantissa = 0;         ///< Minifloats of more than four bits: bits of the mantissa,
    std::int32_t sign = 0;    ///< the field's sign bit,
    std::int32_t top = 0;     ///< the field of the largest finite value,
    std::int32_t rebias = 0;  ///< what is added to an exponent at bit 23,
    float unit = 1.0f;        ///< the smallest positive value.
};

struct level_rule {
    explicit level_rule(format const& f) noexcept
        : element(f), has_zero(f.is_integer()), level(levels_of(f)) {
        numbers.bits = f.bits;
        if (f.bits <= 4) {
            auto const patterns = static_cast<std::size_t>(f.patterns());
            for (std::size_t i = 0; i < table.size(); ++i) table[i] = level[i % patterns];
        } else if (f.is_integer()) {
            kind = level_kind::integer;
        } else {
            kind = level_kind::minifloat;
            numbers.mantissa = f.mantissa();
            numbers.sign = 1 << (f.bits - 1);
            numbers.top = minifloat_top(f);
            numbers.rebias = (127 - minifloat_bias(f)) << 23;
            numbers.unit = power_of_two(1 - minifloat_bias(f) - f.mantissa());
        }
    }

    format element;
    level_kind kind = level_kind::table;
    bool has_zero = false;                      ///< Only integers have one.
    alignas(64) std::array<float, 16> table{};  ///< Up to four bits: the levels, repeated.
    std::array<float, 256> level;               ///< levels_of(element)
    level_numbers numbers;
};

}  // namespace qtk
