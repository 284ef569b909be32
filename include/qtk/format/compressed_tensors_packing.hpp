// SPDX-License-Identifier: Apache-2.0
//
// How do compressed-tensors checkpoints of the kind "pack-quantized" lay out codes? Signed codes
// shifted by 2^(bits - 1), which is qtk's field, the first in the low bits of 32-bit words. Unused bits
// are written as zeros and not looked at when reading. Where bits do not divide 32 there are two kinds:
//
//   stream (since 2026)   fields straddle words, as in GPTQ's stream: ceil(n * bits / 32) words
//   whole  (before)       as many whole fields to a word as fit: ceil(n / (32 / bits)) words
//     3 bits, 10 fields   word  [ unused 2 bits | f9 | f8 | ... | f1 | f0 ]   bit 31 .. bit 0
//
//   both, 4 bits          word  [ f7 | f6 | f5 | f4 | f3 | f2 | f1 | f0 ]
//
//   weight_packed         [out, words of in]: a row packs along `in`
//   weight_zero_point     [words of out, groups]: a column packs along `out`
//
// `in` and `out` come from weight_shape; the count of words tells the kinds apart.
#pragma once

#include <qtk/format/checkpoint_packing.hpp>
#include <qtk/format/pack.hpp>

namespace qtk {

/// May a field lie in two words?
enum class word_fill : std::uint8_t { whole, stream };

/// Fields of `bits` bits that a word holds whole. Throws value_error unless bits is 1 to 8.
[[nodiscard]] constexpr std::size_t fields_per_word(int bits) {
    if (bits < 1 || bits > 8)
        throw value_error("compressed-tensors: expected codes of 1 to 8 bits, found " +
                          std::to_string(bits));
    return static_cast<std::size_t>(32 / bits);
}

/// Words that n fields take. Throws value_error unless bits is 1 to 8.
[[nodiscard]] constexpr std::size_t compressed_words(std::size_t n, int bits, word_fill fill) {
    std::size_t const per_word = fields_per_word(bits);
    return fill == word_fill::whole ? div_ceil(n, per_word) : div_ceil(packed_bytes(n, bits), 4);
}

namespace detail {

constexpr void put_compressed(std::uint32_t* words, std::size_t step, std::size_t i, int bits,
                              word_fill fill, std::uint8_t field) noexcept {
    std::size_t const per_word = static_cast<std::size_t>(32 / bits);
    if (fill == word_fill::stream) return put_in_stream(words, step, i, bits, field);
    put_in_stream(words + i / per_word * step, step, i % per_word, bits, field);
}
[[nodiscard]] constexpr std::uint8_t take_compressed(std::uint32_t const* words, std::size_t step,
                                                     std::size_t i, int bits,
                                                     word_fill fill) noexcept {
    std::size_t const per_word = static_cast<std::size_t>(32 / bits);
    if (fill == word_fill::stream) return take_from_stream(words, step, i, bits);
    return take_from_stream(words + i / per_word * step, step, i % per_word, bits);
}

inline void require_words(char const* what, std::size_t found, std::size_t fields, int bits,
                          word_fill fill) {
    std::size_t const expected = compressed_words(fields, bits, fill);
    if (found != expected)
        throw shape_error("compressed-tensors " + std::string(what) + ": expected " +
                          std::to_string(expected) + " for " + std::to_string(fields) +
                          " fields of " + std::to_string(bits) + " bits, found " +
                          std::to_string(found));
}

}  // namespace detail

/// Fields [out, in] to weight_packed [out, words]. Throws value_error for a bit count outside 1 to 8 or
/// a field too large.
[[nodiscard]] inline row_major<std::uint32_t> pack_compressed_weight(
    matrix_view<std::uint8_t const> fields, int bits, word_fill fill = word_fill::stream) {
    row_major<std::uint32_t> words{.rows = fields.rows,
                                   .cols = compressed_words(fields.cols, bits, fill)};
    detail::require_fields("compressed-tensors weight_packed", fields, bits);
    for (std::size_t o = 0; o < fields.rows; ++o)
        for (std::size_t i = 0; i < fields.cols; ++i)
            detail::put_compressed(words.values.data() + o * words.cols, 1, i, bits, fill,
                                   fields(o, i));
    return words;
}

/// weight_packed to fields [out, in]. Throws value_error for a bit count outside 1 to 8,
/// shape_error if the words are not those of `in` columns.
[[nodiscard]] inline row_major<std::uint8_t> unpack_compressed_weight(
    matrix_view<std::uint32_t const> words, int bits, std::size_t in,
    word_fill fill = word_fill::stream) {
    detail::require_words("weight_packed: columns", words.cols, in, bits, fill);
    row_major<std::uint8_t> fields{.rows = words.rows, .cols = in};
    for (std::size_t o = 0; o < fields.rows; ++o)
        for (std::size_t i = 0; i < in; ++i)
            fields(o, i) = detail::take_compressed(words.row(o).data(), 1, i, bits, fill);
    return fields;
}

/// Zero points [out, groups] to weight_zero_point [words, groups]. Throws value_error for a bit count
/// outside 1 to 8 or a zero point too large.
[[nodiscard]] inline row_major<std::uint32_t> pack_compressed_zeros(
    matrix_view<std::uint8_t const> zeros, int bits, word_fill fill = word_fill::stream) {
    row_major<std::uint32_t> words{.rows = compressed_words(zeros.rows, bits, fill),
                                   .cols = zeros.cols};
    detail::require_fields("compressed-tensors weight_zero_point", zeros, bits);
    for (std::size_t o = 0; o < zeros.rows; ++o)
        for (std::size_t g = 0; g < zeros.cols; ++g)
            detail::put_compressed(words.values.data() + g, words.cols, o, bits, fill, zeros(o, g));
    return words;
}

/// weight_zero_point to zero points [out, groups]. Throws value_error for a bit count outside 1 to
/// 8, shape_error if the words are not those of `out` rows.
[[nodiscard]] inline row_major<std::uint8_t> unpack_compressed_zeros(
    matrix_view<std::uint32_t const> words, int bits, std::size_t out,
    word_fill fill = word_fill::stream) {
    detail::require_words("weight_zero_point: rows", words.rows, out, bits, fill);
    row_major<std::uint8_t> zeros{.rows = out, .cols = words.cols};
    for (std::size_t o = 0; o < out; ++o)
        for (std::size_t g = 0; g < zeros.cols; ++g)
            zeros(o, g) = detail::take_compressed(words.data + g, words.stride, o, bits, fill);
    return zeros;
}

static_assert(fields_per_word(3) == 10 && fields_per_word(4) == 8 && fields_per_word(5) == 6);
static_assert(compressed_words(32, 3, word_fill::whole) == 4 &&
                  compressed_words(32, 3, word_fill::stream) == 3 &&
                  compressed_words(33, 4, word_fill::whole) == 5 &&
                  compressed_words(33, 4, word_fill::stream) == 5,
              "the count of words tells the kinds apart");

}  // namespace qtk
