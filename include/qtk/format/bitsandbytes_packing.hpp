// SPDX-License-Identifier: Apache-2.0
//
// How does bitsandbytes lay out 4-bit codes? The matrix is flattened row by row, two codes a byte,
// the first in the HIGH nibble: the other way round than pack.hpp, ggml, GPTQ and
// compressed-tensors. Codes are the fields of nf4 and fp4 as they are.
//
//   W  [ceil(n / 2), 1]   byte k  [ f(2k) | f(2k+1) ]      bit 7 .. bit 0
//
// An odd n leaves the low nibble of the last byte unused: written as zero, not looked at when
// reading. Blocks that share an absmax run across row ends.
#pragma once

#include <qtk/core/checked.hpp>
#include <qtk/core/error.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace qtk {

namespace detail {

/// How far field i is shifted in its byte: the first of two lies high.
[[nodiscard]] constexpr int bitsandbytes_shift(std::size_t i) noexcept {
    return i % 2 == 0 ? 4 : 0;
}

}  // namespace detail

/// n fields to ceil(n / 2) bytes. Throws value_error for a field above 15.
[[nodiscard]] inline std::vector<std::uint8_t> pack_bitsandbytes(
    std::span<std::uint8_t const> fields) {
    std::vector<std::uint8_t> bytes(div_ceil(fields.size(), 2));
    for (std::size_t i = 0; i < fields.size(); ++i) {
        if (fields[i] > 15)
            throw value_error("bitsandbytes: expected fields below 16, found " +
                              std::to_string(fields[i]) + " at index " + std::to_string(i));
        bytes[i / 2] =
            static_cast<std::uint8_t>(bytes[i / 2] | fields[i] << detail::bitsandbytes_shift(i));
    }
    return bytes;
}

/// ceil(n / 2) bytes to n fields. Throws shape_error for another count of bytes.
[[nodiscard]] inline std::vector<std::uint8_t> unpack_bitsandbytes(
    std::span<std::uint8_t const> bytes, std::size_t n) {
    if (bytes.size() != div_ceil(n, 2))
        throw shape_error("bitsandbytes: expected " + std::to_string(div_ceil(n, 2)) +
                          " bytes for " + std::to_string(n) + " codes of 4 bits, found " +
                          std::to_string(bytes.size()));
    std::vector<std::uint8_t> fields(n);
    for (std::size_t i = 0; i < n; ++i)
        fields[i] = static_cast<std::uint8_t>((bytes[i / 2] >> detail::bitsandbytes_shift(i)) & 15);
    return fields;
}

static_assert((0x1 << detail::bitsandbytes_shift(0) | 0x2 << detail::bitsandbytes_shift(1)) == 0x12,
              "the picture above");

}  // namespace qtk
