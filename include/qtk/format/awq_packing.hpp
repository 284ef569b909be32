// SPDX-License-Identifier: Apache-2.0
//
// How do AWQ checkpoints (version "gemm") lay out codes and zero points? 4 bits only, packed along
// `out` in an interleaved order; value = scale * (code - zero) with unsigned codes, qtk's fields as
// they are, and nothing subtracted from a stored zero.
//
//   qweight  [in, out / 8]       word (i, w), o = 8 w, bit 31 on the left:
//            [ o+7 | o+5 | o+3 | o+1 | o+6 | o+4 | o+2 | o ]      each a nibble, all of input i
//   qzeros   [groups, out / 8]   the same with a group in place of an input
#pragma once

#include <qtk/format/checkpoint_packing.hpp>

#include <array>

namespace qtk {

/// The output that nibble k, counted from the low end, holds: 8 * word + awq_order[k].
inline constexpr std::array<std::size_t, 8> awq_order{0, 2, 4, 6, 1, 3, 5, 7};

namespace detail {

/// Eight neighbouring outputs of one input to a word, and back.
[[nodiscard]] constexpr std::uint32_t awq_word(
    std::array<std::uint8_t, 8> const& outputs) noexcept {
    std::uint32_t word = 0;
    for (std::size_t k = 0; k < 8; ++k) word |= std::uint32_t{outputs[awq_order[k]]} << (4 * k);
    return word;
}
[[nodiscard]] constexpr std::array<std::uint8_t, 8> awq_outputs(std::uint32_t word) noexcept {
    std::array<std::uint8_t, 8> outputs{};
    for (std::size_t k = 0; k < 8; ++k)
        outputs[awq_order[k]] = static_cast<std::uint8_t>((word >> (4 * k)) & 15u);
    return outputs;
}

}  // namespace detail

/// Codes [out, in] to qweight [in, out / 8], or zero points [out, groups] to qzeros [groups, out /
/// 8]. Throws value_error for a field above 15, shape_error if `out` is no multiple of 8.
[[nodiscard]] inline row_major<std::uint32_t> pack_awq(matrix_view<std::uint8_t const> fields) {
    detail::require_fields("awq", fields, 4);
    row_major<std::uint32_t> words{.rows = fields.cols,
                                   .cols = detail::exact_quotient("awq: outputs", fields.rows, 8)};
    for (std::size_t i = 0; i < words.rows; ++i)
        for (std::size_t w = 0; w < words.cols; ++w) {
            std::array<std::uint8_t, 8> outputs{};
            for (std::size_t k = 0; k < 8; ++k) outputs[k] = fields(8 * w + k, i);
            words(i, w) = detail::awq_word(outputs);
        }
    return words;
}

/// qweight [in, out / 8] to codes [out, in], or qzeros [groups, out / 8] to zero points [out,
/// groups].
[[nodiscard]] inline row_major<std::uint8_t> unpack_awq(matrix_view<std::uint32_t const> words) {
    row_major<std::uint8_t> fields{.rows = checked_mul<std::size_t>(words.cols, 8),
                                   .cols = words.rows};
    for (std::size_t i = 0; i < words.rows; ++i)
        for (std::size_t w = 0; w < words.cols; ++w) {
            auto const outputs = detail::awq_outputs(words(i, w));
            for (std::size_t k = 0; k < 8; ++k) fields(8 * w + k, i) = outputs[k];
        }
    return fields;
}

static_assert(detail::awq_word({0, 1, 2, 3, 4, 5, 6, 7}) == 0x75316420 &&
                  detail::awq_outputs(0x75316420) ==
                      std::array<std::uint8_t, 8>{0, 1, 2, 3, 4, 5, 6, 7},
              "the picture above");

}  // namespace qtk
