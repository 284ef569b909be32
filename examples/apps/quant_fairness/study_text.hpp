// SPDX-License-Identifier: Apache-2.0
//
// The text of a study, in passages and windows.
#pragma once

#include <qtk/eval/passages.hpp>

#include "evaluation_text.hpp"
#include "language_model.hpp"
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

namespace app {

/// A part of the text, cut into windows.
struct study_text {
    std::vector<qtk::language_text> lines;
    std::vector<qtk::passage_tokens> languages;
    std::vector<std::vector<qtk::passage_window>> windows;  ///< they look into `languages`
    std::vector<std::vector<qtk::passage_size>> sizes;      ///< of all passages
    std::string sentence;

    /// What is scored of language l.
    [[nodiscard]] qtk::passage_size scored(std::size_t l) const noexcept;
    /// The passages of language l of which something is scored: those of passage_losses, in their order.
    [[nodiscard]] std::vector<std::size_t> scored_passages(std::size_t l) const;
};

/// Tokenizes and cuts; `more` is added to the name of the data. Throws qtk::value_error for a text that is too
/// short.
[[nodiscard]] study_text make_study_text(language_model const& model, text_options const& options,
                                         std::vector<qtk::language_text> lines,
                                         std::string const& more = {});

/// The first and the second half of the lines of each language. Throws qtk::value_error where there are fewer than
/// two.
[[nodiscard]] std::pair<std::vector<qtk::language_text>, std::vector<qtk::language_text>> halves_of(
    std::vector<qtk::language_text> const& texts);

}  // namespace app
