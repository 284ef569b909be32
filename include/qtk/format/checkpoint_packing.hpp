// SPDX-License-Identifier: Apache-2.0
//
// How do published checkpoints put codes into 32-bit words? What their layouts share: an owned
// table, the checks of what goes in, and a stream of fields along one axis. Codes are stored fields
// as in qmatrix (signed codes shifted by 2^(bits - 1)), one a byte, always [out, in]; zero points
// are [out, groups]. Each layout has its own header and picture.
//
//   stream of B bits, bit 31 on the left; 32 fields fill B words
//   B = 4   word 0  [ f7 | f6 | f5 | f4 | f3 | f2 | f1 | f0 ]
//   B = 3   word 0  [ f10 (low 2 bits) | f9 | f8 | ... | f1 | f0 ]
//           word 1  [ f21 (low bit) | f20 | ... | f11 | f10 (high bit) ]
//           word 2  [ f31 | f30 | ... | f22 | f21 (high 2 bits) ]
#pragma once

#include <qtk/core/checked.hpp>
#include <qtk/core/error.hpp>
#include <qtk/core/matrix_view.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace qtk {

/// An owned table of codes or words, [rows, cols], row by row; zeros when made from a shape alone.
/// Throws value_error if rows * cols overflows.
template <typename T>
struct row_major {
    std::size_t rows = 0, cols = 0;
    std::vector<T> values = std::vector<T>(checked_mul(rows, cols));

    T& operator()(std::size_t r, std::size_t c) noexcept { return values[r * cols + c]; }
    T operator()(std::size_t r, std::size_t c) const noexcept { return values[r * cols + c]; }
    [[nodiscard]] matrix_view<T const> view() const noexcept { return {values.data(), rows, cols}; }
    friend bool operator==(row_major const&, row_major const&) = default;
};

namespace detail {

/// Throws value_error naming the first field that needs more than `bits` bits: it would spill into
/// its neighbour.
inline void require_fields(char const* layout, matrix_view<std::uint8_t const> fields, int bits) {
    for (std::size_t r = 0; r < fields.rows; ++r)
        for (std::size_t c = 0; c < fields.cols; ++c)
            if (fields(r, c) >> bits != 0)
                throw value_error(std::string(layout) + ": expected fields below " +
                                  std::to_string(1 << bits) + ", found " +
                                  std::to_string(fields(r, c)) + " at row " + std::to_string(r) +
                                  ", column " + std::to_string(c));
}

/// n / divisor; throws shape_error naming `what` if a rest is left.
[[nodiscard]] constexpr std::size_t exact_quotient(char const* what, std::size_t n,
                                                   std::size_t divisor) {
    if (n % divisor != 0)
        throw shape_error(std::string(what) + ": expected a multiple of " +
                          std::to_string(divisor) + ", found " + std::to_string(n));
    return n / divisor;
}

/// ORs field i into a stream whose words lie `step` apart; the words must start as zeros.
constexpr void put_in_stream(std::uint32_t* words, std::size_t step, std::size_t i, int bits,
                             std::uint8_t field) noexcept {
    std::size_t const bit = i * static_cast<std::size_t>(bits), word = bit / 32;
    unsigned const shift = bit % 32;
    words[word * step] |= std::uint32_t{field} << shift;
    if (shift + static_cast<unsigned>(bits) > 32)
        words[(word + 1) * step] |= std::uint32_t{field} >> (32 - shift);
}

/// Field i of a stream whose words lie `step` apart.
[[nodiscard]] constexpr std::uint8_t take_from_stream(std::uint32_t const* words, std::size_t step,
                                                      std::size_t i, int bits) noexcept {
    std::size_t const bit = i * static_cast<std::size_t>(bits), word = bit / 32;
    unsigned const shift = bit % 32;
    std::uint32_t field = words[word * step] >> shift;
    if (shift + static_cast<unsigned>(bits) > 32) field |= words[(word + 1) * step] << (32 - shift);
    return static_cast<std::uint8_t>(field & ((1u << bits) - 1u));
}

}  // namespace detail

static_assert(
    [] {
        std::uint32_t words[3] = {};
        for (std::size_t i = 0; i < 32; ++i)
            detail::put_in_stream(words, 1, i, 3, static_cast<std::uint8_t>(i % 8));
        return words[0] == 0x88fac688 && words[1] == 0xc688fac6 && words[2] == 0xfac688fa &&
               detail::take_from_stream(words, 1, 10, 3) == 2 &&
               detail::take_from_stream(words, 1, 21, 3) == 5;
    }(),
    "the picture of 3 bits");

}  // namespace qtk
