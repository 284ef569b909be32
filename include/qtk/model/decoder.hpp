// SPDX-License-Identifier: Apache-2.0
//
// What does a language model say comes next? Embedding, blocks of one kind, a last normalization
// and the head, [vocabulary, width], which is often the embedding again. Const members may be
// called from several threads at once; the result depends neither on the number of threads nor on what
// runs beside it.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/core/matrix.hpp>
#include <qtk/math/blas.hpp>
#include <qtk/model/config.hpp>
#include <qtk/model/embedding.hpp>
#include <qtk/model/gpt2.hpp>
#include <qtk/model/linear.hpp>
#include <qtk/model/llama.hpp>
#include <qtk/model/norm.hpp>
#include <qtk/model/opt.hpp>
#include <qtk/model/past.hpp>
#include <qtk/xtensor.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

namespace qtk {

/// The blocks of a network; all of one kind.
using decoder_blocks =
    std::variant<std::vector<gpt2_block>, std::vector<llama_block>, std::vector<opt_block>>;

class decoder {
  public:
    /// `head` is [vocabulary, width], or nothing if the embedding serves as head. load_decoder() is
    /// the usual way to get one.
    decoder(decoder_config const& config, embedding table, decoder_blocks blocks, norm last,
            std::optional<linear> head = {})
        : config_(config),
          embedding_(std::move(table)),
          blocks_(std::move(blocks)),
          last_norm_(std::move(last)),
          head_(std::move(head)) {}

    [[nodiscard]] decoder_config const& config() const noexcept { return config_; }
    [[nodiscard]] std::size_t block_count() const noexcept {
        return std::visit([](auto const& blocks) { return blocks.size(); }, blocks_);
    }
    /// [vocabulary, width]
    [[nodiscard]] weight_matrix const& head() const noexcept {
        return head_ ? head_->form() : embedding_.tokens;
    }
    /// What is added to the logits: a value a token, or none.
    [[nodiscard]] std::span<float const> head_bias() const noexcept {
        return head_ ? head_->bias() : std::span<float const>();
    }
    /// Stands before the head.
    [[nodiscard]] norm const& last_norm() const noexcept { return last_norm_; }
    [[nodiscard]] embedding const& table() const noexcept { return embedding_; }
    /// Another table of the same shape; throws shape_error otherwise. The head stays what it was, unless it
    /// is tied.
    void set_table(embedding table) {
        auto const shape = [](std::size_t rows, std::size_t cols) {
            return "[" + std::to_string(rows) + ", " + std::to_string(cols) + "]";
        };
        for (auto const& [what, now, next] :
             {std::tuple("tokens", shape(embedding_.tokens.rows(), embedding_.tokens.cols()),
                         shape(table.tokens.rows(), table.tokens.cols())),
              std::tuple("positions",
                         shape(embedding_.positions.rows(), embedding_.positions.cols()),
                         shape(table.positions.rows(), table.positions.cols()))})
            if (now != next)
                throw shape_error(std::string("embedding: expected ") + what + " " + now +
                                  ", found " + next);
        embedding_ = std::move(table);
    }
    void set_last_norm(norm last) { last_norm_ = std::move(last); }
    /// Gives the model a head of its own, which a tied embedding is not touched by: the place for a
    /// quantized one. Throws shape_error if it is not [vocabulary, width].
    void set_head(linear head) {
        if (head.out() != config_.vocabulary || head.in() != config_.width)
            throw shape_error(head.name() + ": expected a head [" +
                              std::to_string(config_.vocabulary) + ", " +
                              std::to_string(config_.width) + "], found [" +
                              std::to_string(head.out()) + ", " + std::to_string(head.in()) + "]");
        head_ = std::move(head);
    }

    /// The input of the first block, [t, width], for a window of tokens. Throws value_error if the
    /// window is longer than the context or a token is not in the vocabulary.
    [[nodiscard]] matrix embed(std::span<std::int32_t const> tokens) const {
        if (tokens.size() > config_.context)
            throw value_error("a window of " + std::to_string(tokens.size()) +
                              " tokens does not fit the model's context of " +
                              std::to_string(config_.context));
        return embedding_.rows(tokens);
    }

    /// Runs block i, i < block_count(), on x [t, width] in place.
    template <typename Observer = no_observer>
    void run_block(std::size_t i, matrix_view<float> x, Observer const& observe = {}) const {
        QTK_EXPECTS(i < block_count());
        single_threaded_blas const one_thread;
        std::visit([&](auto const& blocks) { blocks[i].forward(x, observe); }, blocks_);
    }

