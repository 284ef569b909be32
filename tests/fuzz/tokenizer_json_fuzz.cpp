// SPDX-License-Identifier: Apache-2.0
//
// Any bytes: a refusal, or a tokenizer whose ids for a text are its own. Where a byte 0xFF divides
// the input, the tokenizer comes before it and the text after it.
#include <qtk/io/tokenizer.hpp>

#include "fuzz_target.hpp"
#include <cstdint>
#include <string_view>

QTK_FUZZ_TARGET(tokenizer_json) {
    std::string_view const input = fuzz::text_of(data, size);
    std::size_t const cut = input.find('\xff');
    std::string_view const text =
        cut == std::string_view::npos ? "Aa 1\n\u00e9<s> <0x41>'s a " : input.substr(cut + 1);
    qtk::io_limits limits;
    limits.vocabulary = 1000;
    try {
        auto const tokenizer = qtk::tokenizer::from_json(input.substr(0, cut), "fuzz", limits);
        for (auto const special : {qtk::special_text::token, qtk::special_text::ordinary}) {
            auto const ids = tokenizer.encode(text, special);
            for (auto const id : ids)
                fuzz::require(id >= 0 && static_cast<std::size_t>(id) < tokenizer.size());
            (void)tokenizer.decode(ids);
        }
    } catch (qtk::error const&) {
    }
    return 0;
}
