// SPDX-License-Identifier: Apache-2.0
//
// What every test of a kernel goes through: lengths around the width of a vector, and matrices of
// random codes in every way of sharing scales.
#pragma once

#include <qtk/core/random.hpp>
#include <qtk/format/qmatrix.hpp>
#include <qtk/kernel/isa.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace cases {

inline constexpr std::array<std::size_t, 16> odd_lengths{0,  1,  2,  3,  5,  7,  8,   9,
                                                         15, 16, 17, 31, 33, 64, 127, 1023};

/// Every instruction set that this process can run, from the plainest to the widest.
inline std::vector<qtk::instruction_set> usable_sets() {
    using enum qtk::instruction_set;
    std::vector<qtk::instruction_set> sets;
    for (qtk::instruction_set const set : {scalar, xsimd, avx2, avx512, amx})
        if (qtk::is_usable(set)) sets.push_back(set);
    return sets;
}

/// Finite codes, scales near `scale`, and zero points where the scheme has them.
inline qtk::any_qmatrix random_qmatrix(qtk::scheme const& s, std::size_t rows, std::size_t cols,
                                       std::uint64_t seed) {
    qtk::any_qmatrix q(s, rows, cols);
    qtk::splitmix64 random(seed);
    auto const below = [&](int n) {
        return static_cast<int>(qtk::uniform_index(random, static_cast<std::uint64_t>(n)));
    };
    qtk::format const& f = s.element;
    std::vector<std::uint8_t> fields(cols);
    for (std::size_t r = 0; r < rows; ++r) {
        for (std::uint8_t& field : fields) {
            field = static_cast<std::uint8_t>(below(f.patterns()));
            // Infinity and NaN are not weights.
            if (f.kind == qtk::numeral::minifloat &&
                (field & (f.patterns() / 2 - 1)) > qtk::minifloat_top(f))
                field = 0;
        }
        q.set_row(r, fields);
    }
    std::vector<qtk::tile_params> params(q.grid().count());
    for (qtk::tile_params& p : params) {
        float const wanted = 0.01f * static_cast<float>(1 + below(400));
        p = {qtk::rounded_scale(s.scale, wanted),
             s.has_zero_point() ? below(f.patterns()) : qtk::symmetric_zero(f)};
    }
    q.set_params(params);
    return q;
}

/// Every format, symmetric and asymmetric, groups with a last partial one.
inline std::vector<qtk::scheme> schemes_of_every_format() {
    std::vector<qtk::scheme> all;
    for (auto const& [name, f] : qtk::known_formats) {
        all.push_back({.element = f, .grain = qtk::per_group(16)});
        if (f.is_integer())
            all.push_back(
                {.element = f, .grain = qtk::per_group(24), .zero = qtk::origin::floating});
    }
    return all;
}

/// Every way of sharing and of storing scales.
inline std::vector<qtk::scheme> schemes_of_every_scale() {
    using qtk::scale_type;
    return {
        {.element = qtk::i8},
        {.element = qtk::i3, .grain = qtk::per_channel, .zero = qtk::origin::floating},
        {.element = qtk::i4, .grain = qtk::per_group(1), .scale = scale_type::f16},
        {.element = qtk::u5, .grain = qtk::per_group(1000), .scale = scale_type::bf16},
        {.element = qtk::i4,
         .grain = qtk::per_block(3, 5),
         .zero = qtk::origin::floating,
         .scale = scale_type::e8m0},
        {.element = qtk::e4m3, .grain = qtk::per_block(2, 64)},
        qtk::mxfp4,
        qtk::nvfp4,
    };
}

}  // namespace cases