    /// Reads tokens after those of `past`, which grows by them: what the head is applied to, [t,
    /// width], for these tokens alone. Linear layers use all threads. Throws value_error if the
    /// context ends, or a token is not in the vocabulary; `past` stays as it was.
    [[nodiscard]] matrix advance(std::span<std::int32_t const> tokens, kv_cache& past) const {
        std::size_t const most = std::min(config_.context, past.capacity());
        if (past.length() + tokens.size() > most)
            throw value_error(std::to_string(past.length()) + " tokens and " +
                              std::to_string(tokens.size()) + " more do not fit the context of " +
                              std::to_string(most));
        matrix x = embedding_.rows(tokens, past.length());
        std::visit(
            [&](auto const& blocks) {
                for (std::size_t i = 0; i < blocks.size(); ++i)
                    blocks[i].forward(x.view(), no_observer{}, &past.layer(i));
            },
            blocks_);
        last_norm_.apply(x.view(), x.view());
        return x;
    }
    /// The logits after the last of `tokens`, [vocabulary]; throws like advance().
    [[nodiscard]] std::vector<float> next_logits(std::span<std::int32_t const> tokens,
                                                 kv_cache& past) const {
        if (tokens.empty()) throw value_error("next_logits: expected at least one token");
        matrix const x = advance(tokens, past);
        std::vector<float> logits(config_.vocabulary);
        head().multiply(detail::rows(x.view(), x.rows() - 1, 1),
                        matrix_view<float>(logits.data(), 1, logits.size()), head_bias(), false);
        return logits;
    }

    /// What the head is applied to, [t, width]: embedding, all blocks, the last normalization.
    [[nodiscard]] matrix hidden(std::span<std::int32_t const> tokens) const {
        matrix x = embed(tokens);
        for (std::size_t i = 0; i < block_count(); ++i) run_block(i, x.view());
        finish(x.view());
        return x;
    }
    /// Makes what the head is applied to of the last block's output [t, width], in place.
    void finish(matrix_view<float> x) const { last_norm_.apply(x, x); }

    /// logits [t, vocabulary] of rows of hidden(); throws shape_error if the shapes do not fit.
    void project(matrix_view<float const> hidden, matrix_view<float> logits) const {
        single_threaded_blas const one_thread;
        head().multiply(hidden, logits, head_bias(), false);
    }

    /// The logits after each token of one window, [t, vocabulary]. Throws like embed().
    [[nodiscard]] tensor<2> forward(std::span<std::int32_t const> tokens) const {
        matrix const x = hidden(tokens);
        tensor<2> logits = tensor<2>::from_shape({tokens.size(), config_.vocabulary});
        project(x.view(), {logits.data(), tokens.size(), config_.vocabulary});
        return logits;
    }

    /// f(block) for every block; f takes any kind.
    template <typename F>
    void for_each_block(F&& f) {
        std::visit([&](auto& blocks) { std::ranges::for_each(blocks, f); }, blocks_);
    }
    /// f(layer) for every linear layer of the blocks, block by block: what is quantized. The
    /// embedding and the head are not among them.
    template <typename F>
    void for_each_linear(F&& f) {
        std::visit(
            [&](auto& blocks) {
                for (auto& block : blocks) block.for_each_linear(f);
            },
            blocks_);
    }
    template <typename F>
    void for_each_linear(F&& f) const {
        std::visit(
            [&](auto const& blocks) {
                for (auto const& block : blocks) block.for_each_linear(f);
            },
            blocks_);
    }

    /// f(block) for block i, i < block_count(); f takes any kind.
    template <typename F>
    void visit_block(std::size_t i, F&& f) {
        QTK_EXPECTS(i < block_count());
        std::visit([&](auto& blocks) { f(blocks[i]); }, blocks_);
    }
    template <typename F>
    void visit_block(std::size_t i, F&& f) const {
        QTK_EXPECTS(i < block_count());
        std::visit([&](auto const& blocks) { f(blocks[i]); }, blocks_);
    }
    /// f(layer) for the linear layers of block i, i < block_count(), in the order of computation.
    template <typename F>
    void for_each_linear_of(std::size_t i, F&& f) {
        QTK_EXPECTS(i < block_count());
        std::visit([&](auto& blocks) { blocks[i].for_each_linear(f); }, blocks_);
    }
    template <typename F>
    void for_each_linear_of(std::size_t i, F&& f) const {
        QTK_EXPECTS(i < block_count());
        std::visit([&](auto const& blocks) { blocks[i].for_each_linear(f); }, blocks_);
    }

    /// f(fold) for each place in block i where factors pass to layers (fold.hpp), i < block_count().
    template <typename F>
    void for_each_fold_of(std::size_t i, F&& f) {
        QTK_EXPECTS(i < block_count());
        std::visit([&](auto& blocks) { blocks[i].for_each_fold(f); }, blocks_);
    }

  private:
    decoder_config config_;
    embedding embedding_;
    decoder_blocks blocks_;
    norm last_norm_;
    std::optional<linear> head_;
};

}  // namespace qtk
