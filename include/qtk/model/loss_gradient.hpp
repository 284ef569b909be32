// SPDX-License-Identifier: Apache-2.0
//
// How much does it matter what each block puts into the stream? The derivative of the loss by the
// stream of activations in front of every block and behind the last one, for one window of tokens. The loss is
// the mean over its predictions of -ln p(next token). Squares of these gradients weigh the error of a
// block's outputs (block_reconstruction.hpp): the diagonal of the Fisher information, as BRECQ uses it.
//
// Memory: (blocks + 1) matrices [t, width] twice, a tape of one block, and the head as floats, [vocabulary,
// width]. Meant for models of which this fits.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/core/matrix.hpp>
#include <qtk/core/matrix_view.hpp>
#include <qtk/math/blas.hpp>
#include <qtk/model/attention_heads.hpp>
#include <qtk/model/block_gradient.hpp>
#include <qtk/model/decoder.hpp>
#include <qtk/model/gradient_cross_entropy.hpp>
#include <qtk/model/gradient_norm.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace qtk {

/// The loss of one window and its gradients, [t, width] each: by_stream[i] by the input of block i, which is
/// the output of block i - 1; the last one by the output of the last block.
struct stream_gradients {
    double loss = 0.0;
    std::vector<matrix> by_stream;
};

namespace detail {

/// The loss, and in `by_hidden` its gradient by what the head is applied to, [t, width].
inline double head_gradient(decoder const& model, std::span<std::int32_t const> tokens,
                            matrix_view<float const> hidden, matrix_view<float> by_hidden) {
    constexpr std::size_t chunk_floats = 1 << 18;  // rows of scores that stay in the cache
    std::size_t const vocabulary = model.config().vocabulary, predictions = tokens.size() - 1;
    std::size_t const most = std::clamp<std::size_t>(chunk_floats / vocabulary, 1, predictions);
    matrix const head = model.head().floats();
    matrix scores(most, vocabulary);
    double loss = 0.0;
    for (std::size_t first = 0; first < predictions; first += most) {
        std::size_t const count = std::min(most, predictions - first);
        matrix_view<float> const part(scores.data(), count, vocabulary);
        model.project(rows(hidden, first, count), part);
        for (std::size_t r = 0; r < count; ++r)
            loss +=
                cross_entropy_gradient(part.row(r), static_cast<std::size_t>(tokens[first + r + 1]),
                                       1.0f / static_cast<float>(predictions));
        matmul<factor::plain>(part, head.view(), rows(by_hidden, first, count));
    }
    return loss / static_cast<double>(predictions);
}

}  // namespace detail

/// Throws value_error for fewer than two tokens, and like decoder::embed(). May be called from several
/// threads at once; the result does not depend on their number.
[[nodiscard]] inline stream_gradients loss_gradients(decoder const& model,
                                                     std::span<std::int32_t const> tokens) {
    if (tokens.size() < 2)
        throw value_error("loss gradients: expected a window of 2 tokens or more, found " +
                          std::to_string(tokens.size()));
    single_threaded_blas const one_thread;
    std::size_t const blocks = model.block_count();
    std::vector<matrix> stream{model.embed(tokens)};
    for (std::size_t i = 0; i < blocks; ++i) {
        stream.push_back(stream.back());
        model.run_block(i, stream.back().view());
    }
    stream_gradients result;
    result.by_stream.resize(blocks + 1);
    matrix hidden(tokens.size(), model.config().width), by_hidden = hidden;
    model.last_norm().apply(stream.back().view(), hidden.view());
    result.loss = detail::head_gradient(model, tokens, hidden.view(), by_hidden.view());
    norm_input_gradient(model.last_norm(), stream.back().view(), by_hidden.view(),
                        by_hidden.view());
    result.by_stream.back() = std::move(by_hidden);
    for (std::size_t i = blocks; i-- > 0;)
        model.visit_block(i, [&](auto const& block) {
            result.by_stream[i] =
                block_tape(block, stream[i].view()).backward(result.by_stream[i + 1].view(), {});
        });
    return result;
}

}  // namespace qtk
