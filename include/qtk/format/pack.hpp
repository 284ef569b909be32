// SPDX-License-Identifier: Apache-2.0
//
// How do codes of 1 to 8 bits lie in bytes? As one stream of bits, least significant first: field i
// takes the bits [i * B, (i + 1) * B) counted from bit 0 of byte 0. Eight fields always fill B
// whole bytes.
//
//   B = 4   byte 0  [ f1 f1 f1 f1 | f0 f0 f0 f0 ]      neighbours, the first in the low nibble
//   B = 2   byte 0  [ f3 f3 | f2 f2 | f1 f1 | f0 f0 ]
//   B = 3   byte 0  [ f2 f2 | f1 f1 f1 | f0 f0 f0 ]
//           byte 1  [ f5 | f4 f4 f4 | f3 f3 f3 | f2 ]
//           byte 2  [ f7 f7 f7 | f6 f6 f6 | f5 f5 ]
//   B = 8   byte i  [ f_i ]
//
// The same stream as GPTQ words along `in` for 2, 3, 4 and 8 bits, and as compressed-tensors and
// ONNX for 4 and 8. Every row of a matrix starts on a byte; the last byte of a row is filled with
// zero bits.
#pragma once

#include <qtk/core/checked.hpp>
#include <qtk/core/contract.hpp>

#include <cstddef>
#include <cstdint>
#include <span>

namespace qtk {

/// Bytes that n fields of `bits` bits take.
[[nodiscard]] constexpr std::size_t packed_bytes(std::size_t n, int bits) noexcept {
    // n / 8 * bits first: n * bits may wrap where the true size fits.
    return n / 8 * static_cast<std::size_t>(bits) +
           (n % 8 * static_cast<std::size_t>(bits) + 7) / 8;
}

/// Field i of a stream.
[[nodiscard]] constexpr std::uint8_t field_at(std::uint8_t const* bytes, std::size_t i,
                                              int bits) noexcept {
    std::size_t const first = i / 8 * static_cast<std::size_t>(bits);
    std::size_t const bit = i % 8 * static_cast<std::size_t>(bits);
    std::uint8_t const* const at = bytes + first + bit / 8;
    unsigned const shift = bit % 8;
    unsigned word = at[0];
    if (shift + static_cast<unsigned>(bits) > 8) word |= static_cast<unsigned>(at[1]) << 8;
    return static_cast<std::uint8_t>((word >> shift) & ((1u << bits) - 1u));
}

namespace detail {

/// Eight fields to B bytes. A 64-bit word holds them all; B is a constant so that the loops unroll.
template <int B>
constexpr void pack_eight(std::uint8_t const* fields, std::uint8_t* bytes) noexcept {
    std::uint64_t word = 0;
    for (int i = 0; i < 8; ++i) word |= static_cast<std::uint64_t>(fields[i]) << (B * i);
    for (int i = 0; i < B; ++i) bytes[i] = static_cast<std::uint8_t>(word >> (8 * i));
}
template <int B>
constexpr void unpack_eight(std::uint8_t const* bytes, std::uint8_t* fields) noexcept {
    std::uint64_t word = 0;
    for (int i = 0; i < B; ++i) word |= static_cast<std::uint64_t>(bytes[i]) << (8 * i);
    for (int i = 0; i < 8; ++i)
        fields[i] = static_cast<std::uint8_t>((word >> (B * i)) & ((1u << B) - 1u));
}

template <int B>
constexpr void pack_stream(std::span<std::uint8_t const> fields, std::uint8_t* bytes) noexcept {
    std::size_t const whole = fields.size() / 8, rest = fields.size() % 8;
    for (std::size_t k = 0; k < whole; ++k) pack_eight<B>(fields.data() + 8 * k, bytes + B * k);
    if (rest == 0) return;
    std::uint8_t last[8] = {}, packed[8] = {};
    for (std::size_t i = 0; i < rest; ++i) last[i] = fields[8 * whole + i];
    pack_eight<B>(last, packed);
    for (std::size_t i = 0; i < packed_bytes(rest, B); ++i) bytes[B * whole + i] = packed[i];
}
template <int B>
constexpr void unpack_stream(std::uint8_t const* bytes, std::span<std::uint8_t> fields) noexcept {
    std::size_t const whole = fields.size() / 8, rest = fields.size() % 8;
    for (std::size_t k = 0; k < whole; ++k) unpack_eight<B>(bytes + B * k, fields.data() + 8 * k);
    for (std::size_t i = 0; i < rest; ++i)
        fields[8 * whole + i] = field_at(bytes + B * whole, i, B);
}

/// Calls f with the bit count as a constant.
template <typename F>
constexpr void with_bits(int bits, F&& f) noexcept {
    switch (bits) {
        case 1:
            return f.template operator()<1>();
        case 2:
            return f.template operator()<2>();
        case 3:
            return f.template operator()<3>();
        case 4:
            return f.template operator()<4>();
        case 5:
            return f.template operator()<5>();
        case 6:
            return f.template operator()<6>();
        case 7:
            return f.template operator()<7>();
        default:
            return f.template operator()<8>();
    }
}

}  // namespace detail

/// Packs fields, each below 2^bits, into packed_bytes(fields.size(), bits) bytes. Larger fields are
/// a broken precondition: they would spill into their neighbours.
constexpr void pack_fields(std::span<std::uint8_t const> fields, int bits,
                           std::span<std::uint8_t> bytes) noexcept {
    QTK_EXPECTS(bits >= 1 && bits <= 8 && bytes.size() >= packed_bytes(fields.size(), bits));
    detail::with_bits(bits, [&]<int B>() { detail::pack_stream<B>(fields, bytes.data()); });
}

/// The inverse: fills `fields` from the start of the stream.
constexpr void unpack_fields(std::span<std::uint8_t const> bytes, int bits,
                             std::span<std::uint8_t> fields) noexcept {
    QTK_EXPECTS(bits >= 1 && bits <= 8 && bytes.size() >= packed_bytes(fields.size(), bits));
    detail::with_bits(bits, [&]<int B>() { detail::unpack_stream<B>(bytes.data(), fields); });
}

static_assert(packed_bytes(8, 3) == 3 && packed_bytes(9, 3) == 4 && packed_bytes(0, 5) == 0);
static_assert(
    [] {
        std::uint8_t const fields[5] = {1, 2, 3, 4, 5};
        std::uint8_t four[3] = {}, three[2] = {};
        pack_fields(fields, 4, four);
        pack_fields(fields, 3, three);
        return four[0] == 0x21 && four[1] == 0x43 && four[2] == 0x05 && three[0] == 0b11'010'001 &&
               three[1] == 0b0'101'100'0 && field_at(three, 4, 3) == 5;
    }(),
    "the picture above");

}  // namespace qtk
