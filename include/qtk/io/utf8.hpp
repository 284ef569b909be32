// SPDX-License-Identifier: Apache-2.0
//
// Is this text UTF-8, and how is a piece of it shown to a person? Strict in the sense of RFC 3629:
// no overlong forms, no surrogates, nothing above U+10FFFF. What is shown never carries control
// characters from a file to a terminal.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace qtk {

namespace detail {

/// Length of the well-formed sequence at the start of `text`, or 0. `text` is not empty.
[[nodiscard]] constexpr std::size_t utf8_sequence(std::string_view text) noexcept {
    auto const byte = [text](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    auto const continues = [&](std::size_t i, unsigned low = 0x80, unsigned high = 0xbf) {
        return i < text.size() && byte(i) >= low && byte(i) <= high;
    };
    unsigned const first = byte(0);
    if (first < 0x80) return 1;
    if (first < 0xc2) return 0;  // a stray continuation, or an overlong pair
    if (first < 0xe0) return continues(1) ? 2 : 0;
    if (first < 0xf0) {
        // E0 80..9F would be overlong, ED A0..BF are the surrogates.
        unsigned const low = first == 0xe0 ? 0xa0 : 0x80;
        unsigned const high = first == 0xed ? 0x9f : 0xbf;
        return continues(1, low, high) && continues(2) ? 3 : 0;
    }
    if (first < 0xf5) {
        // F0 80..8F would be overlong, F4 90.. lies above U+10FFFF.
        unsigned const low = first == 0xf0 ? 0x90 : 0x80;
        unsigned const high = first == 0xf4 ? 0x8f : 0xbf;
        return continues(1, low, high) && continues(2) && continues(3) ? 4 : 0;
    }
    return 0;
}

}  // namespace detail

/// Position of the first byte that is not UTF-8, or npos: the text is valid.
[[nodiscard]] inline std::size_t find_utf8_fault(std::string_view text) noexcept {
    std::size_t i = 0;
    while (i < text.size()) {
        // Headers are nearly all ASCII: eight bytes at a time where none has its top bit set.
        if (text.size() - i >= 8) {
            std::uint64_t word = 0;
            std::memcpy(&word, text.data() + i, 8);
            if ((word & 0x8080808080808080u) == 0) {
                i += 8;
                continue;
            }
        }
        std::size_t const length = detail::utf8_sequence(text.substr(i));
        if (length == 0) return i;
        i += length;
    }
    return std::string_view::npos;
}

/// A name from a file for an error message: in double quotes, control characters and broken UTF-8
/// as `\xHH`, and at most `most` bytes of it (then "...").
[[nodiscard]] inline std::string quoted(std::string_view name, std::size_t most = 120) {
    static constexpr char hex[] = "0123456789abcdef";
    std::string shown = "\"";
    std::size_t i = 0;
    while (i < name.size()) {
        std::size_t const length = detail::utf8_sequence(name.substr(i));
        if (i + (length == 0 ? 1 : length) > most) break;
        auto const byte = static_cast<unsigned char>(name[i]);
        // U+0080..U+009F are control characters too: C2 80..9F.
        bool const is_control =
            byte < 0x20 || byte == 0x7f ||
            (length == 2 && byte == 0xc2 && static_cast<unsigned char>(name[i + 1]) < 0xa0);
        if (length == 0 || is_control) {
            for (std::size_t k = 0; k < (length == 0 ? 1 : length); ++k) {
                auto const code = static_cast<unsigned char>(name[i + k]);
                shown.append("\\x").append(1, hex[code >> 4]).append(1, hex[code & 15]);
            }
        } else {
            shown.append(name.substr(i, length));
        }
        i += length == 0 ? 1 : length;
    }
    return shown.append(i < name.size() ? "\"..." : "\"");
}

static_assert(detail::utf8_sequence("\xed\x9f\xbf") == 3, "U+D7FF, the last before the surrogates");
static_assert(detail::utf8_sequence("\xed\xa0\x80") == 0, "U+D800, a surrogate");
static_assert(detail::utf8_sequence("\xf4\x90\x80\x80") == 0, "above U+10FFFF");

}  // namespace qtk
