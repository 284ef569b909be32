// SPDX-License-Identifier: Apache-2.0
//
// How surprised is a model by a text? Perplexity = exp(mean negative log-likelihood of the scored
// tokens). The figure means nothing without its protocol: text and lines, window, stride, BOS and
// tokenizer; describe() puts it into one sentence.
//
// The text is cut into whole windows that start `stride` tokens apart; what is left at the end is
// not used. A window's first token has nothing before it and is not scored. If windows overlap,
// later ones score their last `stride` tokens alone: each token is scored once, with more context.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/core/matrix.hpp>
#include <qtk/eval/corpus.hpp>
#include <qtk/kernel/parallel.hpp>
#include <qtk/kernel/row_math.hpp>
#include <qtk/model/decoder.hpp>
#include <qtk/stats/summary.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace qtk {

struct perplexity_protocol {
    std::size_t window = 256;  ///< Tokens that the model sees at once, at least 2.
    std::size_t stride = 256;  ///< From one window's start to the next, 1 to window.
    std::size_t windows = 8;   ///< The first so many of each language; 0: all.
};

/// A window of a text; its last `scored` tokens count.
struct token_window {
    std::span<std::int32_t const> tokens;
    std::size_t scored = 0;
};

/// Sum of -ln p over the scored tokens of a window.
struct window_loss {
    double nll = 0.0;
    std::size_t scored = 0;
};

/// The windows of one language, in the order of the text.
struct language_loss {
    std::string language;
    std::vector<window_loss> windows;

    [[nodiscard]] double perplexity() const noexcept {
        double nll = 0.0, scored = 0.0;
        for (window_loss const& w : windows) {
            nll += w.nll;
            scored += static_cast<double>(w.scored);
        }
        return std::exp(nll / scored);
    }
};

/// Told how many windows are done; called from one thread at a time.
using perplexity_progress = std::function<void(std::size_t done, std::size_t total)>;

/// The windows of a text under a protocol. Throws value_error if the protocol makes no sense or the
/// text is shorter than one window.
[[nodiscard]] inline std::vector<token_window> windows_of(std::span<std::int32_t const> tokens,
                                                          perplexity_protocol const& protocol) {
    auto const [window, stride, most] = protocol;
    if (window < 2 || stride < 1 || stride > window)
        throw value_error(
            "perplexity: expected a window of 2 or more and a stride from 1 to the "
            "window, found window " +
            std::to_string(window) + " and stride " + std::to_string(stride));
    if (tokens.size() < window)
        throw value_error("perplexity: the text has " + std::to_string(tokens.size()) +
                          " tokens, fewer than one window of " + std::to_string(window));
    std::vector<token_window> windows;
    for (std::size_t start = 0; start + window <= tokens.size(); start += stride) {
        if (most > 0 && windows.size() == most) break;
        std::size_t const scored = start == 0 ? window - 1 : std::min(stride, window - 1);
        windows.push_back({tokens.subspan(start, window), scored});
    }
    return windows;
}

/// The same for a language's text, whose name stands before what is thrown.
[[nodiscard]] inline std::vector<token_window> named_windows(language_tokens const& text,
                                                             perplexity_protocol const& protocol) {
    try {
        return windows_of(text.tokens, protocol);
    } catch (value_error const& fault) {
        throw value_error(text.language + ": " + fault.what());
    }
}

/// f(-ln p) for each scored token of a window whose decoder::hidden() is known, in their order.
template <typename F>
void for_each_loss(decoder const& model, token_window const& window,
                   matrix_view<float const> hidden, F&& f) {
    // Rows of logits are made and used a few at a time, so that they stay in the cache.
    constexpr std::size_t chunk_floats = 1 << 18;
    std::size_t const vocabulary = model.config().vocabulary;
    std::size_t const most = std::clamp<std::size_t>(chunk_floats / vocabulary, 1, window.scored);
    matrix logits(most, vocabulary);
    // The row before a token predicts it.
    std::size_t row = window.tokens.size() - window.scored - 1;
    while (row + 1 < window.tokens.size()) {
        std::size_t const count = std::min(most, window.tokens.size() - 1 - row);
        matrix_view<float> const chunk(logits.data(), count, vocabulary);
        model.project(detail::rows(hidden, row, count), chunk);
        for (std::size_t r = 0; r < count; ++r, ++row) {
            std::span<float> const scores = chunk.row(r);
            float const target = scores[static_cast<std::size_t>(window.tokens[row + 1])];
            float const top = detail::row_max(scores);
            float const sum = detail::row_exp(scores, top);
            f(std::log(static_cast<double>(sum)) + static_cast<double>(top) -
              static_cast<double>(target));
        }
    }
}

