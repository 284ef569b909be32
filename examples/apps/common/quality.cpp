// SPDX-License-Identifier: Apache-2.0
#include "quality.hpp"

#include <qtk/eval/corpus.hpp>
#include <qtk/eval/next_passage.hpp>

#include <functional>
#include <string_view>

namespace app {

quality measure_quality(language_model const& reference, language_model const& other,
                        evaluation_text const& text, std::uint64_t seed,
                        qtk::perplexity_progress const& progress, qtk::kv_format const& kv) {
    auto const both = qtk::evaluate_divergence(reference.network(), other.network(), text.corpus,
                                               text.protocol, progress, kv);
    quality q;
    q.divergence = qtk::summarize(both);
    auto const losses = qtk::losses_of(both), before = qtk::losses_of(both, true);
    auto const means = qtk::window_means(losses), reference_means = qtk::window_means(before);
    q.window_losses = means;
    qtk::bootstrap_options const how{.seed = seed};
    for (std::size_t i = 0; i < losses.size(); ++i)
        q.perplexity.emplace_back(losses[i].language,
                                  qtk::stratified_bootstrap(std::span(&means[i], 1),
                                                            qtk::geometric_mean_perplexity{}, how));
    q.geomean = qtk::stratified_bootstrap(means, qtk::geometric_mean_perplexity{}, how);
    q.ratio = qtk::paired_bootstrap(means, reference_means, qtk::geometric_mean_perplexity{},
                                    std::divides<double>{}, how);
    std::vector<double> a, b;
    for (auto const& row : means) a.insert(a.end(), row.begin(), row.end());
    for (auto const& row : reference_means) b.insert(b.end(), row.begin(), row.end());
    q.p_value = qtk::wilcoxon_signed_rank(a, b).p;
    return q;
}

double next_passage_accuracy(language_model const& model, text_options const& options) {
    std::size_t right = 0, asked = 0;
    for (std::string const& language : options.languages) {
        std::string_view const one = language;
        auto const texts =
            qtk::read_corpus(options.corpus, qtk::evaluation_lines, std::span(&one, 1));
        auto const lines = qtk::tokens_of_lines(texts.front().text, model.tokenizer());
        auto const choices = qtk::passage_choices(lines.size(), {});
        for (std::uint8_t const is_right :
             qtk::choose_next_passages(model.network(), lines, model.bos(), choices)) {
            right += is_right;
            ++asked;
        }
    }
    return static_cast<double>(right) / static_cast<double>(asked);
}

}  // namespace app
