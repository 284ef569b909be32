// SPDX-License-Identifier: Apache-2.0
//
// Where in a packed stream do sixteen neighbouring fields lie? They take 2 * B bytes, which one
// load of 16 bytes covers. Vector kernels move the bytes of field i into lane i and shift: these
// are the tables of how, by bits. A shift to the right by s is the upper half of a product with
// 2^(16 - s), for which every instruction set has lanes of 16 bits; s = 0 never occurs, because a
// field that fits into one byte is first moved up by 8.
#pragma once

#include <qtk/format/pack.hpp>

#include <array>
#include <cstddef>
#include <cstdint>

namespace qtk {

struct bit_window {
    alignas(64) std::array<std::uint8_t, 64> place{};   ///< Byte shuffle within the 16 bytes,
    alignas(64) std::array<std::uint16_t, 32> shift{};  ///< then the factors of the products.
    alignas(16) std::array<std::uint8_t, 16> gather{};  ///< Packing: the B low bytes of two qwords.
};

namespace detail {

inline constexpr std::uint8_t no_byte = 0x80;  // a shuffle makes it zero

[[nodiscard]] constexpr bit_window bit_window_of(int bits) noexcept {
    bit_window w;
    auto const b = static_cast<std::size_t>(bits);
    w.place.fill(no_byte);
    w.gather.fill(no_byte);
    for (std::size_t i = 0; i < 16; ++i) {
        std::size_t const byte = i * b / 8, shift = i * b % 8;
        bool const fits = shift + b <= 8;
        w.place[4 * i + (fits ? 1 : 0)] = static_cast<std::uint8_t>(byte);
        if (!fits) w.place[4 * i + 1] = static_cast<std::uint8_t>(byte + 1);
        w.shift[2 * i] = static_cast<std::uint16_t>(1u << ((fits ? 8 : 16) - shift));
    }
    for (std::size_t i = 0; i < 2 * b; ++i)
        w.gather[i] = static_cast<std::uint8_t>(i < b ? i : 8 + i - b);
    return w;
}

inline constexpr std::array<bit_window, 8> bit_windows{
    bit_window_of(1), bit_window_of(2), bit_window_of(3), bit_window_of(4),
    bit_window_of(5), bit_window_of(6), bit_window_of(7), bit_window_of(8)};

}  // namespace detail

/// The tables for fields of 1 to 8 bits.
[[nodiscard]] inline bit_window const& window_of(int bits) noexcept {
    return detail::bit_windows[static_cast<std::size_t>(bits - 1)];
}

static_assert(
    [] {
        // Field 2 of a stream of 3 bits takes bits 6..8: byte 0 from bit 6 on and the next one.
        bit_window const w = detail::bit_window_of(3);
        return w.place[8] == 0 && w.place[9] == 1 && w.shift[4] == 1u << 10 && w.place[1] == 0 &&
               w.shift[0] == 1u << 8;
    }(),
    "the picture of format/pack.hpp");

}  // namespace qtk
