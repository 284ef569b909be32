// SPDX-License-Identifier: Apache-2.0
//
// Is this text in Unicode's normal form C? Qwen2's tokenizer composes its text first; here a text
// that this would change is found, so that it can be refused, instead of encoded into other ids.
// Nearly all text in the world is composed already (UAX #15, Unicode 14).
#pragma once

#include <qtk/io/normal_form_tables.hpp>
#include <qtk/io/utf8.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace qtk {

namespace detail {

/// The first of the rows of `width` numbers whose second number (`last` of a run) is not below
/// `code`, if its first number is not above; else null.
[[nodiscard]] constexpr std::uint32_t const* find_run(std::span<std::uint32_t const> table,
                                                      std::size_t width,
                                                      std::uint32_t code) noexcept {
    std::size_t low = 0, high = table.size() / width;
    while (low < high) {
        std::size_t const middle = (low + high) / 2;
        if (table[middle * width + 1] < code)
            low = middle + 1;
        else
            high = middle;
    }
    if (low * width == table.size() || table[low * width] > code) return nullptr;
    return &table[low * width];
}

[[nodiscard]] constexpr std::uint32_t combining_class(std::uint32_t code) noexcept {
    if (code < 0x300) return 0;
    auto const* const run = find_run(combining_classes, 3, code);
    return run == nullptr ? 0 : run[2];
}

inline constexpr std::uint32_t hangul_syllables = 0xac00, hangul_leads = 0x1100,
                               hangul_vowels = 0x1161, hangul_tails = 0x11a7;

/// Whether any character composes with one like this behind it.
[[nodiscard]] inline bool composes_backwards(std::uint32_t code) {
    static auto const seconds = [] {
        std::vector<std::uint32_t> found;
        for (std::size_t i = 1; i < composed_small.size(); i += 3)
            found.push_back(composed_small[i]);
        for (std::size_t i = 1; i < composed_large.size(); i += 3)
            found.push_back(composed_large[i]);
        std::sort(found.begin(), found.end());
        return found;
    }();
    return (code >= hangul_vowels && code < hangul_tails + 28) ||
           std::binary_search(seconds.begin(), seconds.end(), code);
}

/// Whether normal form C joins two characters into one.
[[nodiscard]] inline bool composes(std::uint32_t first, std::uint32_t second) noexcept {
    if (second >= hangul_vowels && second < hangul_vowels + 21)
        return first >= hangul_leads && first < hangul_leads + 19;
    if (second > hangul_tails && second < hangul_tails + 28)
        return first >= hangul_syllables && first < hangul_syllables + 11172 &&
               (first - hangul_syllables) % 28 == 0;
    auto const is_in = [&](auto const& table) {
        for (std::size_t i = 0; i < table.size(); i += 3)
            if (table[i] == first && table[i + 1] == second) return true;
        return false;
    };
    return is_in(composed_small) || is_in(composed_large);
}

/// The two characters that a character composes of; zeros where it does not.
[[nodiscard]] inline std::array<std::uint32_t, 2> decomposed(std::uint32_t code) noexcept {
    std::array<std::uint32_t, 2> parts{};
    auto const look_in = [&](auto const& table) {
        for (std::size_t i = 0; i < table.size(); i += 3)
            if (table[i + 2] == code) parts = {table[i], table[i + 1]};
    };
    look_in(composed_small);
    look_in(composed_large);
    return parts;
}

/// Whether a mark that may reach `starter` composes with it, or with what is left of it once the
/// marks that stand behind this one in canonical order are taken off.
[[nodiscard]] inline bool reaches(std::uint32_t starter, std::uint32_t mark) noexcept {
    std::uint32_t const mark_class = combining_class(mark);
    for (;;) {
        if (composes(starter, mark)) return true;
        auto const [base, last] = decomposed(starter);
        if (base == 0 || mark_class == 0 || combining_class(last) <= mark_class) return false;
        starter = base;
    }
}

}  // namespace detail

/// The first byte of the first character of well-formed UTF-8 that normal form C would change,
/// move or join to one before it; npos: the text is in normal form C.
[[nodiscard]] inline std::size_t find_nfc_fault(std::string_view text) {
    std::uint32_t starter = 0, last_class = 0;
    bool has_starter = false;
    for (std::size_t at = 0, length = 0; at < text.size(); at += length) {
        auto const first = static_cast<unsigned char>(text[at]);
        length = detail::utf8_sequence(text.substr(at));
        std::uint32_t code = length == 1 ? first : first & (0x7fU >> length);
        for (std::size_t i = 1; i < length; ++i)
            code = code << 6 | (static_cast<unsigned char>(text[at + i]) & 0x3fU);
        // Below U+0300 all characters are composed, and none composes with one before it.
        if (code < 0x300) {
            starter = code;
            has_starter = true;
            last_class = 0;
            continue;
        }
        if (detail::find_run(detail::nfc_changed, 2, code) != nullptr) return at;
        std::uint32_t const mark_class = detail::combining_class(code);
        if (mark_class != 0 && last_class > mark_class) return at;
        // What has a class of its own may pass marks of lower classes, others must touch.
        bool const may_reach = last_class == 0 || (mark_class != 0 && last_class < mark_class);
        if (has_starter && may_reach && detail::composes_backwards(code) &&
            detail::reaches(starter, code))
            return at;
        if (mark_class == 0) {
            starter = code;
            has_starter = true;
        }
        last_class = mark_class;
    }
    return std::string_view::npos;
}

}  // namespace qtk
