// SPDX-License-Identifier: Apache-2.0
//
// How far does each parameter go along its gradient? Adam (Kingma, Ba 2015): by the mean of the
// gradients over the root of the mean of their squares, both corrected for having started at 0.
//
//   m = b1 m + (1 - b1) g,  v = b2 v + (1 - b2) g^2,  x -= rate (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps)
//
// The length of a step does not depend on the scale of the gradients.
#pragma once

#include <qtk/core/contract.hpp>

#include <cmath>
#include <cstddef>
#include <span>
#include <vector>

namespace qtk {

struct adam_options {
    float rate = 1e-3f;
    float mean_decay = 0.9f, square_decay = 0.999f;
    float epsilon = 1e-8f;
};

class adam {
  public:
    explicit adam(std::size_t size, adam_options options = {})
        : options_(options), mean_(size), square_(size) {}

    /// Begins step t + 1: once before the update() of all parts.
    void advance() noexcept {
        mean_power_ *= static_cast<double>(options_.mean_decay);
        square_power_ *= static_cast<double>(options_.square_decay);
        rate_ = static_cast<float>(static_cast<double>(options_.rate) / (1.0 - mean_power_));
        root_ = static_cast<float>(1.0 / std::sqrt(1.0 - square_power_));
    }

    /// Moves the parameters [first, first + x.size()) along their gradients. Parts that do not overlap
    /// may be updated by several threads.
    void update(std::size_t first, std::span<float> x, std::span<float const> gradient) noexcept {
        QTK_EXPECTS(x.size() == gradient.size() && first + x.size() <= mean_.size());
        float* const m = mean_.data() + first;
        float* const v = square_.data() + first;
        for (std::size_t i = 0; i < x.size(); ++i) {
            float const g = gradient[i];
            m[i] = options_.mean_decay * m[i] + (1.0f - options_.mean_decay) * g;
            v[i] = options_.square_decay * v[i] + (1.0f - options_.square_decay) * (g * g);
            x[i] -= rate_ * m[i] / (std::sqrt(v[i]) * root_ + options_.epsilon);
        }
    }

    /// One step of all parameters.
    void step(std::span<float> x, std::span<float const> gradient) noexcept {
        QTK_EXPECTS(x.size() == mean_.size());
        advance();
        update(0, x, gradient);
    }

  private:
    adam_options options_;
    std::vector<float> mean_, square_;
    double mean_power_ = 1.0, square_power_ = 1.0;
    float rate_ = 0.0f, root_ = 1.0f;
};

}  // namespace qtk
