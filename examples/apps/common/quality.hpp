// SPDX-License-Identifier: Apache-2.0
//
// How good is a model in a format, beside the one it was made of? Perplexity, divergence, agreement, and the
// choice of the next passage, with intervals over windows.
#pragma once

#include <qtk/eval/divergence.hpp>
#include <qtk/stats/bootstrap.hpp>
#include <qtk/stats/rank_test.hpp>

#include "evaluation_text.hpp"
#include "language_model.hpp"
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace app {

struct quality {
    std::vector<std::pair<std::string, qtk::interval_estimate>> perplexity;  ///< By language.
    qtk::interval_estimate geomean;
    qtk::divergence_summary divergence;  ///< From the reference.
    /// geomean perplexity over the reference's, on the same windows, and the probability of a
    /// difference this large by chance (Wilcoxon's signed ranks of the windows' losses).
    qtk::interval_estimate ratio;
    double p_value = 1.0;
    std::optional<double> next_passage;  ///< Fraction of right choices over all languages.
    std::vector<std::vector<double>> window_losses;  ///< Mean nll of each window, a row a language.
};

/// The reference's own figures have a ratio of 1. `kv`: how the other one remembers keys and values.
[[nodiscard]] quality measure_quality(language_model const& reference, language_model const& other,
                                      evaluation_text const& text, std::uint64_t seed,
                                      qtk::perplexity_progress const& progress = {},
                                      qtk::kv_format const& kv = {});

/// The fraction of right choices on lines 81 to 160 of the corpus, all languages together.
[[nodiscard]] double next_passage_accuracy(language_model const& model,
                                           text_options const& options);

}  // namespace app
