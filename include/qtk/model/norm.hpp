// SPDX-License-Identifier: Apache-2.0
//
// How large may a row of activations be? Brought to unit size before each part of a block:
//
//   layer norm  y = (x - mean) / sqrt(variance + eps) * weight + bias   (Ba, Kiros, Hinton 2016)
//   RMS norm    y = x / sqrt(mean of squares + eps) * weight            (Zhang, Sennrich 2019)
//   none        y = x, where a network has no normalization
#pragma once

#include <qtk/core/contract.hpp>
#include <qtk/core/matrix_view.hpp>
#include <qtk/kernel/parallel.hpp>
#include <qtk/kernel/row_math.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace qtk {

/// The parameters of one normalization: width weights, and as many biases under layer norm; none
/// has neither.
struct norm {
    enum class kind : std::uint8_t { layer, rms, none };

    kind type = kind::layer;
    std::vector<float> weight, bias;
    float epsilon = 1e-5f;

    /// y [t, width] from x [t, width]; x and y may be the same rows.
    void apply(matrix_view<float const> x, matrix_view<float> y) const {
        QTK_EXPECTS(x.rows == y.rows && x.cols == y.cols);
        QTK_EXPECTS(weight.size() == (type == kind::none ? 0 : x.cols));
        QTK_EXPECTS(bias.size() == (type == kind::layer ? weight.size() : 0));
        parallel_for(x.rows, x.rows * x.cols, [&](std::size_t r) {
            if (type != kind::none)
                apply(x.row(r), y.row(r));
            else if (x.data != y.data)
                std::copy_n(x.row(r).begin(), x.cols, y.row(r).begin());
        });
    }

  private:
    void apply(std::span<float const> x, std::span<float> y) const noexcept {
        auto const width = static_cast<float>(x.size());
        float const mean = type == kind::layer ? detail::row_sum(x) / width : 0.0f;
        float const size = detail::row_square_sum(x, mean) / width;
        float const scale = 1.0f / std::sqrt(size + epsilon);
        if (type == kind::layer)
            for (std::size_t i = 0; i < x.size(); ++i)
                y[i] = (x[i] - mean) * scale * weight[i] + bias[i];
        else
            for (std::size_t i = 0; i < x.size(); ++i) y[i] = x[i] * scale * weight[i];
    }
};

}  // namespace qtk
