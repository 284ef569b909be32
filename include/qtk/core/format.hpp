// SPDX-License-Identifier: Apache-2.0
//
// What does a code mean? A format says how many bits a code has and which real number each code
// stands for, before the scale. Integers: i2..i8 and u2..u8. Minifloats (OCP Microscaling 1.0,
// 2023, and OFP8 1.0, 2023): e2m1, e3m2, e4m3 (largest 448, no infinity), e5m2. Codebooks of 16
// levels in [-1, 1]: nf4 (QLoRA, Dettmers 2023) and fp4, the bitsandbytes kind, whose bit order is
// not that of e2m1.
#pragma once

#include <qtk/core/host_device.hpp>

#include <array>
#include <cstdint>
#include <string_view>

namespace qtk {

enum class numeral : std::uint8_t { signed_integer, unsigned_integer, minifloat, codebook };

/// Which table of levels a codebook format reads.
enum class codebook : std::uint8_t { none, nf4, fp4 };

struct format {
    numeral kind = numeral::signed_integer;
    int bits = 8;
    int exponent = 0;  ///< Minifloats: exponent bits; one bit is the sign, the rest are mantissa.
    codebook table = codebook::none;

    [[nodiscard]] QTK_HD constexpr bool is_integer() const noexcept {
        return kind == numeral::signed_integer || kind == numeral::unsigned_integer;
    }
    /// Mantissa bits of a minifloat.
    [[nodiscard]] QTK_HD constexpr int mantissa() const noexcept { return bits - 1 - exponent; }
    /// How many bit patterns a code has.
    [[nodiscard]] QTK_HD constexpr int patterns() const noexcept { return 1 << bits; }

    friend constexpr bool operator==(format const&, format const&) = default;
};

inline constexpr format i2{.bits = 2}, i3{.bits = 3}, i4{.bits = 4}, i5{.bits = 5}, i6{.bits = 6},
    i7{.bits = 7}, i8{.bits = 8};
inline constexpr format u2{.kind = numeral::unsigned_integer, .bits = 2};
inline constexpr format u3{.kind = numeral::unsigned_integer, .bits = 3};
inline constexpr format u4{.kind = numeral::unsigned_integer, .bits = 4};
inline constexpr format u5{.kind = numeral::unsigned_integer, .bits = 5};
inline constexpr format u6{.kind = numeral::unsigned_integer, .bits = 6};
inline constexpr format u7{.kind = numeral::unsigned_integer, .bits = 7};
inline constexpr format u8{.kind = numeral::unsigned_integer, .bits = 8};
inline constexpr format e2m1{.kind = numeral::minifloat, .bits = 4, .exponent = 2};
inline constexpr format e3m2{.kind = numeral::minifloat, .bits = 6, .exponent = 3};
inline constexpr format e4m3{.kind = numeral::minifloat, .bits = 8, .exponent = 4};
inline constexpr format e5m2{.kind = numeral::minifloat, .bits = 8, .exponent = 5};
inline constexpr format nf4{.kind = numeral::codebook, .bits = 4, .table = codebook::nf4};
inline constexpr format fp4{.kind = numeral::codebook, .bits = 4, .table = codebook::fp4};

struct named_format {
    std::string_view name;
    format value;
};

/// Every format there is, with its one spelling.
inline constexpr std::array<named_format, 20> known_formats{{
    {"i2", i2},   {"i3", i3},     {"i4", i4},     {"i5", i5},     {"i6", i6},
    {"i7", i7},   {"i8", i8},     {"u2", u2},     {"u3", u3},     {"u4", u4},
    {"u5", u5},   {"u6", u6},     {"u7", u7},     {"u8", u8},     {"nf4", nf4},
    {"fp4", fp4}, {"e2m1", e2m1}, {"e3m2", e3m2}, {"e4m3", e4m3}, {"e5m2", e5m2},
}};

/// The spelling of a format; empty if it is none of the known ones.
[[nodiscard]] constexpr std::string_view name_of(format const& f) noexcept {
    for (auto const& [name, value] : known_formats)
        if (value == f) return name;
    return {};
}

[[nodiscard]] constexpr bool is_known(format const& f) noexcept {
    return !name_of(f).empty();
}

static_assert(name_of(u5) == "u5" && !is_known(format{.bits = 9}));
static_assert(e4m3.mantissa() == 3 && e2m1.mantissa() == 1);

}  // namespace qtk
