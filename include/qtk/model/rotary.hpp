// SPDX-License-Identifier: Apache-2.0
//
// Where in the text does this head stand? Rotary position embedding (Su et al. 2021): of a head of d
// values, d/2 pairs are turned by the angles  position * f_i,  f_i = theta^(-2 i / d), i < d/2.
//
// Networks that were made for longer texts than they were first trained on turn by other f_i:
//
//   linear  f_i / factor (Chen et al. 2023)
//   llama3  by the number of turns within the first context, n = original_context f_i / 2 pi:
//           f_i where n > high, f_i / factor where n < low, and between them, with
//           s = (n - low) / (high - low), the mean  s f_i + (1 - s) f_i / factor  (Llama 3.1, 2024)
#pragma once

#include <qtk/core/contract.hpp>
#include <qtk/core/matrix.hpp>
#include <qtk/core/matrix_view.hpp>
#include <qtk/kernel/parallel.hpp>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <numbers>
#include <utility>
#include <vector>

namespace qtk {

/// Which two values of a head are a pair: i and i + d/2, as in Hugging Face's files, or 2i and
/// 2i + 1, as in Meta's, and in the GGUF files of Llama.
enum class rope_pairs : std::uint8_t { halves, neighbours };

/// How frequencies are stretched; the formulae are in the head of this file.
struct rope_scaling {
    enum class kind : std::uint8_t { none, linear, llama3 };

    kind type = kind::none;
    double factor = 1.0;
    double low = 1.0, high = 4.0;         ///< llama3: turns within the first context, low < high.
    std::size_t original_context = 8192;  ///< llama3: tokens.

    friend bool operator==(rope_scaling const&, rope_scaling const&) = default;
};

/// The angles of one position more, [head_dim / 2]. `head_dim` is even and not 0, `theta` and the
/// factor are positive.
[[nodiscard]] inline std::vector<double> rope_frequencies(double theta, std::size_t head_dim,
                                                          rope_scaling const& scaling = {}) {
    QTK_EXPECTS(head_dim > 0 && head_dim % 2 == 0 && theta > 0.0 && scaling.factor > 0.0);
    std::vector<double> frequencies(head_dim / 2);
    for (std::size_t i = 0; i < frequencies.size(); ++i) {
        double const f =
            std::pow(theta, -2.0 * static_cast<double>(i) / static_cast<double>(head_dim));
        double kept = 1.0;  // the share that is not stretched
        if (scaling.type == rope_scaling::kind::linear) kept = 0.0;
        if (scaling.type == rope_scaling::kind::llama3) {
            double const turns =
                static_cast<double>(scaling.original_context) * f / (2.0 * std::numbers::pi);
            kept = std::clamp((turns - scaling.low) / (scaling.high - scaling.low), 0.0, 1.0);
        }
        frequencies[i] = kept * f + (1.0 - kept) * (f / scaling.factor);
    }
    return frequencies;
}

/// Turns heads by their positions. Sines and cosines are kept for the longest window seen, not for
/// the context that a file claims. apply() may be called from several threads at once.
class rotary {
  public:
    /// `frequencies` as rope_frequencies() gives them, at least one.
    explicit rotary(std::vector<double> frequencies, rope_pairs pairs = rope_pairs::halves)
        : frequencies_(std::move(frequencies)), pairs_(pairs) {
        QTK_EXPECTS(!frequencies_.empty());
    }
    /// `head_dim` is even and not 0, `theta` positive.
    rotary(double theta, std::size_t head_dim, rope_scaling const& scaling = {},
           rope_pairs pairs = rope_pairs::halves)
        : rotary(rope_frequencies(theta, head_dim, scaling), pairs) {}

    [[nodiscard]] std::size_t head_dim() const noexcept { return 2 * frequencies_.size(); }
    [[nodiscard]] rope_pairs pairs() const noexcept { return pairs_; }

    /// Turns every head of x [t, heads * head_dim] in place; row r stands at position first + r.
    void apply(matrix_view<float> x, std::size_t first = 0) const {
        turn_all(x, first, [this](float* a, float* b, float const* cosine, float const* sine) {
            pairs_ == rope_pairs::halves ? turn<1>(a, b, cosine, sine)
                                         : turn<2>(a, b, cosine, sine);
        });
    }
    /// Turns back what apply() has turned: also what its gradient needs.
    void undo(matrix_view<float> x, std::size_t first = 0) const {
        turn_all(x, first, [this](float* a, float* b, float const* cosine, float const* sine) {
            pairs_ == rope_pairs::halves ? turn<1>(b, a, cosine, sine)
                                         : turn<2>(b, a, cosine, sine);
        });
    }

  private:
    struct table {
        matrix cosine, sine;  // [positions, head_dim / 2]
    };

    /// turn(a, b, cosines, sines) for every head, where a and b are the first of both halves of its pairs.
    template <typename Turn>
    void turn_all(matrix_view<float> x, std::size_t first, Turn const& turn_head) const {
        QTK_EXPECTS(x.cols % head_dim() == 0);
        std::shared_ptr<table const> const turns = turns_for(first + x.rows);
        std::size_t const half = frequencies_.size();
        std::size_t const apart = pairs_ == rope_pairs::halves ? half : 1;
        parallel_for(x.rows, x.rows * x.cols, [&](std::size_t r) {
            float const* const cosine = turns->cosine.view().row(first + r).data();
            float const* const sine = turns->sine.view().row(first + r).data();
            for (std::size_t head = 0; head < x.cols; head += 2 * half) {
                float* const a = x.row(r).data() + head;
                turn_head(a, a + apart, cosine, sine);
            }
        });
    }

    /// The pairs (a[0], b[0]), (a[Step], b[Step]), ...; with a and b exchanged, back.
    template <std::size_t Step>
    void turn(float* a, float* b, float const* cosine, float const* sine) const noexcept {
        for (std::size_t i = 0; i < frequencies_.size(); ++i) {
            float const left = a[i * Step], right = b[i * Step];
            a[i * Step] = left * cosine[i] - right * sine[i];
            b[i * Step] = right * cosine[i] + left * sine[i];
        }
    }

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
    rope_pairs pairs_;
    mutable std::mutex mutex_;
    mutable std::shared_ptr<table const> table_;
};

}  // namespace qtk
