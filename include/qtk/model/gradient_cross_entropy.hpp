// SPDX-License-Identifier: Apache-2.0
//
// How does the loss of a classifier change with its scores? With p the softmax of the scores and t the class, or
// the token, that is right:
//
//   L = -ln p_t      dL/dscore_i = p_i - (1 if i = t, else 0)
#pragma once

#include <qtk/core/contract.hpp>
#include <qtk/kernel/row_math.hpp>

#include <cmath>
#include <cstddef>
#include <span>

namespace qtk {

/// Scores become factor * dL/dscore. L.
inline double cross_entropy_gradient(std::span<float> scores, std::size_t target,
                                     float factor) noexcept {
    QTK_EXPECTS(target < scores.size());
    float const top = detail::row_max(scores), score = scores[target];
    float const sum = detail::row_exp(scores, top);
    detail::row_map(scores, [scale = factor / sum](float e) { return e * scale; });
    scores[target] -= factor;
    return std::log(static_cast<double>(sum)) + static_cast<double>(top) -
           static_cast<double>(score);
}

}  // namespace qtk
