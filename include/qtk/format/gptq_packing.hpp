// SPDX-License-Identifier: Apache-2.0
//
// How do GPTQ checkpoints lay out codes and zero points? Codes of 2, 3, 4 or 8 bits; value =
// scale * (code - zero) with unsigned codes, which are qtk's fields as they are.
//
//   qweight  [in * bits / 32, out]      a column is the stream of one output, along `in`
//            4 bits: word (r, o)  [ c(8r+7, o) | ... | c(8r+1, o) | c(8r, o) ]   bit 31 .. bit 0
//   qzeros   [groups, out * bits / 32]  a row is the stream of one group, along `out`
//            v1 ("gptq") holds zero - 1, v2 ("gptq_v2") holds zero
//
// The v1 subtraction is modulo 2^bits, field by field: zero 0 is stored as all ones, and a word-wide
// add on reading would carry into the neighbour. Not supported: the planar words of 5, 6 and 7 bits
// that some writers use.
#pragma once

#include <qtk/format/checkpoint_packing.hpp>

namespace qtk {

/// What a file's checkpoint_format says about its zero points.
enum class gptq_version : std::uint8_t {
    v1,  ///< "gptq", the default: qzeros holds zero - 1.
    v2   ///< "gptq_v2": qzeros holds zero.
};

namespace detail {

constexpr void require_gptq_bits(int bits) {
    if (bits != 2 && bits != 3 && bits != 4 && bits != 8)
        throw value_error("gptq: expected codes of 2, 3, 4 or 8 bits, found " +
                          std::to_string(bits));
}

/// Words of a stream of n fields, or shape_error if they end inside a word.
[[nodiscard]] constexpr std::size_t gptq_words(char const* what, std::size_t n, int bits) {
    // 3 is prime to 32, so its streams end on a word after every 32 fields.
    auto const block = static_cast<std::size_t>(bits == 3 ? 32 : 32 / bits);
    return exact_quotient(what, n, block) * (bits == 3 ? 3 : 1);
}

/// Fields in a stream of n whole words, or shape_error.
[[nodiscard]] constexpr std::size_t gptq_fields(char const* what, std::size_t n, int bits) {
    auto const block = static_cast<std::size_t>(bits == 3 ? 32 : 32 / bits);
    return checked_mul(exact_quotient(what, n, bits == 3 ? 3 : 1), block);
}

/// A zero point as qzeros holds it, and back: modulo 2^bits, so that nothing is lost.
[[nodiscard]] constexpr std::uint8_t gptq_stored_zero(std::uint8_t zero, int bits,
                                                      gptq_version version) noexcept {
    return static_cast<std::uint8_t>((zero - (version == gptq_version::v1 ? 1 : 0)) &
                                     ((1 << bits) - 1));
}
[[nodiscard]] constexpr std::uint8_t gptq_loaded_zero(std::uint8_t stored, int bits,
                                                      gptq_version version) noexcept {
    return static_cast<std::uint8_t>((stored + (version == gptq_version::v1 ? 1 : 0)) &
                                     ((1 << bits) - 1));
}

}  // namespace detail

/// Codes [out, in] to qweight [in * bits / 32, out]. Throws value_error for another bit count or a
/// code too large, shape_error if a column does not end on a word.
[[nodiscard]] inline row_major<std::uint32_t> pack_gptq_weight(
    matrix_view<std::uint8_t const> codes, int bits) {
    detail::require_gptq_bits(bits);
    detail::require_fields("gptq qweight", codes, bits);
    row_major<std::uint32_t> words{
        .rows = detail::gptq_words("gptq qweight: input columns", codes.cols, bits),
        .cols = codes.rows};
    for (std::size_t o = 0; o < codes.rows; ++o)
        for (std::size_t i = 0; i < codes.cols; ++i)
            detail::put_in_stream(words.values.data() + o, words.cols, i, bits, codes(o, i));
    return words;
}

/// qweight [in * bits / 32, out] to codes [out, in]. Throws value_error for another bit count,
/// shape_error if the rows are no whole number of streams (3 bits: a multiple of 3).
[[nodiscard]] inline row_major<std::uint8_t> unpack_gptq_weight(
    matrix_view<std::uint32_t const> words, int bits) {
    detail::require_gptq_bits(bits);
    row_major<std::uint8_t> codes{
        .rows = words.cols, .cols = detail::gptq_fields("gptq qweight: rows", words.rows, bits)};
    for (std::size_t o = 0; o < codes.rows; ++o)
        for (std::size_t i = 0; i < codes.cols; ++i)
            codes(o, i) = detail::take_from_stream(words.data + o, words.stride, i, bits);
    return codes;
}

/// Zero points [out, groups] to qzeros [groups, out * bits / 32]. Throws value_error for another
/// bit count or a zero point too large, shape_error if a row does not end on a word.
[[nodiscard]] inline row_major<std::uint32_t> pack_gptq_zeros(matrix_view<std::uint8_t const> zeros,
                                                              int bits, gptq_version version) {
    detail::require_gptq_bits(bits);
    detail::require_fields("gptq qzeros", zeros, bits);
    row_major<std::uint32_t> words{
        .rows = zeros.cols, .cols = detail::gptq_words("gptq qzeros: outputs", zeros.rows, bits)};
    for (std::size_t g = 0; g < words.rows; ++g)
        for (std::size_t o = 0; o < zeros.rows; ++o)
            detail::put_in_stream(words.values.data() + g * words.cols, 1, o, bits,
                                  detail::gptq_stored_zero(zeros(o, g), bits, version));
    return words;
}

/// qzeros [groups, out * bits / 32] to zero points [out, groups]. Throws value_error for another bit
/// count, shape_error if the columns are no whole number of streams.
[[nodiscard]] inline row_major<std::uint8_t> unpack_gptq_zeros(
    matrix_view<std::uint32_t const> words, int bits, gptq_version version) {
    detail::require_gptq_bits(bits);
    row_major<std::uint8_t> zeros{
        .rows = detail::gptq_fields("gptq qzeros: columns", words.cols, bits), .cols = words.rows};
    for (std::size_t g = 0; g < words.rows; ++g)
        for (std::size_t o = 0; o < zeros.rows; ++o)
            zeros(o, g) = detail::gptq_loaded_zero(
                detail::take_from_stream(words.row(g).data(), 1, o, bits), bits, version);
    return zeros;
}

static_assert(detail::gptq_stored_zero(0, 4, gptq_version::v1) == 15 &&
                  detail::gptq_loaded_zero(15, 4, gptq_version::v1) == 0 &&
                  detail::gptq_stored_zero(0, 4, gptq_version::v2) == 0,
              "v1 wraps inside its field");

}  // namespace qtk
