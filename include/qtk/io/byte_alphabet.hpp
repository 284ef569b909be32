// SPDX-License-Identifier: Apache-2.0
//
// How does GPT-2 write raw bytes in a text file? Each byte is one visible character: the printable
// ones of Latin-1 stand for themselves, the other 68 are the characters from U+0100 on, in order
// (Radford et al. 2019). A space is U+0120.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace qtk {

namespace detail {
constexpr bool stands_for_itself(unsigned byte) noexcept {
    return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
}

constexpr std::array<char16_t, 256> make_byte_alphabet() noexcept {
    std::array<char16_t, 256> letters{};
    char16_t next = 0x100;
    for (unsigned byte = 0; byte < 256; ++byte)
        letters[byte] = stands_for_itself(byte) ? static_cast<char16_t>(byte) : next++;
    return letters;
}
}  // namespace detail

/// The character that stands for a byte.
inline constexpr std::array<char16_t, 256> byte_alphabet = detail::make_byte_alphabet();

/// The bytes in the alphabet's characters, as UTF-8.
[[nodiscard]] inline std::string to_byte_alphabet(std::string_view bytes) {
    std::string text;
    for (char const c : bytes) {
        unsigned const letter = byte_alphabet[static_cast<unsigned char>(c)];
        if (letter < 0x80) {
            text += static_cast<char>(letter);
        } else {
            text += static_cast<char>(0xc0 | (letter >> 6));
            text += static_cast<char>(0x80 | (letter & 0x3f));
        }
    }
    return text;
}

/// The bytes that `text` spells, or nothing if one of its characters is not in the alphabet.
[[nodiscard]] inline std::optional<std::string> from_byte_alphabet(std::string_view text) {
    static constexpr auto byte_of = [] {
        std::array<std::int16_t, 0x144> bytes{};
        bytes.fill(-1);
        for (std::size_t byte = 0; byte < 256; ++byte)
            bytes[byte_alphabet[byte]] = static_cast<std::int16_t>(byte);
        return bytes;
    }();
    std::string spelled;
    for (std::size_t i = 0; i < text.size(); ++i) {
        unsigned letter = static_cast<unsigned char>(text[i]);
        if (letter >= 0x80) {
            // Two bytes of UTF-8 reach U+07FF, further than the alphabet.
            if (letter < 0xc2 || letter > 0xdf || i + 1 == text.size()) return std::nullopt;
            unsigned const low = static_cast<unsigned char>(text[++i]);
            if ((low & 0xc0) != 0x80) return std::nullopt;
            letter = ((letter & 0x1f) << 6) | (low & 0x3f);
        }
        if (letter >= byte_of.size() || byte_of[letter] < 0) return std::nullopt;
        spelled += static_cast<char>(byte_of[letter]);
    }
    return spelled;
}

static_assert(byte_alphabet['A'] == u'A' && byte_alphabet[' '] == 0x120);
static_assert(byte_alphabet[0xad] == 0x143, "the last of the 68");

}  // namespace qtk
