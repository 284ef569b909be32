// SPDX-License-Identifier: Apache-2.0
//
// Which types may a tensor of a GGUF file have? Each one cuts a row into blocks of `values` values in
// `bytes` bytes; the numbers are those of the file. A type without a decoder here can still be
// measured, listed and copied.
#pragma once

#include <qtk/format/half.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace qtk {

/// The numbers are those of the file.
enum class gguf_type : std::uint32_t {
    f32 = 0,
    f16 = 1,
    q4_0 = 2,
    q4_1 = 3,
    q5_0 = 6,
    q5_1 = 7,
    q8_0 = 8,
    q2_K = 10,
    q3_K = 11,
    q4_K = 12,
    q5_K = 13,
    q6_K = 14,
    iq2_xxs = 16,
    iq2_xs = 17,
    iq3_xxs = 18,
    iq1_s = 19,
    iq4_nl = 20,
    iq3_s = 21,
    iq2_s = 22,
    iq4_xs = 23,
    i8 = 24,
    i16 = 25,
    i32 = 26,
    i64 = 27,
    f64 = 28,
    iq1_m = 29,
    bf16 = 30,
    tq1_0 = 34,
    tq2_0 = 35,
    mxfp4 = 39,
    nvfp4 = 40,
    q1_0 = 41,
    q2_0 = 42
};

struct gguf_type_entry {
    std::string_view name;  ///< GGUF's own
    gguf_type type;
    std::uint32_t values, bytes;  ///< of a block
};

/// Every type that files hold today, by number. (q8_1 and q8_K are types of activations.)
inline constexpr std::array<gguf_type_entry, 33> known_gguf_types{{
    {"f32", gguf_type::f32, 1, 4},
    {"f16", gguf_type::f16, 1, 2},
    {"q4_0", gguf_type::q4_0, 32, 18},
    {"q4_1", gguf_type::q4_1, 32, 20},
    {"q5_0", gguf_type::q5_0, 32, 22},
    {"q5_1", gguf_type::q5_1, 32, 24},
    {"q8_0", gguf_type::q8_0, 32, 34},
    {"q2_K", gguf_type::q2_K, 256, 84},
    {"q3_K", gguf_type::q3_K, 256, 110},
    {"q4_K", gguf_type::q4_K, 256, 144},
    {"q5_K", gguf_type::q5_K, 256, 176},
    {"q6_K", gguf_type::q6_K, 256, 210},
    {"iq2_xxs", gguf_type::iq2_xxs, 256, 66},
    {"iq2_xs", gguf_type::iq2_xs, 256, 74},
    {"iq3_xxs", gguf_type::iq3_xxs, 256, 98},
    {"iq1_s", gguf_type::iq1_s, 256, 50},
    {"iq4_nl", gguf_type::iq4_nl, 32, 18},
    {"iq3_s", gguf_type::iq3_s, 256, 110},
    {"iq2_s", gguf_type::iq2_s, 256, 82},
    {"iq4_xs", gguf_type::iq4_xs, 256, 136},
    {"i8", gguf_type::i8, 1, 1},
    {"i16", gguf_type::i16, 1, 2},
    {"i32", gguf_type::i32, 1, 4},
    {"i64", gguf_type::i64, 1, 8},
    {"f64", gguf_type::f64, 1, 8},
    {"iq1_m", gguf_type::iq1_m, 256, 56},
    {"bf16", gguf_type::bf16, 1, 2},
    {"tq1_0", gguf_type::tq1_0, 256, 54},
    {"tq2_0", gguf_type::tq2_0, 256, 66},
    {"mxfp4", gguf_type::mxfp4, 32, 17},
    {"nvfp4", gguf_type::nvfp4, 64, 36},
    {"q1_0", gguf_type::q1_0, 128, 18},
    {"q2_0", gguf_type::q2_0, 64, 18},
}};

/// Null for a number that is none of the table.
[[nodiscard]] constexpr gguf_type_entry const* find_gguf_type(gguf_type type) noexcept {
    for (auto const& entry : known_gguf_types)
        if (entry.type == type) return &entry;
    return nullptr;
}
/// Null for a name that is none of the table, e.g. "Q4_K".
[[nodiscard]] constexpr gguf_type_entry const* find_gguf_type(std::string_view name) noexcept {
    for (auto const& entry : known_gguf_types)
        if (entry.name == name) return &entry;
    return nullptr;
}
/// GGUF's own name; "?" for a number that is none of the table.
[[nodiscard]] constexpr std::string_view name_of(gguf_type type) noexcept {
    auto const* const entry = find_gguf_type(type);
    return entry != nullptr ? entry->name : "?";
}

namespace detail {

/// What the structs of blocks are made of.
[[nodiscard]] constexpr float little_endian_f16(std::array<std::uint8_t, 2> const& b) noexcept {
    return f16_to_float(static_cast<std::uint16_t>(b[0] | (b[1] << 8)));
}
[[nodiscard]] constexpr std::array<std::uint8_t, 2> f16_bytes(float value) noexcept {
    std::uint16_t const bits = float_to_f16(value);
    return {static_cast<std::uint8_t>(bits & 0xff), static_cast<std::uint8_t>(bits >> 8)};
}
/// x * y rounded once, whatever is done with it: a compiler for FMA must not fuse it with a sum.
[[nodiscard]] constexpr float rounded_product(float x, float y) noexcept {
    return static_cast<float>(static_cast<double>(x) * static_cast<double>(y));
}
/// The whole part of v within 0 .. top; clamped as a float, so that no v is undefined.
[[nodiscard]] constexpr unsigned field_of(float v, float top) noexcept {
    v = v < top ? v : top;
    return static_cast<unsigned>(v > 0.0f ? v : 0.0f);
}
/// 1 / x, or 0 for 0: what every quantizer here divides by.
[[nodiscard]] constexpr float inverse_or_zero(float x) noexcept {
    return x != 0.0f ? 1.0f / x : 0.0f;
}
[[nodiscard]] constexpr float magnitude_of(float x) noexcept {
    return x < 0.0f ? -x : x;
}

}  // namespace detail

static_assert(find_gguf_type("q6_K")->bytes == 210 && find_gguf_type("Q6_K") == nullptr);
static_assert(find_gguf_type(static_cast<gguf_type>(4)) == nullptr, "q4_2 is history");

}  // namespace qtk
