// SPDX-License-Identifier: Apache-2.0
//
// How is a scale stored? As f32, f16, bf16, e8m0 (a power of two, OCP Microscaling 1.0: value 2^(e
// - 127), 255 is NaN) or e4m3. Codes are computed from the *stored* scale, so storing comes first
// and loading gives back the same float.
//
// Not silent: a positive scale below the smallest one of its type is stored as that smallest one
// (the tile's values are then below half a step and become zero codes); one above the largest
// becomes NaN or infinity, which the quantizer reports as an error, and 448 in e4m3, whose tensor
// scale is chosen so that only rounding can lead there. Every type can hold NaN, which is how
// `nonfinite::propagate` marks a tile.
#pragma once

#include <qtk/core/scheme.hpp>
#include <qtk/format/half.hpp>
#include <qtk/format/minifloat.hpp>

#include <bit>
#include <cstddef>
#include <cstdint>

namespace qtk {

[[nodiscard]] constexpr std::size_t scale_bytes(scale_type type) noexcept {
    switch (type) {
        case scale_type::f32:
            return 4;
        case scale_type::f16:
        case scale_type::bf16:
            return 2;
        case scale_type::e8m0:
        case scale_type::e4m3:
            return 1;
    }
    return 0;
}

/// The stored pattern of a positive scale, in the low bits. e8m0 takes powers of two (anything else
/// rounds down).
[[nodiscard]] constexpr std::uint32_t store_scale(scale_type type, float scale) noexcept {
    auto const bits = std::bit_cast<std::uint32_t>(scale);
    bool const is_nan = scale != scale;
    auto const at_least_one = [](std::uint32_t pattern) { return pattern > 0 ? pattern : 1u; };
    switch (type) {
        case scale_type::f32:
            return at_least_one(bits);
        case scale_type::f16:
            return at_least_one(float_to_f16(scale));
        case scale_type::bf16:
            return at_least_one(float_to_bf16(scale));
        case scale_type::e8m0:
            return is_nan ? 255u : bits >> 23;  // the exponent field, biased by 127 as in a float
        case scale_type::e4m3:
            return is_nan ? 0x7fu : at_least_one(float_to_minifloat(e4m3, scale));
    }
    return 0;
}

/// The float that a stored pattern stands for.
[[nodiscard]] constexpr float load_scale(scale_type type, std::uint32_t pattern) noexcept {
    switch (type) {
        case scale_type::f32:
            return std::bit_cast<float>(pattern);
        case scale_type::f16:
            return f16_to_float(static_cast<std::uint16_t>(pattern));
        case scale_type::bf16:
            return bf16_to_float(static_cast<std::uint16_t>(pattern));
        case scale_type::e8m0:
            if (pattern == 255) return std::bit_cast<float>(0x7fc00000u);
            return pattern == 0 ? 0x1p-127f : std::bit_cast<float>(pattern << 23);
        case scale_type::e4m3:
            return minifloat_to_float(e4m3, static_cast<std::uint8_t>(pattern));
    }
    return 0.0f;
}

/// The scale that will really be used for `scale`: stored and loaded again.
[[nodiscard]] constexpr float rounded_scale(scale_type type, float scale) noexcept {
    return load_scale(type, store_scale(type, scale));
}

static_assert(rounded_scale(scale_type::e8m0, 0.25f) == 0.25f &&
              load_scale(scale_type::e8m0, 0) == 0x1p-127f);
static_assert(rounded_scale(scale_type::f16, 1e-12f) == 0x1p-24f, "never zero");
static_assert(rounded_scale(scale_type::e4m3, 1000.0f) == 448.0f);

}  // namespace qtk
