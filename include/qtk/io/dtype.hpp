// SPDX-License-Identifier: Apache-2.0
//
// What type do the elements of a tensor in a file have? The names and sizes of safetensors.
#pragma once

#include <qtk/core/scheme.hpp>

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace qtk {

enum class dtype : std::uint8_t {
    boolean,
    u8,
    i8,
    f8_e4m3,
    f8_e5m2,
    f8_e8m0,
    f8_e4m3fnuz,
    f8_e5m2fnuz,
    u16,
    i16,
    f16,
    bf16,
    u32,
    i32,
    f32,
    u64,
    i64,
    f64,
    f4
};

struct dtype_entry {
    std::string_view name;
    dtype type;
    unsigned bits;
};

/// Every element type of the format, with its name in the header and its size.
inline constexpr std::array<dtype_entry, 19> known_dtypes{{
    {"BOOL", dtype::boolean, 8},
    {"U8", dtype::u8, 8},
    {"I8", dtype::i8, 8},
    {"F8_E4M3", dtype::f8_e4m3, 8},
    {"F8_E5M2", dtype::f8_e5m2, 8},
    {"F8_E8M0", dtype::f8_e8m0, 8},
    {"F8_E4M3FNUZ", dtype::f8_e4m3fnuz, 8},
    {"F8_E5M2FNUZ", dtype::f8_e5m2fnuz, 8},
    {"U16", dtype::u16, 16},
    {"I16", dtype::i16, 16},
    {"F16", dtype::f16, 16},
    {"BF16", dtype::bf16, 16},
    {"U32", dtype::u32, 32},
    {"I32", dtype::i32, 32},
    {"F32", dtype::f32, 32},
    {"U64", dtype::u64, 64},
    {"I64", dtype::i64, 64},
    {"F64", dtype::f64, 64},
    {"F4", dtype::f4, 4},
}};

[[nodiscard]] constexpr dtype_entry const& entry_of(dtype type) noexcept {
    for (auto const& entry : known_dtypes)
        if (entry.type == type) return entry;
    return known_dtypes.front();
}
[[nodiscard]] constexpr std::string_view name_of(dtype type) noexcept {
    return entry_of(type).name;
}
[[nodiscard]] constexpr unsigned bits_of(dtype type) noexcept {
    return entry_of(type).bits;
}
/// The type of that name, if the format has it.
[[nodiscard]] constexpr std::optional<dtype> find_dtype(std::string_view name) noexcept {
    for (auto const& entry : known_dtypes)
        if (entry.name == name) return entry.type;
    return std::nullopt;
}

/// The type of stored scales.
[[nodiscard]] constexpr dtype dtype_of(scale_type type) noexcept {
    switch (type) {
        case scale_type::f16:
            return dtype::f16;
        case scale_type::bf16:
            return dtype::bf16;
        case scale_type::e8m0:
            return dtype::f8_e8m0;
        case scale_type::e4m3:
            return dtype::f8_e4m3;
        case scale_type::f32:
            break;
    }
    return dtype::f32;
}

static_assert(bits_of(dtype::bf16) == 16 && find_dtype("F4") == dtype::f4 && !find_dtype("f32"));

}  // namespace qtk
