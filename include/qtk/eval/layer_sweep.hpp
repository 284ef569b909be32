// SPDX-License-Identifier: Apache-2.0
//
// Which block of a network is sensitive to quantization? Two questions for every block: what does it cost to
// quantize it alone, and what comes back if it alone stays float? Both networks run over a window side by
// side, and each mixture starts from the stream that it shares with one of them: n (n + 3) runs of a block a
// window instead of n (2 n + 2), and two streams of activations, whatever n.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/core/matrix.hpp>
#include <qtk/eval/corpus.hpp>
#include <qtk/eval/perplexity.hpp>
#include <qtk/model/decoder.hpp>

#include <cstddef>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace qtk {

/// Losses of one text in mixtures of a network and its quantized twin.
struct layer_sweep {
    std::vector<language_loss> original, quantized;      ///< no block is quantized, all are
    std::vector<std::vector<language_loss>> only, kept;  ///< [block]: it alone is, or is not
};

namespace detail {

struct sweep_window {
    window_loss original, quantized;
    std::vector<window_loss> only, kept;
};
struct sweep_language {
    std::string language;
    std::vector<sweep_window> windows;
};

inline void require_twins(decoder const& original, decoder const& quantized) {
    if (original.block_count() != quantized.block_count() ||
        original.config().width != quantized.config().width)
        throw shape_error("layer sweep: expected two networks of one shape, found " +
                          std::to_string(original.block_count()) + " blocks of width " +
                          std::to_string(original.config().width) + " and " +
                          std::to_string(quantized.block_count()) + " of width " +
                          std::to_string(quantized.config().width));
}

/// The loss after the blocks from `next` on, of `rest`, have run on x.
[[nodiscard]] inline window_loss loss_from(decoder const& rest, std::size_t next, matrix x,
                                           token_window const& window) {
    for (std::size_t i = next; i < rest.block_count(); ++i) rest.run_block(i, x.view());
    rest.finish(x.view());
    return loss_of(rest, window, x.view());
}

[[nodiscard]] inline sweep_window sweep(decoder const& original, decoder const& quantized,
                                        token_window const& window) {
    sweep_window found;
    matrix whole = original.embed(window.tokens), rounded = quantized.embed(window.tokens);
    for (std::size_t i = 0; i < original.block_count(); ++i) {
        matrix only = whole, kept = rounded;
        quantized.run_block(i, only.view());
        original.run_block(i, kept.view());
        found.only.push_back(loss_from(original, i + 1, std::move(only), window));
        found.kept.push_back(loss_from(quantized, i + 1, std::move(kept), window));
        original.run_block(i, whole.view());
        quantized.run_block(i, rounded.view());
    }
    std::size_t const end = original.block_count();
    found.original = loss_from(original, end, std::move(whole), window);
    found.quantized = loss_from(quantized, end, std::move(rounded), window);
    return found;
}

/// One figure of every window, by language.
template <typename Figure>
[[nodiscard]] std::vector<language_loss> losses_of(std::span<sweep_language const> swept,
                                                   Figure const& figure) {
    std::vector<language_loss> losses;
    for (sweep_language const& language : swept) {
        losses.push_back({language.language, {}});
        for (sweep_window const& w : language.windows) losses.back().windows.push_back(figure(w));
    }
    return losses;
}

}  // namespace detail

/// Sweeps over all blocks. The networks differ in the weights of their blocks alone. The figures are the same
/// for any number of threads. Throws shape_error for networks of two shapes, and like
/// evaluate_perplexity().
[[nodiscard]] inline layer_sweep sweep_layers(decoder const& original, decoder const& quantized,
                                              std::span<language_tokens const> corpus,
                                              perplexity_protocol const& protocol,
                                              perplexity_progress const& progress = {}) {
    detail::require_twins(original, quantized);
    using detail::sweep_window;
    auto const swept = detail::measure_windows<detail::sweep_language>(
        corpus, protocol, progress,
        [&](token_window const& window) { return detail::sweep(original, quantized, window); });
    layer_sweep all;
    all.original = detail::losses_of(swept, [](sweep_window const& w) { return w.original; });
    all.quantized = detail::losses_of(swept, [](sweep_window const& w) { return w.quantized; });
    for (std::size_t i = 0; i < original.block_count(); ++i) {
        all.only.push_back(
            detail::losses_of(swept, [i](sweep_window const& w) { return w.only[i]; }));
        all.kept.push_back(
            detail::losses_of(swept, [i](sweep_window const& w) { return w.kept[i]; }));
    }
    return all;
}

/// The losses with the blocks quantized that `is_quantized` marks, one for each block. Throws like
/// sweep_layers(), shape_error for another number of marks.
[[nodiscard]] inline std::vector<language_loss> evaluate_mixture(
    decoder const& original, decoder const& quantized, std::vector<bool> const& is_quantized,
    std::span<language_tokens const> corpus, perplexity_protocol const& protocol,
    perplexity_progress const& progress = {}) {
    detail::require_twins(original, quantized);
    if (is_quantized.size() != original.block_count())
        throw shape_error("layer sweep: " + std::to_string(is_quantized.size()) + " marks for " +
                          std::to_string(original.block_count()) + " blocks");
    return detail::measure_windows<language_loss>(
        corpus, protocol, progress, [&](token_window const& window) {
            matrix x = original.embed(window.tokens);
            for (std::size_t i = 0; i < is_quantized.size(); ++i)
                (is_quantized[i] ? quantized : original).run_block(i, x.view());
            original.finish(x.view());
            return loss_of(original, window, x.view());
        });
}

}  // namespace qtk
