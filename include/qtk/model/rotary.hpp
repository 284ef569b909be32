// SPDX-License-Identifier: Apache-2.0
//
// Where in the text does this head stand? Rotary position embedding (Su et al. 2021) in the order
// that Hugging Face's Llama files use: of a head of d values, i and i + d/2 are one pair, turned by
// the angle  position * theta^(-2 i / d).
#pragma once

#include <qtk/core/contract.hpp>
#include <qtk/core/matrix.hpp>
#include <qtk/core/matrix_view.hpp>

#include <bit>
#include <cmath>
#include <cstddef>
#include <memory>
#include <mutex>
#include <vector>

namespace qtk {

/// Turns heads by their positions. Sines and cosines are kept for the longest window seen, not for
/// the context that a file claims. apply() may be called from several threads at once.
class rotary {
  public:
    /// `head_dim` is even and not 0, `theta` positive.
    rotary(double theta, std::size_t head_dim) : frequencies_(head_dim / 2) {
        QTK_EXPECTS(head_dim > 0 && head_dim % 2 == 0 && theta > 0.0);
        for (std::size_t i = 0; i < frequencies_.size(); ++i)
            frequencies_[i] =
                std::pow(theta, -2.0 * static_cast<double>(i) / static_cast<double>(head_dim));
    }

    [[nodiscard]] std::size_t head_dim() const noexcept { return 2 * frequencies_.size(); }

    /// Turns every head of x [t, heads * head_dim] in place; row r stands at position first + r.
    void apply(matrix_view<float> x, std::size_t first = 0) const {
        QTK_EXPECTS(x.cols % head_dim() == 0);
        std::shared_ptr<table const> const turns = turns_for(first + x.rows);
        std::size_t const half = frequencies_.size();
        for (std::size_t r = 0; r < x.rows; ++r) {
            float const* const cosine = turns->cosine.view().row(first + r).data();
            float const* const sine = turns->sine.view().row(first + r).data();
            for (std::size_t head = 0; head < x.cols; head += 2 * half) {
                float* const a = x.row(r).data() + head;
                float* const b = a + half;
                for (std::size_t i = 0; i < half; ++i) {
                    float const left = a[i], right = b[i];
                    a[i] = left * cosine[i] - right * sine[i];
                    b[i] = right * cosine[i] + left * sine[i];
                }
            }
        }
    }

  private:
    struct table {
        matrix cosine, sine;  // [positions, head_dim / 2]
    };

    std::shared_ptr<table const> turns_for(std::size_t positions) const {
        std::lock_guard const lock(mutex_);
        if (!table_ || table_->cosine.rows() < positions) {
            std::size_t const rows = std::bit_ceil(positions), half = frequencies_.size();
            auto grown = std::make_shared<table>(table{matrix(rows, half), matrix(rows, half)});
            for (std::size_t position = 0; position < rows; ++position)
                for (std::size_t i = 0; i < half; ++i) {
                    double const angle = static_cast<double>(position) * frequencies_[i];
                    grown->cosine(position, i) = static_cast<float>(std::cos(angle));
                    grown->sine(position, i) = static_cast<float>(std::sin(angle));
                }
            table_ = std::move(grown);
        }
        return table_;
    }

    std::vector<double> frequencies_;
    mutable std::mutex mutex_;
    mutable std::shared_ptr<table const> table_;
};

}  // namespace qtk
