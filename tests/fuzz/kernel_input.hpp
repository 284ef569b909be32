// SPDX-License-Identifier: Apache-2.0
//
// What is fed to kernels? Schemes, matrices of codes and floats from bytes, every instruction set that
// this machine has, and what "the same floats" means.
#pragma once

#include <qtk/core/scheme.hpp>
#include <qtk/kernel/isa.hpp>

#include "fuzz_target.hpp"
#include <bit>
#include <optional>

namespace fuzz {

inline std::vector<qtk::instruction_set> const& usable_sets() {
    static std::vector<qtk::instruction_set> const sets = [] {
        using enum qtk::instruction_set;
        std::vector<qtk::instruction_set> all;
        for (qtk::instruction_set const set : {scalar, xsimd, avx2, avx512, amx})
            if (qtk::is_usable(set)) all.push_back(set);
        return all;
    }();
    return sets;
}

/// Any scheme there is, from six bytes; nothing for parts that do not go together.
inline std::optional<qtk::scheme> any_scheme(cursor& in) {
    qtk::scheme s;
    s.element = qtk::known_formats[in.below(qtk::known_formats.size())].value;
    std::size_t const grain = in.below(4);
    int const rows = 1 + static_cast<int>(in.below(8)), cols = 1 + in.byte();
    s.grain = grain == 0   ? qtk::per_tensor
              : grain == 1 ? qtk::per_channel
              : grain == 2 ? qtk::granularity{.rows = 1, .cols = cols}
                           : qtk::granularity{.rows = rows, .cols = cols};
    constexpr qtk::scale_type scales[] = {qtk::scale_type::f32, qtk::scale_type::f16,
                                          qtk::scale_type::bf16, qtk::scale_type::e8m0,
                                          qtk::scale_type::e4m3};
    constexpr qtk::rounding roundings[] = {qtk::rounding::nearest_even, qtk::rounding::nearest_away,
                                           qtk::rounding::stochastic};
    s.scale = scales[in.below(5)];
    std::size_t const how = in.below(6);
    s.round = roundings[how % 3];
    s.zero = how < 3 ? qtk::origin::fixed : qtk::origin::floating;
    if (!qtk::is_valid(s)) return std::nullopt;
    return s;
}

/// A float of any exponent from two bytes (the upper half of its bits), NaN and infinity among them.
inline float any_float(cursor& in) {
    return std::bit_cast<float>(std::uint32_t{in.word()} << 16);
}
/// A finite float of an ordinary size from two bytes: -4 to 4.
inline float plain_float(cursor& in) {
    return static_cast<float>(static_cast<std::int16_t>(in.word())) * 0x1p-13f;
}

/// The same bits, or both NaN: which of two NaN an operation hands on is the machine's choice.
inline bool is_same(std::span<float const> a, std::span<float const> b) {
    return std::ranges::equal(a, b, [](float x, float y) {
        return std::bit_cast<std::uint32_t>(x) == std::bit_cast<std::uint32_t>(y) ||
               (x != x && y != y);
    });
}

}  // namespace fuzz
