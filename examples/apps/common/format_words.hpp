// SPDX-License-Identifier: Apache-2.0
//
// Which words does a number format begin with, and which of them was meant?
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/core/format.hpp>
#include <qtk/core/spelling.hpp>

#include "did_you_mean.hpp"
#include <algorithm>
#include <array>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

namespace app {

/// Those of schemes: i4, nf4, mxfp4, ...
[[nodiscard]] inline std::vector<std::string> scheme_words() {
    std::vector<std::string> words;
    for (auto const& [word, format] : qtk::known_formats) words.emplace_back(word);
    for (auto const& [word, scheme] : qtk::detail::named_schemes) words.emplace_back(word);
    return words;
}

/// Those of layers beside them.
inline constexpr std::array<std::string_view, 11> layer_format_words{
    "stored", "fp32", "fp16", "bf16", "w8a8", "w8a8_static", "llm_int8", "w4a8", "w4", "w3", "w2"};

/// parse(text); what it throws for an unknown word ends with the nearest one of `words` or of the schemes.
template <typename Parse, typename Words = std::initializer_list<std::string_view>>
[[nodiscard]] auto parse_or_suggest(std::string const& text, Words const& words,
                                    Parse const& parse) {
    try {
        return parse(text);
    } catch (qtk::value_error const& fault) {
        std::vector<std::string> all = scheme_words();
        all.insert(all.end(), words.begin(), words.end());
        std::string const word = text.substr(0, text.find_first_of("/@:"));
        std::string const hint =
            std::ranges::find(all, word) == all.end() ? did_you_mean(word, all) : std::string();
        throw qtk::value_error(fault.what() + (hint.empty() ? hint : "." + hint));
    }
}

}  // namespace app
