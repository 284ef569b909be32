// SPDX-License-Identifier: Apache-2.0
//
// How do compressed-tensors checkpoints of the kind "pack-quantized" lay out codes? Signed codes
// shifted by 2^(bits - 1), which is qtk's field, as many whole fields to a 32-bit word as fit, the
// first in the low bits. Unused bits are written as zeros and not looked at when reading.
//
//   weight_packed      [out, ceil(in / n)], n = 32 / bits, rounded down: a row packs along `in`
//     4 bits, n = 8    word (o, w)  [ f7 | f6 | f5 | f4 | f3 | f2 | f1 | f0 ]   bit 31 .. bit 0
//     3 bits, n = 10   word (o, w)  [ unused 2 bits | f9 | f8 | ... | f1 | f0 ]
//   weight_zero_point  [ceil(out / n), groups]: a column packs along `out`
//
// Not GPTQ's stream: no field straddles two words. `in` and `out` come from weight_shape.
#pragma once

#include <qtk/format/checkpoint_packing.hpp>

namespace qtk {

/// Fields of `bits` bits that a word holds whole. Throws value_error unless bits is 1 to 8.
[[nodiscard]] constexpr std::size_t fields_per_word(int bits) {
    if (bits < 1 || bits > 8)
        throw value_error("compressed-tensors: expected codes of 1 to 8 bits, found " +
                          std::to_string(bits));
    return static_cast<std::size_t>(32 / bits);
}

namespace detail {

/// Where field i of an axis lies in its word.
[[nodiscard]] constexpr unsigned bit_in_word(std::size_t i, std::size_t per_word,
                                             int bits) noexcept {
    return static_cast<unsigned>(i % per_word) * static_cast<unsigned>(bits);
}

inline void require_words(char const* what, std::size_t found, std::size_t fields, int bits) {
    std::size_t const expected = div_ceil(fields, fields_per_word(bits));
    if (found != expected)
        throw shape_error("compressed-tensors " + std::string(what) + ": expected " +
                          std::to_string(expected) + " for " + std::to_string(fields) +
                          " fields of " + std::to_string(bits) + " bits, found " +
                          std::to_string(found));
}

}  // namespace detail

/// Fields [out, in] to weight_packed [out, ceil(in / n)]. Throws value_error for a bit count
/// outside 1 to 8 or a field too large.
[[nodiscard]] inline row_major<std::uint32_t> pack_compressed_weight(
    matrix_view<std::uint8_t const> fields, int bits) {
    std::size_t const per_word = fields_per_word(bits);
    detail::require_fields("compressed-tensors weight_packed", fields, bits);
    row_major<std::uint32_t> words{.rows = fields.rows, .cols = div_ceil(fields.cols, per_word)};
    for (std::size_t o = 0; o < fields.rows; ++o)
        for (std::size_t i = 0; i < fields.cols; ++i)
            words(o, i / per_word) |= std::uint32_t{fields(o, i)}
                                      << detail::bit_in_word(i, per_word, bits);
    return words;
}

/// weight_packed to fields [out, in]. Throws value_error for a bit count outside 1 to 8,
/// shape_error if the words are not those of `in` columns.
[[nodiscard]] inline row_major<std::uint8_t> unpack_compressed_weight(
    matrix_view<std::uint32_t const> words, int bits, std::size_t in) {
    std::size_t const per_word = fields_per_word(bits);
    detail::require_words("weight_packed: columns", words.cols, in, bits);
    row_major<std::uint8_t> fields{.rows = words.rows, .cols = in};
    std::uint32_t const mask = (1u << bits) - 1u;
    for (std::size_t o = 0; o < fields.rows; ++o)
        for (std::size_t i = 0; i < in; ++i)
            fields(o, i) = static_cast<std::uint8_t>(
                (words(o, i / per_word) >> detail::bit_in_word(i, per_word, bits)) & mask);
    return fields;
}

/// Zero points [out, groups] to weight_zero_point [ceil(out / n), groups]. Throws value_error for a
/// bit count outside 1 to 8 or a zero point too large.
[[nodiscard]] inline row_major<std::uint32_t> pack_compressed_zeros(
    matrix_view<std::uint8_t const> zeros, int bits) {
    std::size_t const per_word = fields_per_word(bits);
    detail::require_fields("compressed-tensors weight_zero_point", zeros, bits);
    row_major<std::uint32_t> words{.rows = div_ceil(zeros.rows, per_word), .cols = zeros.cols};
    for (std::size_t o = 0; o < zeros.rows; ++o)
        for (std::size_t g = 0; g < zeros.cols; ++g)
            words(o / per_word, g) |= std::uint32_t{zeros(o, g)}
                                      << detail::bit_in_word(o, per_word, bits);
    return words;
}

/// weight_zero_point to zero points [out, groups]. Throws value_error for a bit count outside 1 to
/// 8, shape_error if the words are not those of `out` rows.
[[nodiscard]] inline row_major<std::uint8_t> unpack_compressed_zeros(
    matrix_view<std::uint32_t const> words, int bits, std::size_t out) {
    std::size_t const per_word = fields_per_word(bits);
    detail::require_words("weight_zero_point: rows", words.rows, out, bits);
    row_major<std::uint8_t> zeros{.rows = out, .cols = words.cols};
    std::uint32_t const mask = (1u << bits) - 1u;
    for (std::size_t o = 0; o < out; ++o)
        for (std::size_t g = 0; g < zeros.cols; ++g)
            zeros(o, g) = static_cast<std::uint8_t>(
                (words(o / per_word, g) >> detail::bit_in_word(o, per_word, bits)) & mask);
    return zeros;
}

static_assert(fields_per_word(3) == 10 && fields_per_word(4) == 8 && fields_per_word(5) == 6);
static_assert(detail::bit_in_word(9, 10, 3) == 27 && detail::bit_in_word(10, 10, 3) == 0,
              "10 fields of 3 bits to a word, 2 bits unused");

}  // namespace qtk
