// SPDX-License-Identifier: Apache-2.0
//
// What happens to NaN and infinity? They are looked for in a pass of their own (a maximum says
// nothing about NaN), by the bits of the exponent. The default is an error; the other choices are
// stated by the caller, never assumed.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/core/matrix_view.hpp>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace qtk {

enum class nonfinite : std::uint8_t {
    error,      ///< Throw nonfinite_error with the count and the first index.
    propagate,  ///< The tile's scale becomes NaN: the whole tile decodes to NaN, nothing looks
                ///< healthy that is not.
    saturate,   ///< An infinity becomes the largest finite magnitude of its tile, NaN becomes 0.
    zero        ///< Each becomes 0.
};

[[nodiscard]] constexpr bool is_nonfinite(float x) noexcept {
    return (std::bit_cast<std::uint32_t>(x) & 0x7f800000u) == 0x7f800000u;
}

struct nonfinite_scan {
    std::size_t count = 0;
    std::size_t first = 0;  ///< Flat, row-major index of the first one; meaningful if count > 0.
};

/// Counts NaN and infinities; O(n), one comparison per value, no branch until one is found.
[[nodiscard]] constexpr nonfinite_scan find_nonfinite(std::span<float const> values) noexcept {
    nonfinite_scan found;
    for (float const x : values) found.count += is_nonfinite(x) ? 1u : 0u;
    if (found.count > 0)
        while (!is_nonfinite(values[found.first])) ++found.first;
    return found;
}
[[nodiscard]] constexpr nonfinite_scan find_nonfinite(matrix_view<float const> m) noexcept {
    nonfinite_scan found;
    for (std::size_t r = 0; r < m.rows; ++r) {
        nonfinite_scan const in_row = find_nonfinite(m.row(r));
        if (in_row.count > 0 && found.count == 0) found.first = r * m.cols + in_row.first;
        found.count += in_row.count;
    }
    return found;
}

/// Throws nonfinite_error if `found` holds any; `where` names the tensor, `cols` turns the index
/// into row and column.
inline void require_finite(nonfinite_scan const& found, std::string_view where, std::size_t cols) {
    if (found.count == 0) return;
    std::string text(where);
    text += ": expected finite values, found " + std::to_string(found.count) +
            " NaN or infinite, the first at index " + std::to_string(found.first);
    if (cols > 0)
        text += " (row " + std::to_string(found.first / cols) + ", column " +
                std::to_string(found.first % cols) + ")";
    text += ". Hint: choose nonfinite::propagate, saturate or zero to go on";
    throw nonfinite_error(text, found.count, found.first);
}

/// Replaces NaN and infinities of one tile by what `policy` says; `error` and `propagate` change
/// nothing.
constexpr void replace_nonfinite(std::span<float> tile, nonfinite policy) noexcept {
    if (policy != nonfinite::saturate && policy != nonfinite::zero) return;
    float largest = 0.0f;
    if (policy == nonfinite::saturate)
        for (float const x : tile)
            if (!is_nonfinite(x)) largest = x > largest ? x : (-x > largest ? -x : largest);
    for (float& x : tile) {
        if (!is_nonfinite(x)) continue;
        bool const is_nan = x != x;
        x = is_nan ? 0.0f : (x > 0.0f ? largest : -largest);
    }
}

}  // namespace qtk