/// The loss of one window, whose decoder::hidden() is known.
[[nodiscard]] inline window_loss loss_of(decoder const& model, token_window const& window,
                                         matrix_view<float const> hidden) {
    window_loss loss{0.0, window.scored};
    for_each_loss(model, window, hidden, [&](double nll) { loss.nll += nll; });
    return loss;
}
/// The same of a window alone. Throws value_error like decoder::embed().
[[nodiscard]] inline window_loss loss_of(decoder const& model, token_window const& window) {
    matrix const hidden = model.hidden(window.tokens);
    return loss_of(model, window, hidden.view());
}

namespace detail {

/// measure(window) for every window of every language, shared out between threads; the figures are the
/// same for any number of them. `Language` is {name, a figure a window}.
template <typename Language, typename Measure>
[[nodiscard]] std::vector<Language> measure_windows(std::span<language_tokens const> corpus,
                                                    perplexity_protocol const& protocol,
                                                    perplexity_progress const& progress,
                                                    Measure const& measure) {
    using figure = typename decltype(Language::windows)::value_type;
    std::vector<Language> result(corpus.size());
    std::vector<std::pair<token_window, figure*>> jobs;
    for (std::size_t i = 0; i < corpus.size(); ++i) {
        auto const windows = named_windows(corpus[i], protocol);
        result[i] = {corpus[i].language, std::vector<figure>(windows.size())};
        for (std::size_t w = 0; w < windows.size(); ++w)
            jobs.emplace_back(windows[w], &result[i].windows[w]);
    }
    std::mutex telling;
    std::size_t done = 0;
    constexpr std::size_t always_worth_threads = std::size_t{1} << 30;
    parallel_for(jobs.size(), always_worth_threads, [&](std::size_t i) {
        *jobs[i].second = measure(jobs[i].first);
        if (!progress) return;
        std::lock_guard const lock(telling);
        progress(++done, jobs.size());
    });
    return result;
}

}  // namespace detail

/// The losses of every language. Windows are shared out between threads; the figures are the same
/// for any number of them. Throws value_error naming the language whose text does not fit.
[[nodiscard]] inline std::vector<language_loss> evaluate_perplexity(
    decoder const& model, std::span<language_tokens const> corpus,
    perplexity_protocol const& protocol, perplexity_progress const& progress = {}) {
    return detail::measure_windows<language_loss>(
        corpus, protocol, progress,
        [&](token_window const& window) { return loss_of(model, window); });
}

/// The mean loss of each window, a row a language: what the bootstrap draws from. exp of a row's
/// mean is the perplexity where all windows score equally many tokens, that is unless they overlap.
[[nodiscard]] inline std::vector<std::vector<double>> window_means(
    std::span<language_loss const> losses) {
    std::vector<std::vector<double>> means;
    for (language_loss const& loss : losses) {
        means.emplace_back();
        for (window_loss const& w : loss.windows)
            means.back().push_back(w.nll / static_cast<double>(w.scored));
    }
    return means;
}

/// exp of the mean logarithm of the perplexities: every language counts the same. Throws
/// value_error if there is no language.
[[nodiscard]] inline double geomean_perplexity(std::span<language_loss const> losses) {
    std::vector<double> logarithms;
    for (language_loss const& loss : losses) logarithms.push_back(std::log(loss.perplexity()));
    return std::exp(mean(logarithms));
}

/// What a reader must know to compare two perplexities.
struct perplexity_source {
    std::string data;  ///< E.g. "examples/data/corpus".
    line_range lines{};
    std::size_t languages = 1;
    std::optional<std::int32_t> bos{};
    std::string tokenizer_hash;  ///< tokenizer::hash()
};

/// One sentence: data, split, window, stride, BOS, tokenizer.
[[nodiscard]] inline std::string describe(perplexity_protocol const& protocol,
                                          perplexity_source const& source) {
    auto const [window, stride, windows] = protocol;
    std::string text = "Perplexity of " + source.data;
    if (source.lines.last != line_range::end)
        text += ", lines " + std::to_string(source.lines.first) + " to " +
                std::to_string(source.lines.last);
    else if (source.lines.first > 1)
        text += ", from line " + std::to_string(source.lines.first);
    text += ", " + std::to_string(source.languages) +
            (source.languages == 1 ? " language, " : " languages, ") +
            (windows == 0 ? "all" : "the first " + std::to_string(windows)) + " whole windows of " +
            std::to_string(window) + " tokens each, stride " + std::to_string(stride) + ", " +
            std::to_string(window - 1) + " predictions scored in ";
    std::size_t const later = std::min(stride, window - 1);
    text += later == window - 1
                ? std::string("each, ")
                : "the first and the last " + std::to_string(later) + " in the others, ";
    text += source.bos ? "BOS " + std::to_string(*source.bos) + " before each text"
                       : std::string("no BOS");
    return text + ", tokenizer sha256 " + source.tokenizer_hash.substr(0, 16) + ".";
}

}  // namespace qtk
