// SPDX-License-Identifier: Apache-2.0
#include "study_text.hpp"

#include <qtk/core/error.hpp>

#include <algorithm>

namespace app {

qtk::passage_size study_text::scored(std::size_t l) const noexcept {
    qtk::passage_size all;
    for (qtk::passage_size const& size : sizes[l])
        all.tokens += size.tokens, all.bytes += size.bytes;
    return all;
}
std::vector<std::size_t> study_text::scored_passages(std::size_t l) const {
    std::vector<std::size_t> found;
    for (std::size_t p = 0; p < sizes[l].size(); ++p)
        if (sizes[l][p].tokens > 0) found.push_back(p);
    return found;
}

study_text make_study_text(language_model const& model, text_options const& options,
                           std::vector<qtk::language_text> lines, std::string const& more) {
    study_text text;
    text.lines = std::move(lines);
    text.languages.reserve(text.lines.size());
    for (qtk::language_text const& language : text.lines) {
        text.languages.push_back(
            qtk::tokens_of_passages(language, model.tokenizer(), options.first_token(model)));
        text.windows.push_back(
            qtk::passage_windows(text.languages.back(), options.protocol_for(model)));
        text.sizes.push_back(qtk::sizes_of(text.languages.back(), text.windows.back()));
    }
    text.sentence = options.describe(model, text.lines.size(), more);
    return text;
}

std::pair<std::vector<qtk::language_text>, std::vector<qtk::language_text>> halves_of(
    std::vector<qtk::language_text> const& texts) {
    std::vector<qtk::language_text> first, second;
    for (auto const& [language, text] : texts) {
        auto const lines = static_cast<std::size_t>(std::ranges::count(text, '\n')) + 1;
        std::size_t at = 0;
        for (std::size_t line = 0; line < lines / 2; ++line) at = text.find('\n', at) + 1;
        if (lines < 2)
            throw qtk::value_error(language +
                                   ": expected two passages (lines) or more, one half to choose "
                                   "by and one to verify on");
        first.push_back({language, text.substr(0, at - 1)});
        second.push_back({language, text.substr(at)});
    }
    return {std::move(first), std::move(second)};
}

}  // namespace app
