// SPDX-License-Identifier: Apache-2.0
//
// Does the model know which line comes next? After a line of the corpus it is offered the line that
// follows and lines from elsewhere; it chooses the one with the greatest mean log-likelihood a token.
// The same choices in every language of a parallel corpus, so that languages can be compared.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/core/random.hpp>
#include <qtk/eval/perplexity.hpp>
#include <qtk/io/tokenizer.hpp>
#include <qtk/kernel/parallel.hpp>
#include <qtk/model/decoder.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace qtk {

struct next_passage_protocol {
    std::size_t block = 10;   ///< Lines that belong together; the last of a block has no next one.
    std::size_t choices = 4;  ///< The right line and others, at least 2.
    std::uint64_t seed = 0;   ///< Of the wrong lines.
};

/// One question: numbers of lines, from 0. candidates.front() is the right one.
struct passage_choice {
    std::size_t line = 0;
    std::vector<std::size_t> candidates;
};

/// The questions about `lines` lines. Wrong candidates come from other blocks and are all different.
/// Throws value_error if there are too few lines for that.
[[nodiscard]] inline std::vector<passage_choice> passage_choices(
    std::size_t lines, next_passage_protocol const& protocol) {
    auto const [block, choices, seed] = protocol;
    if (block < 2 || choices < 2)
        throw value_error("next passage: expected blocks of 2 lines or more and 2 choices or more");
    if (lines < block + choices)
        throw value_error("next passage: expected at least " + std::to_string(block + choices) +
                          " lines, found " + std::to_string(lines));
    splitmix64 random(seed);
    std::vector<passage_choice> all;
    for (std::size_t line = 0; line + 1 < lines; ++line) {
        if ((line + 1) % block == 0) continue;
        passage_choice choice{line, {line + 1}};
        while (choice.candidates.size() < choices) {
            auto const other = static_cast<std::size_t>(random() % lines);
            if (other / block == line / block) continue;
            if (std::ranges::find(choice.candidates, other) == choice.candidates.end())
                choice.candidates.push_back(other);
        }
        all.push_back(std::move(choice));
    }
    return all;
}

namespace detail {
/// The mean -ln p of the tokens of `end` after `start`; the start loses its oldest tokens where both do
/// not fit the context.
[[nodiscard]] inline double mean_loss_after(decoder const& model,
                                            std::span<std::int32_t const> start,
                                            std::span<std::int32_t const> end) {
    std::size_t const context = model.config().context;
    if (end.size() + 1 > context) end = end.first(context - 1);
    start = start.last(std::min(start.size(), context - end.size()));
    std::vector<std::int32_t> tokens(start.size() + end.size());
    std::ranges::copy(end, std::ranges::copy(start, tokens.begin()).out);
    return loss_of(model, {tokens, end.size()}).nll / static_cast<double>(end.size());
}
}  // namespace detail

/// The tokens of each line of a text, the newline before a line counted to it: what the questions are about.
[[nodiscard]] inline std::vector<std::vector<std::int32_t>> tokens_of_lines(
    std::string_view text, tokenizer const& encoder) {
    std::vector<std::vector<std::int32_t>> lines;
    while (!text.empty()) {
        std::size_t const length = std::min(text.find('\n'), text.size());
        std::string const line(text.substr(0, length));
        lines.push_back(encoder.encode(lines.empty() ? line : "\n" + line));
        text.remove_prefix(std::min(length + 1, text.size()));
    }
    return lines;
}

/// By how much the right line is likelier than the likeliest wrong one, nats a token: the least mean loss
/// of the wrong ones minus that of the right one, a figure a question, in their order. `lines` are tokens
/// without BOS, the newline before a line counted to it. Throws value_error for a line without tokens.
[[nodiscard]] inline std::vector<double> next_passage_margins(
    decoder const& model, std::span<std::vector<std::int32_t> const> lines,
    std::optional<std::int32_t> bos, std::span<passage_choice const> choices) {
    for (std::size_t i = 0; i < lines.size(); ++i)
        if (lines[i].empty())
            throw value_error("next passage: line " + std::to_string(i + 1) + " has no tokens");
    std::vector<double> margins(choices.size());
    constexpr std::size_t always_worth_threads = std::size_t{1} << 30;
    parallel_for(choices.size(), always_worth_threads, [&](std::size_t i) {
        std::vector<std::int32_t> const& before = lines[choices[i].line];
        std::size_t const offset = bos ? 1 : 0;
        std::vector<std::int32_t> start(offset + before.size(), bos.value_or(0));
        std::copy(before.begin(), before.end(),
                  start.begin() + static_cast<std::ptrdiff_t>(offset));
        double right = 0.0, wrong = std::numeric_limits<double>::infinity();
        for (std::size_t c = 0; c < choices[i].candidates.size(); ++c) {
            double const loss =
                detail::mean_loss_after(model, start, lines[choices[i].candidates[c]]);
            if (c == 0)
                right = loss;
            else
                wrong = std::min(wrong, loss);
        }
        margins[i] = wrong - right;
    });
    return margins;
}

/// Was the right line chosen? One flag a question; throws like next_passage_margins().
[[nodiscard]] inline std::vector<std::uint8_t> choose_next_passages(
    decoder const& model, std::span<std::vector<std::int32_t> const> lines,
    std::optional<std::int32_t> bos, std::span<passage_choice const> choices) {
    std::vector<std::uint8_t> right;
    for (double const margin : next_passage_margins(model, lines, bos, choices))
        right.push_back(margin >= 0.0 ? 1 : 0);
    return right;
}

}  // namespace qtk
