// SPDX-License-Identifier: Apache-2.0
//
// What does one new token listen to? Attention with a single query, the step of writing a text: every
// key and value is read once, for all the query heads that share it, and the reading is what costs.
// The past is read in parts of a fixed length by as many threads as there are, and the parts are
// joined in their order by the rule of the online softmax (Milakov, Gimelshein 2018): the result
// does not depend on the number of threads.
//
//   part p:  m_p = max of scores,  l_p = sum of e^(score - m_p),  o_p = sum of e^(score - m_p) v
//   y = sum of e^(m_p - m) o_p / sum of e^(m_p - m) l_p,  m = max of m_p
#pragma once

#include <qtk/core/checked.hpp>
#include <qtk/core/contract.hpp>
#include <qtk/core/matrix.hpp>
#include <qtk/core/matrix_view.hpp>
#include <qtk/kernel/parallel.hpp>
#include <qtk/kernel/row_math.hpp>
#include <qtk/math/blas.hpp>
#include <qtk/model/attention_heads.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <vector>

namespace qtk::detail {

/// What one part of the past says to every query head.
struct attention_parts {
    static constexpr std::size_t length = 256;  ///< tokens

    std::size_t count;               ///< parts
    matrix mixed;                    ///< o: row head * count + part, [head_dim]
    std::vector<float> peaks, sums;  ///< m and l, in the same order

    attention_parts(attention_shape const& shape, std::size_t parts)
        : count(parts),
          mixed(checked_mul(shape.heads, parts), shape.head_dim),
          peaks(shape.heads * parts),
          sums(shape.heads * parts) {}
};

/// Part `part` of the tokens [first, end), for the query heads of q that share the head `kv`.
template <readable_heads Heads>
void attend_part(attention_shape const& shape, std::span<float const> q, Heads const& keys,
                 Heads const& values, std::size_t first, std::size_t end, std::size_t kv,
                 std::size_t part, attention_parts& to) {
    std::size_t const d = shape.head_dim, sharing = shape.heads / shape.kv_heads;
    std::size_t const from = first + part * to.length, tokens = std::min(to.length, end - from);
    std::size_t const place = kv * sharing * to.count + part;
    std::vector<float> scratch;
    matrix scores(sharing, tokens);
    matmul({q.data() + kv * sharing * d, sharing, d}, keys.read(kv, from, tokens, scratch),
           scores.view(), {.alpha = 1.0f / std::sqrt(static_cast<float>(d))});
    for (std::size_t i = 0; i < sharing; ++i) {
        std::span<float> const row = scores.view().row(i);
        float const peak = row_max(row);
        to.peaks[place + i * to.count] = peak;
        to.sums[place + i * to.count] = row_exp(row, peak);
    }
    matmul<factor::plain>(scores.view(), values.read(kv, from, tokens, scratch),
                          {to.mixed.data() + place * d, sharing, d, to.count * d});
}

/// y [heads * d] for the query q [heads * d] of the last of `tokens` tokens, tokens > 0.
template <readable_heads Heads>
void attend_step(attention_shape const& shape, std::span<float const> q, Heads const& keys,
                 Heads const& values, std::size_t tokens, std::span<float> y) {
    QTK_EXPECTS(tokens > 0);
    std::size_t const first = shape.first_seen(tokens - 1);
    attention_parts parts(shape, div_ceil(tokens - first, attention_parts::length));
    // About eight multiplications and additions a nanosecond.
    std::size_t const work = shape.heads * shape.head_dim * (tokens - first) / 4;
    single_threaded_blas const one_thread;
    parallel_for(shape.kv_heads * parts.count, work, [&](std::size_t i) {
        attend_part(shape, q, keys, values, first, tokens, i / parts.count, i % parts.count, parts);
    });
    for (std::size_t head = 0; head < shape.heads; ++head) {
        std::size_t const place = head * parts.count;
        float const peak = row_max(std::span(parts.peaks).subspan(place, parts.count));
        std::span<float> const out = y.subspan(head * shape.head_dim, shape.head_dim);
        std::fill(out.begin(), out.end(), 0.0f);
        float sum = 0.0f;
        for (std::size_t part = 0; part < parts.count; ++part) {
            float const factor = fast_exp(parts.peaks[place + part] - peak);
            sum += factor * parts.sums[place + part];
            std::span<float const> const mixed = parts.mixed.view().row(place + part);
            for (std::size_t i = 0; i < out.size(); ++i) out[i] += factor * mixed[i];
        }
        for (float& v : out) v /= sum;
    }
}

}  // namespace qtk::detail
