// SPDX-License-Identifier: Apache-2.0
//
// What do the layers of a model see of a text? Calibration windows run through the network block by
// block: only the activations between two blocks are kept, 4 width bytes a token, whatever the number of
// blocks. A block is observed as often as a method needs, changed in between, and then left behind, so that
// the next one sees what the changed blocks before it make.
//
// Windows run in parallel, but observers are called in the order of windows and layers, from one thread:
// what they sum does not depend on the number of threads.
#pragma once

#include <qtk/core/error.hpp>
#include <qtk/core/matrix.hpp>
#include <qtk/core/matrix_view.hpp>
#include <qtk/kernel/parallel.hpp>
#include <qtk/model/decoder.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace qtk {

/// Layers of a block that read the same input.
using layer_group = std::span<linear const* const>;

class calibration_stream {
  public:
    /// Embeds the windows. Throws value_error if there is none, one is empty or longer than the context, or
    /// a token is not in the vocabulary.
    calibration_stream(decoder const& model, std::span<std::vector<std::int32_t> const> windows) {
        if (windows.empty()) throw value_error("calibration: expected at least one window of text");
        for (std::vector<std::int32_t> const& tokens : windows) {
            if (tokens.empty()) throw value_error("calibration: a window has no tokens");
            activations_.push_back(model.embed(tokens));
        }
    }

    /// The block that comes next.
    [[nodiscard]] std::size_t block() const noexcept { return block_; }
    /// Its inputs, one [t, width] a window.
    [[nodiscard]] std::span<matrix const> inputs() const noexcept { return activations_; }
    [[nodiscard]] std::size_t tokens() const noexcept {
        std::size_t count = 0;
        for (matrix const& x : activations_) count += x.rows();
        return count;
    }
    [[nodiscard]] std::size_t bytes() const noexcept {
        std::size_t count = 0;
        for (matrix const& x : activations_) count += x.view().size() * sizeof(float);
        return count;
    }

    /// f(layers, x) for every input x [t, in] that linear layers of the block read, window by window; the
    /// outputs are thrown away. Throws value_error if no block is left.
    template <typename F>
    void observe(decoder const& model, F const& f) const {
        require_block(model);
        // A few windows at a time in parallel, then what they saw in order.
        std::size_t const most = thread_count();
        std::vector<std::vector<capture>> batch(most);
        for (std::size_t first = 0; first < activations_.size(); first += most) {
            std::size_t const count = std::min(most, activations_.size() - first);
            parallel_for(count, always_worth_threads,
                         [&](std::size_t i) { batch[i] = captures_of(model, first + i); });
            for (std::size_t i = 0; i < count; ++i)
                for (capture const& c : batch[i]) f(layer_group(c.layers), c.input.view());
        }
    }
    /// What the block makes of its inputs, one [t, width] a window.
    [[nodiscard]] std::vector<matrix> outputs(decoder const& model) const {
        require_block(model);
        std::vector<matrix> made = activations_;
        parallel_for(made.size(), always_worth_threads,
                     [&](std::size_t i) { model.run_block(block_, made[i].view()); });
        return made;
    }
    /// Leaves the block behind: its outputs take the place of its inputs.
    void advance(decoder const& model) {
        require_block(model);
        parallel_for(activations_.size(), always_worth_threads,
                     [&](std::size_t i) { model.run_block(block_, activations_[i].view()); });
        ++block_;
    }
    /// The same with outputs() that are known already.
    void advance_to(std::vector<matrix> outputs) noexcept {
        activations_ = std::move(outputs);
        ++block_;
    }

  private:
    static constexpr std::size_t always_worth_threads = std::size_t{1} << 30;

    struct capture {
        std::vector<linear const*> layers;
        float const*
            address;  // of the input as the block had it: the same for layers that share it
        matrix input;
    };

    void require_block(decoder const& model) const {
        if (block_ >= model.block_count())
            throw value_error("calibration: all " + std::to_string(model.block_count()) +
                              " blocks have run");
    }

    /// A copy of every input that layers read in one window.
    [[nodiscard]] std::vector<capture> captures_of(decoder const& model, std::size_t i) const {
        std::vector<capture> seen;
        matrix x = activations_[i];
        model.run_block(block_, x.view(), [&](linear const& layer, matrix_view<float const> input) {
            // Buffers are used again, but never between two layers that share one.
            if (!seen.empty() && seen.back().address == input.data && is_same(seen.back(), input)) {
                seen.back().layers.push_back(&layer);
                return;
            }
            capture& c =
                seen.emplace_back(std::vector{&layer}, input.data, matrix(input.rows, input.cols));
            for (std::size_t r = 0; r < input.rows; ++r)
                std::ranges::copy(input.row(r), c.input.view().row(r).begin());
        });
        return seen;
    }
    [[nodiscard]] static bool is_same(capture const& c, matrix_view<float const> input) {
        if (c.input.rows() != input.rows || c.input.cols() != input.cols) return false;
        for (std::size_t r = 0; r < input.rows; ++r)
            if (!std::ranges::equal(c.input.view().row(r), input.row(r))) return false;
        return true;
    }

    std::size_t block_ = 0;
    std::vector<matrix> activations_;
};

}  // namespace qtk
