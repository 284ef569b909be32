// SPDX-License-Identifier: Apache-2.0
//
// How far has a model moved from the one it was made of? On the same windows as perplexity.hpp, at each
// scored position, with p the reference's distribution of the next token and q the other's:
//
//   divergence   KL(p || q) = sum p ln(p / q), nats (Kullback, Leibler 1951)
//   agreement    is the most likely token the same?
//   difference   max |logit_p - logit_q|
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/core/matrix.hpp>
#include <qtk/eval/perplexity.hpp>
#include <qtk/eval/stepwise.hpp>
#include <qtk/model/decoder.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace qtk {

/// Sums over the scored positions of a window.
struct window_divergence {
    double nll_reference = 0.0, nll = 0.0;  ///< -ln p and -ln q of the token that came
    double kl = 0.0;
    double largest_difference = 0.0;  ///< of logits
    std::size_t agreed = 0, scored = 0;
};

/// The windows of one language, in the order of the text.
struct language_divergence {
    std::string language;
    std::vector<window_divergence> windows;
};

/// Means over the positions of all windows; every position counts the same.
struct divergence_summary {
    double kl = 0.0, agreement = 0.0, largest_difference = 0.0;
};

namespace detail {

/// Adds one position to the sums.
inline void compare_logits(std::span<float const> p, std::span<float const> q, std::size_t target,
                           window_divergence& sums) {
    float const top_p = row_max(p), top_q = row_max(q);
    double sum_p = 0.0, sum_q = 0.0, weighted = 0.0;
    for (std::size_t i = 0; i < p.size(); ++i) {
        double const a = static_cast<double>(p[i]) - static_cast<double>(top_p),
                     b = static_cast<double>(q[i]) - static_cast<double>(top_q);
        double const e = std::exp(a);
        sum_p += e;
        sum_q += std::exp(b);
        weighted += e * (a - b);
        sums.largest_difference =
            std::max(sums.largest_difference,
                     std::fabs(static_cast<double>(p[i]) - static_cast<double>(q[i])));
    }
    double const log_p = std::log(sum_p), log_q = std::log(sum_q);
    // Rounding may leave a tiny negative where both are the same.
    sums.kl += std::max(0.0, weighted / sum_p - log_p + log_q);
    sums.nll_reference += log_p + static_cast<double>(top_p) - static_cast<double>(p[target]);
    sums.nll += log_q + static_cast<double>(top_q) - static_cast<double>(q[target]);
    auto const best = [](std::span<float const> row) {
        return std::max_element(row.begin(), row.end()) - row.begin();
    };
    sums.agreed += best(p) == best(q) ? 1u : 0u;
    ++sums.scored;
}

}  // namespace detail

/// Both models on one window, the other one with keys and values in the format `kv`. Throws value_error if
/// they do not share a vocabulary, or like decoder::embed().
[[nodiscard]] inline window_divergence divergence_of(decoder const& reference, decoder const& other,
                                                     token_window const& window,
                                                     kv_format const& kv = {}) {
    std::size_t const vocabulary = reference.config().vocabulary;
    if (other.config().vocabulary != vocabulary)
        throw value_error("divergence: the models have vocabularies of " +
                          std::to_string(vocabulary) + " and " +
                          std::to_string(other.config().vocabulary) + " tokens");
    constexpr std::size_t chunk_floats = 1 << 18;
    std::size_t const most = std::clamp<std::size_t>(chunk_floats / vocabulary, 1, window.scored);
    matrix const p = reference.hidden(window.tokens), q = stepwise_hidden(other, window.tokens, kv);
    matrix p_logits(most, vocabulary), q_logits(most, vocabulary);
    window_divergence sums;
    std::size_t row = window.tokens.size() - window.scored - 1;
    while (row + 1 < window.tokens.size()) {
        std::size_t const count = std::min(most, window.tokens.size() - 1 - row);
        matrix_view<float> const a(p_logits.data(), count, vocabulary),
            b(q_logits.data(), count, vocabulary);
        reference.project(detail::rows(p.view(), row, count), a);
        other.project(detail::rows(q.view(), row, count), b);
        for (std::size_t r = 0; r < count; ++r, ++row)
            detail::compare_logits(a.row(r), b.row(r),
                                   static_cast<std::size_t>(window.tokens[row + 1]), sums);
    }
    return sums;
}

/// All languages; windows are shared out between threads, and the figures are the same for any number
/// of them. Throws value_error naming the language whose text does not fit.
[[nodiscard]] inline std::vector<language_divergence> evaluate_divergence(
    decoder const& reference, decoder const& other, std::span<language_tokens const> corpus,
    perplexity_protocol const& protocol, perplexity_progress const& progress = {},
    kv_format const& kv = {}) {
    return detail::measure_windows<language_divergence>(
        corpus, protocol, progress,
        [&](token_window const& window) { return divergence_of(reference, other, window, kv); });
}

/// Throws value_error if nothing was scored.
[[nodiscard]] inline divergence_summary summarize(std::span<language_divergence const> languages) {
    divergence_summary mean;
    double kl = 0.0, agreed = 0.0, scored = 0.0;
    for (language_divergence const& language : languages)
        for (window_divergence const& w : language.windows) {
            kl += w.kl;
            agreed += static_cast<double>(w.agreed);
            scored += static_cast<double>(w.scored);
            mean.largest_difference = std::max(mean.largest_difference, w.largest_difference);
        }
    if (scored == 0.0) throw value_error("divergence: no position was scored");
    mean.kl = kl / scored;
    mean.agreement = agreed / scored;
    return mean;
}

/// What evaluate_perplexity gives of the other model, or of the reference.
[[nodiscard]] inline std::vector<language_loss> losses_of(
    std::span<language_divergence const> languages, bool of_reference = false) {
    std::vector<language_loss> losses;
    for (language_divergence const& language : languages) {
        losses.push_back({language.language, {}});
        for (window_divergence const& w : language.windows)
            losses.back().windows.push_back({of_reference ? w.nll_reference : w.nll, w.scored});
    }
    return losses;
}

}  // namespace qtk
